"""The whole receivers that docs/RECEIVERS.md shows take what we send, and refuse what others do."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.receivers_at_work import code, statuses, what_it_answers


async def test_the_receiver_in_fastapi_takes_ours_and_refuses_others(tmp_path: Path) -> None:
    tmp_path.joinpath("receiver.py").write_text(code("verify-python", "receive-fastapi"))

    outcomes, printed = await what_it_answers(
        [sys.executable, "-m", "uvicorn", "receiver:app", "--port", "{port}", "--no-access-log"],
        folder=tmp_path,
        environment={"PYTHONUNBUFFERED": "1"},
    )

    assert statuses(outcomes) == [200, 200, 401, 401]
    handled = [line for line in printed.splitlines() if line.startswith("message.created")]
    assert handled == [f"message.created webhook_{number}" for number in (1, 2, 3)]
