"""A Budget: what one filling may still do, in steps and letters.

Not in seconds: a slow machine, or a replay, must come to the same end as the first time."""

from __future__ import annotations

STEPS = 50_000
"""Of evaluation: each part of an expression, each turn of a loop, each thousand letters looked at. They take
some tens of milliseconds; a card for a message needs a few hundred."""

LETTERS = 4 * 1_048_576
"""Made in all, in between too. Four times the largest body: a long text may go through some filters."""


class CannotFill(Exception):
    """This event cannot be told by this template. The reason never quotes what a document holds."""


class Budget:
    """Spent by everything that a template does."""

    __slots__ = ("_letters", "_steps")

    def __init__(self) -> None:
        self._steps = STEPS
        self._letters = LETTERS

    def step(self, count: int = 1) -> None:
        self._steps -= count
        if self._steps < 0:
            raise CannotFill(f"takes more than {STEPS:,} steps")

    def look(self, size: int) -> None:
        """To go through so many letters or items."""
        self.step(1 + size // 1_000)

    def make(self, letters: int) -> None:
        """To make a text so long: to be asked before it is made."""
        self._letters -= letters
        if self._letters < 0:
            raise CannotFill(f"makes more than {LETTERS:,} letters")
