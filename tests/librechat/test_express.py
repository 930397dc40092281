"""The whole receiver in Express that docs/RECEIVERS.md shows takes what we send, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.librechat.table import FOLDER
from tests.receivers_at_work import code, statuses, what_it_answers

pytestmark = pytest.mark.librechat


async def test_the_receiver_in_express_takes_ours_and_refuses_others(tmp_path: Path) -> None:
    script = tmp_path / "receiver.js"
    script.write_text(code("verify-node", "receive-express"))

    outcomes, printed = await what_it_answers(
        ["node", str(script)], folder=tmp_path, environment={"NODE_PATH": str(FOLDER / "node_modules")}
    )

    assert statuses(outcomes) == [200, 200, 401, 401]
    assert printed.splitlines() == [f"message.created webhook_{number}" for number in (1, 2, 3)]
