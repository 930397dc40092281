"""Runs `librechat-watcher` and looks, every millisecond, where each of its threads is.

`python -P bench/sampler.py OUT run --config …`: at the end OUT has lines of JSON, `[seconds of CPU, stack]`,
innermost frame first. Each thread's own CPU clock is read: what it used since the last look is put down to
where it is now, so that waiting costs nothing and the sum is all that the threads used. SIGUSR1 empties what
was seen. Only the standard library, and nothing of this package: the installed watcher is what runs."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

EVERY_SECONDS = 0.001
DEEPEST = 40


class Sampler:
    """Looks at each signal of a timer. (A thread that looks gets the interpreter only where others give it
    up, and would see those places too often: in writes, and in long hashes.)"""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, ...]] = Counter()
        self._clocks: dict[int, int] = {}
        self._main = threading.get_ident()

    def start(self) -> None:
        signal.signal(signal.SIGALRM, self._look)
        signal.siginterrupt(signal.SIGALRM, False)
        signal.setitimer(signal.ITIMER_REAL, EVERY_SECONDS, EVERY_SECONDS)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _look(self, _: int, here: FrameType | None) -> None:
        for thread, frame in {**sys._current_frames(), self._main: here}.items():
            used = self._used(thread)
            if used > 0:
                self.seen[_stack(frame)] += used
        self._used(self._main)  # looking is nobody's work

    def _used(self, thread: int) -> int:
        """Nanoseconds since the last look."""
        try:
            now = time.clock_gettime_ns(time.pthread_getcpuclockid(thread))
        except OSError:  # it has ended
            return 0
        before = self._clocks.get(thread, now)
        self._clocks[thread] = now
        return now - before


def _stack(frame: FrameType | None) -> tuple[str, ...]:
    frames: list[str] = []
    while frame is not None and len(frames) < DEEPEST:
        frames.append(f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}")
        frame = frame.f_back
    return tuple(frames)


def main(out: str) -> None:
    from watcher.__main__ import main as watch

    sampler = Sampler()

    def begin_anew(*_: Any) -> None:
        sampler.seen = Counter()

    signal.signal(signal.SIGUSR1, begin_anew)
    sampler.start()
    try:
        watch()
    finally:
        sampler.stop()
        lines = (json.dumps([spent / 1e9, stack]) for stack, spent in sampler.seen.items())
        Path(out).write_text("\n".join(lines))


if __name__ == "__main__":
    main(sys.argv.pop(1))
