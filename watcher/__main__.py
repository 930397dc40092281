"""`python -m watcher` and the console script."""

from __future__ import annotations

from watcher.cli import commands


def main() -> None:
    commands(prog_name="librechat-watcher")


if __name__ == "__main__":
    main()
