"""Methods: what may be called on a value, as `data.title.upper()`: on text, and on mappings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watcher.config.templates import filters
from watcher.config.templates.arguments import Word, a_mapping, a_text, made
from watcher.config.templates.budget import Budget
from watcher.config.templates.plain import Missing, inside, items_of


def upper(budget: Budget, value: Any) -> str:
    return filters.upper(budget, a_text(value, "upper"))


def lower(budget: Budget, value: Any) -> str:
    return filters.lower(budget, a_text(value, "lower"))


def capitalize(budget: Budget, value: Any) -> str:
    return filters.capitalize(budget, a_text(value, "capitalize"))


def title(budget: Budget, value: Any) -> str:
    """Python's: other than the filter's, its words end at an apostrophe."""
    return made(str.title, a_text(value, "title"), budget)


def strip(budget: Budget, value: Any, chars: Any = None, /) -> str:
    given = None if chars is None else a_text(chars, "strip")
    return filters.trim(budget, a_text(value, "strip"), given)


def replace(budget: Budget, value: Any, old: Any, new: Any, count: Any = -1, /) -> str:
    text, sought, put = (a_text(each, "replace") for each in (value, old, new))
    return filters.replace(budget, text, sought, put, count)


def split(budget: Budget, value: Any, sep: Any = None, maxsplit: Any = -1) -> list[str]:
    given = None if sep is None else a_text(sep, "split")
    return filters.split(budget, a_text(value, "split"), given, maxsplit)


def startswith(budget: Budget, value: Any, prefix: Any, /) -> bool:
    text, given = a_text(value, "startswith"), a_text(prefix, "startswith")
    budget.look(len(given))
    return text.startswith(given)


def endswith(budget: Budget, value: Any, suffix: Any, /) -> bool:
    text, given = a_text(value, "endswith"), a_text(suffix, "endswith")
    budget.look(len(given))
    return text.endswith(given)


def get(budget: Budget, value: Any, name: Any, default: Any = None, /) -> Any:
    found = inside(a_mapping(value, "get"), name, "")
    return default if isinstance(found, Missing) else found


def keys(budget: Budget, value: Any) -> list[Any]:
    return items_of(a_mapping(value, "keys"), budget)


def values(budget: Budget, value: Any) -> list[Any]:
    return [pair[1] for pair in filters.items(budget, value)]


METHODS: Mapping[str, Word] = {
    "upper": upper,
    "lower": lower,
    "capitalize": capitalize,
    "title": title,
    "strip": strip,
    "replace": replace,
    "split": split,
    "startswith": startswith,
    "endswith": endswith,
    "get": get,
    "items": filters.items,
    "keys": keys,
    "values": values,
}
