"""The whole receivers that docs/RECEIVERS.md shows take what we send, and refuse what others do."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

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


@pytest.mark.skipif(shutil.which("go") is None, reason="no go on PATH")
async def test_the_receiver_in_go_takes_ours_and_refuses_others(tmp_path: Path) -> None:
    tmp_path.joinpath("verify.go").write_text(code("verify-go"))
    tmp_path.joinpath("main.go").write_text(code("receive-go"))
    environment = {"GOCACHE": str(tmp_path / "cache"), "GO111MODULE": "off"}
    build = await asyncio.create_subprocess_exec(
        *("go", "build", "-o", "receiver", "verify.go", "main.go"),
        cwd=tmp_path,
        env={**os.environ, **environment},
    )
    assert await build.wait() == 0

    outcomes, printed = await what_it_answers(["./receiver"], folder=tmp_path, environment={})

    assert statuses(outcomes) == [200, 200, 401, 401]
    assert printed.splitlines() == [f"message.created webhook_{number}" for number in (1, 2, 3)]


@pytest.mark.skipif(shutil.which("php") is None, reason="no php on PATH")
async def test_the_receiver_in_php_takes_ours_and_refuses_others(tmp_path: Path) -> None:
    tmp_path.joinpath("receiver.php").write_text(code("verify-php", "receive-php"))

    outcomes, printed = await what_it_answers(
        ["php", "-S", "127.0.0.1:{port}", "receiver.php"], folder=tmp_path, environment={}
    )

    assert statuses(outcomes) == [200, 200, 401, 401]
    handled = [line.partition("] ")[2] for line in printed.splitlines() if "message.created" in line]
    assert handled == [f"message.created webhook_{number}" for number in (1, 2, 3)]
