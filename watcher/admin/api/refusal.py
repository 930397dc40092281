"""A Refusal: a request that cannot be met, with the status and the words of the answer."""

from __future__ import annotations


class Refusal(Exception):
    """Raised by an operation."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
