"""Reading: one text with `{{ holes }}` in it becomes a function. Of Jinja2, only its grammar is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2 import nodes

from watcher.config.templates.budget import CannotFill
from watcher.config.templates.expressions import (
    LOOP,
    MAX_NESTING,
    NAMES,
    TOO_DEEP,
    TOO_LARGE,
    Eval,
    Expressions,
    Scope,
    forbidden,
)
from watcher.config.templates.plain import items_of
from watcher.config.templates.speech import Fault, Speech

MAX_LETTERS = 65_536
"""Of one text. The longest of the ready-made ones have a twentieth."""

Run = Callable[[Scope, list[str]], None]
"""A part of the text: what it says is added to the list."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that was read."""

    fill: Eval
    reads: frozenset[str]
    """Paths of `data` that it names."""
    faults: tuple[Fault, ...] = ()
    """It is worth nothing if there are any."""


PLAIN = Speech()


def read(text: str, *, speech: Speech = PLAIN, sole: bool = True) -> Text:
    """Read a text. `sole`: one that is a single `{{ expression }}` gives its value; else it is text, too."""
    if len(text) > MAX_LETTERS:
        fault = Fault(f"is longer than {MAX_LETTERS:,} letters", "make it shorter, or split it")
        return _useless(fault)
    try:
        tree = jinja2.Environment(autoescape=False).parse(text)  # noqa: S701 (nothing here is HTML)
        return _Statements(tree, speech).text(sole=sole)
    except jinja2.TemplateSyntaxError as error:
        return _useless(_syntax(error, text, speech))
    except RecursionError:
        return _useless(TOO_DEEP)
    except ValueError:  # of Python's own, for a number with thousands of digits
        return _useless(TOO_LARGE)


def _useless(*faults: Fault) -> Text:
    return Text(fill=lambda scope: None, reads=frozenset(), faults=faults)


def _syntax(error: jinja2.TemplateSyntaxError, text: str, speech: Speech) -> Fault:
    where = f" (line {error.lineno} of it)" if "\n" in text.strip() else ""
    told = "" if speech.secret else f": {error.message}{where}"
    return Fault(f"is no template{told}", "see docs/FORMS.md for what may be written")


_LOOP = Fault("`loop` as a name of one's own", "take another: each loop gives this one to its turns")


