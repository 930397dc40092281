"""Settings that change while the program runs: noticed, read once they stand still, refused when wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from watcher.core.facts import SettingsRefused
from watcher.errors import ConfigError, Problem
from watcher.reloading import Reloader
from watcher.testing import Facts, FakeClock


class Desk:
    """A reloader of one file and what stands in it; time passes while somebody waits."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "webhooks.yaml"
        self.file.write_text("one")
        self.extra: list[Path] = []
        self.clock, self.facts, self.asked = FakeClock(), Facts(), asyncio.Event()
        self.reads = 0
        self.rest: str | None = None
        self.reloader = Reloader(
            self.read,
            self.read_the_rest,
            lambda _: [self.file, *self.extra],
            "one",
            asked=self.asked,
            clock=self.clock,
            observe=self.facts,
        )

    async def read_the_rest(self) -> str | None:
        return self.rest

    async def read(self) -> str:
        self.reads += 1
        text = self.file.read_text() + "".join(each.read_text() for each in self.extra if each.is_file())
        if "wrong" in text:
            raise ConfigError([Problem(where="webhooks.yaml:1", what=text, cure="mend it")])
        return text

    async def time_passes(self, until: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not until():
                self.clock.advance(timedelta(seconds=1))
                await asyncio.sleep(0.002)

    async def looks(self, times: int) -> None:
        """Let it look so many times."""
        began = self.clock.monotonic()
        await self.time_passes(lambda: self.clock.monotonic() - began >= 20 * times)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_nothing_is_read_while_nothing_changes(desk: Desk):
    waiting = asyncio.create_task(desk.reloader.next("one"))
    await desk.looks(5)

    assert (desk.reads, waiting.done()) == (0, False)
    waiting.cancel()


async def test_a_changed_file_is_read_and_handed_over(desk: Desk):
    waiting = asyncio.create_task(desk.reloader.next("one"))
    await desk.looks(1)

    desk.file.write_text("two")
    await desk.time_passes(waiting.done)

    assert await waiting == "two"


async def test_a_mounted_secret_that_is_swapped_by_a_symbolic_link_is_noticed(desk: Desk, tmp_path: Path):
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_text(f"secret {name}")
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "secret").symlink_to("..data/secret")
    desk.extra = [tmp_path / "secret"]
    waiting = asyncio.create_task(desk.reloader.next("one"))
    await desk.looks(1)

    (tmp_path / "..new").symlink_to("2")
    (tmp_path / "..new").rename(tmp_path / "..data")  # as a kubelet does it
    await desk.time_passes(waiting.done)

    assert await waiting == "onesecret 2"


async def test_a_file_that_comes_into_a_folder_of_mappings_is_noticed(desk: Desk, tmp_path: Path):
    folder = tmp_path / "mappings"
    folder.mkdir()
    desk.extra = [folder]
    waiting = asyncio.create_task(desk.reloader.next("one"))
    await desk.looks(1)

    (folder / "mine.yaml").write_text("x")
    await desk.time_passes(waiting.done)

    assert waiting.done()


async def test_what_is_wrong_is_told_once_and_what_comes_after_it_is_taken(desk: Desk):
    waiting = asyncio.create_task(desk.reloader.next("one"))
    await desk.looks(1)

    desk.file.write_text("wrong")
    await desk.time_passes(lambda: desk.facts.of(SettingsRefused))
    await desk.looks(10)
    assert not waiting.done()
    (refused,) = desk.facts.of(SettingsRefused)
    desk.file.write_text("three")
    await desk.time_passes(waiting.done)

    assert "webhooks.yaml:1" in refused.problems[0]
    assert await waiting == "three"


async def test_what_was_missing_and_is_there_now_needs_no_change_of_the_file(desk: Desk, tmp_path: Path):
    other = tmp_path / "other"
    other.write_text("wrong")
    desk.extra = [other]
    waiting = asyncio.create_task(desk.reloader.next("one"))
    await desk.looks(1)
    desk.file.write_text("two ")
    await desk.time_passes(lambda: desk.facts.of(SettingsRefused))

    desk.extra = []  # it was never in the list of files, and is right now
    await desk.time_passes(waiting.done)

    assert await waiting == "two "


async def test_who_asks_is_answered_though_nothing_changed(desk: Desk):
    waiting = asyncio.create_task(desk.reloader.next("one"))
    await desk.looks(1)

    desk.asked.set()

    assert await waiting == "one"


async def test_what_changed_after_it_was_read_and_before_anybody_looked_is_not_missed(desk: Desk):
    desk.file.write_text("two")  # between the first reading and the first look

    waiting = asyncio.create_task(desk.reloader.next("one"))
    await desk.time_passes(waiting.done)

    assert await waiting == "two"


async def test_a_fault_of_ours_leaves_the_old_settings_in_force(desk: Desk, monkeypatch):
    def broken() -> str:
        raise KeyError("ours")

    monkeypatch.setattr(desk.reloader, "_read", broken)
    waiting = asyncio.create_task(desk.reloader.next("one"))
    await desk.looks(1)
    desk.file.write_text("two")
    await desk.time_passes(lambda: desk.facts.of(SettingsRefused))

    assert not waiting.done()
    assert desk.facts.of(SettingsRefused)[0].problems == ("they cannot be read: KeyError",)
    waiting.cancel()


async def test_what_does_not_stand_in_the_files_is_handed_over_though_they_are_wrong(desk: Desk):
    desk.file.write_text("wrong")
    desk.rest = "one, and another endpoint"
    desk.asked.set()

    rest = await desk.reloader.next("one")
    assert rest == "one, and another endpoint"
    assert "wrong" in desk.reloader.refused[0]

    desk.rest = None
    waiting = asyncio.create_task(desk.reloader.next(rest))
    desk.file.write_text("mended")
    await desk.time_passes(waiting.done)
    assert (await waiting, desk.reloader.refused) == ("mended", ())


async def test_files_that_were_wrong_are_read_again_after_a_while_though_something_else_changed(desk: Desk):
    desk.file.write_text("wrong")
    desk.rest = "one, and another endpoint"
    desk.asked.set()
    rest = await desk.reloader.next("one")

    desk.rest, reads = None, desk.reads
    waiting = asyncio.create_task(desk.reloader.next(rest))
    await desk.time_passes(lambda: desk.reads > reads)
    waiting.cancel()
