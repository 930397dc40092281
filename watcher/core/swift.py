"""Values of which some are made for every event, made as quickly as other objects.

A frozen dataclass sets each of its fields by a call, as setting one is forbidden: half of what it takes to
make one. These are frozen for the type checker, which sees all of this program, and not while it runs."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar

T = TypeVar("T")


def swift(kind: type[T]) -> type[T]:
    """For a frozen dataclass with keywords only, and no default that is made anew. `__post_init__`, if it has
    one, sets the fields that are not given (`init=False`)."""
    given: dict[str, Any] = {}
    told = [field for field in fields(kind) if field.init]  # type: ignore[arg-type]
    names = [field.name for field in told]
    for field in told:
        assert field.kw_only
        assert field.default_factory is MISSING
        if field.default is not MISSING:
            given[field.name] = field.default
    keywords = ", ".join(f"{name}=given[{name!r}]" if name in given else name for name in names)
    lines = "\n".join(f"  self.{name} = {name}" for name in names)
    if hasattr(kind, "__post_init__"):
        lines += "\n  self.__post_init__()"
    made: dict[str, Any] = {"given": given}
    exec(f"def __init__(self, *, {keywords}):\n{lines}", made)  # noqa: S102 (as `dataclass` itself does)
    kind.__init__ = made["__init__"]  # type: ignore[method-assign]
    del kind.__setattr__, kind.__delattr__
    return kind
