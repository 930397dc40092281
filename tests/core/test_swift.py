"""What is made swiftly is the same value as ever."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from watcher.core.swift import swift


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Swift:
    name: str
    size: int = 3
    hidden: str = field(default="", repr=False, compare=False)


def test_it_is_made_by_keywords_with_its_defaults() -> None:
    made = Swift(name="one")

    assert (made.name, made.size, made.hidden) == ("one", 3, "")
    assert repr(made) == "Swift(name='one', size=3)"


def test_it_is_equal_hashed_and_replaced_as_any_frozen_dataclass() -> None:
    one, other = Swift(name="one", hidden="x"), Swift(name="one", hidden="y")

    assert one == other
    assert {one: 1}[other] == 1
    assert replace(one, size=4) == Swift(name="one", size=4)


def test_what_is_missing_or_unknown_is_refused() -> None:
    with pytest.raises(TypeError, match="name"):
        Swift()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="colour"):
        Swift(name="one", colour="red")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        Swift("one")  # type: ignore[call-arg]


def test_it_has_no_room_for_anything_else() -> None:
    with pytest.raises(AttributeError):
        Swift(name="one").colour = "red"  # type: ignore[attr-defined]


def test_a_default_that_is_made_anew_is_no_matter_for_it() -> None:
    with pytest.raises(AssertionError):

        @swift
        @dataclass(frozen=True, slots=True, kw_only=True)
        class Listed:
            names: list[str] = field(default_factory=list)


def test_what_follows_from_the_rest_is_set_once() -> None:
    @swift
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Sized:
        name: str
        size: int = field(init=False)

        def __post_init__(self) -> None:
            self.size = len(self.name)  # type: ignore[misc]

    assert Sized(name="one").size == 3
    assert replace(Sized(name="one"), name="three").size == 5
    with pytest.raises(TypeError, match="size"):
        Sized(name="one", size=4)  # type: ignore[call-arg]