class _Statements:
    """Makes functions of Jinja's statements."""

    def __init__(self, tree: nodes.Template, speech: Speech) -> None:
        self._tree = tree
        self._speech = speech
        self._expressions = Expressions({*NAMES, *_set_in(tree)}, speech)

    def text(self, *, sole: bool) -> Text:
        alone = _alone(self._tree) if sole else None
        if alone is not None:
            fill = self._expressions.needed(alone, 0)
        else:
            run = self._body(self._tree.body, 0)

            def fill(scope: Scope) -> str:
                said: list[str] = []
                run(scope, said)
                return "".join(said)

        return Text(
            fill=fill, reads=frozenset(self._expressions.reads), faults=tuple(self._expressions.faults)
        )

    def _body(self, body: Sequence[nodes.Node], depth: int) -> Run:
        runs = [self._statement(node, depth + 1) for node in body]

        def run(scope: Scope, said: list[str]) -> None:
            for each in runs:
                each(scope, said)

        return run

    def _statement(self, node: nodes.Node, depth: int) -> Run:
        if depth > MAX_NESTING:
            return self._expressions.refuse(TOO_DEEP)
        match node:
            case nodes.Output(nodes=parts):
                return self._output(parts, depth)
            case nodes.If():
                return self._if(node, depth)
            case nodes.For():
                return self._for(node, depth)
            case nodes.Assign(target=nodes.Name(name="loop")):
                return self._expressions.refuse(_LOOP)
            case nodes.Assign(target=nodes.Name(name=name), node=value):
                return self._set(name, self._expressions.value(value, depth))
            case nodes.Assign():
                return self._expressions.refuse(
                    Fault("`set` of more than one plain name", "write one `set` for each")
                )
            case _:
                return self._expressions.refuse(forbidden(node))

    def _output(self, parts: Iterable[nodes.Node], depth: int) -> Run:
        runs = [self._piece(each, depth) for each in parts]

        def run(scope: Scope, said: list[str]) -> None:
            for each in runs:
                text = each(scope)
                scope.budget.make(len(text))
                said.append(text)

        return run

    def _piece(self, node: nodes.Node, depth: int) -> Callable[[Scope], str]:
        if isinstance(node, nodes.TemplateData):
            data = str(node.data)
            return lambda scope: data
        value, spoken = self._expressions.needed(node, depth), self._speech.spoken
        return lambda scope: spoken(value(scope), scope.budget)

    def _if(self, node: nodes.If, depth: int) -> Run:
        branches = [(self._expressions.needed(node.test, depth), self._body(node.body, depth))]
        branches += [
            (self._expressions.needed(each.test, depth), self._body(each.body, depth)) for each in node.elif_
        ]
        otherwise = self._body(node.else_, depth)

        def run(scope: Scope, said: list[str]) -> None:
            for test, body in branches:
                if test(scope):
                    body(scope, said)
                    return
            otherwise(scope, said)

        return run

    def _for(self, node: nodes.For, depth: int) -> Run:
        if node.recursive:
            return self._expressions.refuse(Fault("`recursive` loops", "write one loop inside another"))
        targets = _targets(node.target)
        if targets and "loop" in targets:
            return self._expressions.refuse(_LOOP)
        if targets is None:
            return self._expressions.refuse(
                Fault("a loop over names within names", "write `for name, value in …`")
            )
        alone = isinstance(node.target, nodes.Name)
        source = self._expressions.needed(node.iter, depth)
        chosen = self._expressions.needed(node.test, depth) if node.test is not None else None
        body, otherwise = self._body(node.body, depth), self._body(node.else_, depth)
        counting = any(name.name == "loop" for each in node.body for name in _names_in(each))

        def bound(scope: Scope, item: Any) -> Scope:
            # What is set inside of a turn is forgotten with it, as Jinja has it. One turn's names at a time:
            # many turns of many names would take all memory.
            turn = scope.inner()
            if alone:
                turn.names[targets[0]] = item
            elif isinstance(item, list) and len(item) == len(targets):
                turn.names.update(zip(targets, item, strict=True))
            else:
                raise CannotFill(f"a loop over {len(targets)} names meets something that is not so many")
            return turn

        def run(scope: Scope, said: list[str]) -> None:
            items = items_of(source(scope), scope.budget)
            if chosen is not None:
                items = [item for item in items if chosen(bound(scope, item))]
            for place, item in enumerate(items):
                turn = bound(scope, item)
                if counting:
                    turn.names["loop"] = _loop(place, len(items))
                body(turn, said)
            if not items:
                otherwise(scope.inner(), said)

        return run

    def _set(self, name: str, value: Eval) -> Run:
        def run(scope: Scope, said: list[str]) -> None:
            scope.names[name] = value(scope)

        return run


def _alone(tree: nodes.Template) -> nodes.Expr | None:
    """The expression that a text is, if it is nothing else."""
    match tree.body:
        case [nodes.Output(nodes=[nodes.Expr() as sole])] if not isinstance(sole, nodes.TemplateData):
            return sole
        case _:
            return None


def _names_in(node: nodes.Node) -> Iterator[nodes.Name]:
    if isinstance(node, nodes.Name):
        yield node
    yield from node.find_all(nodes.Name)


def _set_in(tree: nodes.Template) -> Iterator[str]:
    """The names that `set` and `for` give."""
    for loop in tree.find_all(nodes.For):
        yield "loop"
        yield from (name.name for name in _names_in(loop.target))
    for assignment in tree.find_all(nodes.Assign):
        yield from (name.name for name in _names_in(assignment.target))


def _targets(target: nodes.Node) -> list[str] | None:
    if isinstance(target, nodes.Name):
        return [target.name]
    if isinstance(target, nodes.Tuple) and all(isinstance(item, nodes.Name) for item in target.items):
        return [item.name for item in target.items if isinstance(item, nodes.Name)]
    return None


def _loop(place: int, turns: int) -> dict[str, Any]:
    known = (place + 1, place, turns - place, turns - place - 1, place == 0, place == turns - 1, turns)
    return dict(zip(LOOP, known, strict=True))
