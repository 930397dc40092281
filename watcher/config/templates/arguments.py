"""Arguments: what a word is given, of the kind that it takes.

A word is a filter, test, method or operator. It takes the budget and the value, then what is written in its
brackets. The law: before it makes something large, it asks the budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from watcher.config.templates.budget import Budget, CannotFill
from watcher.config.templates.plain import is_number, kind_of, text_of

Word = Callable[..., Any]


def as_text(value: Any, budget: Budget) -> str:
    """Any value as the text that it would be, to be looked through."""
    text = text_of(value, budget)
    budget.look(len(text))
    return text


def made(make: Callable[[str], str], value: Any, budget: Budget) -> str:
    """A text made letter by letter: three for one at most, as the longest capital and escape have it."""
    text = as_text(value, budget)
    budget.make(len(text))
    written = make(text)
    budget.make(len(written) - min(len(written), len(text)))
    return written


def a_text(value: Any, word: str) -> str:
    if not isinstance(value, str):
        raise CannotFill(f"`{word}` works on text, and this is {kind_of(value)}")
    return value


def a_number(value: Any, word: str) -> Any:
    if not is_number(value):
        raise CannotFill(f"`{word}` works on numbers, and this is {kind_of(value)}")
    return value


def a_nonzero(value: Any) -> Any:
    if a_number(value, "/") == 0:
        raise CannotFill("division by zero")
    return value


def a_whole(value: Any, word: str) -> int:
    if not is_number(value) or value != int(value):
        raise CannotFill(f"`{word}` takes a whole number, and this is {kind_of(value)}")
    return int(value)


def a_mapping(value: Any, word: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CannotFill(f"`{word}` works on mappings, and this is {kind_of(value)}")
    return value


def a_sized(value: Any, word: str) -> Any:
    if not isinstance(value, str | list | dict):
        raise CannotFill(f"`{word}` of {kind_of(value)}")
    return value
