"""Expressions: what stands in a hole becomes a function of what names mean.

The law: what is not on the lists here is refused at load, with a word on what to write instead."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jinja2 import nodes

from watcher.config.templates import filters, operators
from watcher.config.templates.arguments import Word, a_whole
from watcher.config.templates.budget import Budget, CannotFill
from watcher.config.templates.filters import FILTERS
from watcher.config.templates.methods import METHODS
from watcher.config.templates.operators import COMPARISONS, OPERATORS
from watcher.config.templates.plain import (
    Missing,
    Unsaid,
    inside,
    is_number,
    name_of,
    need,
    number,
    text_of,
)
from watcher.config.templates.speech import Fault, Speech
from watcher.config.templates.tests import TESTS, defined, undefined
from watcher.config.values import did_you_mean

NAMES = ("event", "timestamp", "data", "userId", "webhookId")
"""What a template may name: the five keys of the documented body."""

LOOP = ("index", "index0", "revindex", "revindex0", "first", "last", "length")
"""What `loop` knows of a turn."""

OF_WORDS = ("map", "select", "reject", "selectattr", "rejectattr")
"""Filters that are told another filter, or a test."""

MAX_NESTING = 100
"""Levels of an expression, and of statements within each other."""

TOO_DEEP = Fault(f"nests more than {MAX_NESTING} levels", "split it up with `{% set name = … %}`")

TOO_LARGE = Fault("a number that is too large", "write a smaller one")


class Scope:
    """One filling under way: what names mean now, and what is left of the budget."""

    __slots__ = ("budget", "names")

    def __init__(self, names: dict[str, Any], budget: Budget) -> None:
        self.names = names
        self.budget = budget

    def inner(self) -> Scope:
        """The same names, and more to come that are forgotten with it."""
        self.budget.step(1 + len(self.names) // 20)
        return Scope(dict(self.names), self.budget)


Eval = Callable[[Scope], Any]
"""An expression. What is not there is a Missing."""


class Expressions:
    """Makes functions of Jinja's expressions, and notes what is wrong with them."""

    def __init__(self, known: set[str], speech: Speech) -> None:
        self.faults: dict[Fault, None] = {}
        self.reads: set[str] = set()
        """Paths of `data` that they name."""
        self._known = known
        self._speech = speech

    def refuse(self, fault: Fault) -> Callable[..., Any]:
        self.faults[fault] = None
        return _nothing

    def needed(self, node: nodes.Node, depth: int) -> Eval:
        inner = self.value(node, depth)
        return lambda scope: need(inner(scope))

    def value(self, node: nodes.Node, depth: int) -> Eval:
        if depth > MAX_NESTING:
            return self.refuse(TOO_DEEP)
        inner = self._kind(node, depth + 1)

        def counted(scope: Scope) -> Any:
            scope.budget.step()
            return inner(scope)

        return counted

    def _kind(self, node: nodes.Node, depth: int) -> Eval:
        match node:
            case nodes.Const(value=value):
                return self._constant(value)
            case nodes.TemplateData(data=data):
                return lambda scope: data
            case nodes.Name(name=name):
                return self._name(name)
            case nodes.Getattr(node=holder, attr=name):
                return self._part(node, holder, lambda scope: name, depth)
            case nodes.Getitem(node=holder, arg=nodes.Slice() as arg):
                return self._slice(holder, arg, depth)
            case nodes.Getitem(node=holder, arg=arg):
                return self._part(node, holder, self.needed(arg, depth), depth)
            case nodes.List(items=items) | nodes.Tuple(items=items):
                return self._list(items, depth)
            case nodes.Dict(items=pairs):
                return self._mapping(pairs, depth)
            case nodes.CondExpr():
                return self._choice(node, depth)
            case nodes.And(left=left, right=right):
                one, other = self.needed(left, depth), self.value(right, depth)
                return lambda scope: one(scope) and other(scope)
            case nodes.Or(left=left, right=right):
                one, other = self.needed(left, depth), self.value(right, depth)
                return lambda scope: one(scope) or other(scope)
            case nodes.Not(node=inner):
                value = self.needed(inner, depth)
                return lambda scope: not value(scope)
            case nodes.Neg(node=inner) | nodes.Pos(node=inner):
                value, sign = self.needed(inner, depth), -1 if isinstance(node, nodes.Neg) else 1
                return lambda scope: operators.multiply(scope.budget, sign, value(scope))
            case nodes.Concat(nodes=parts):
                return self._concatenation(parts, depth)
            case nodes.Compare(expr=first, ops=operands):
                return self._comparison(first, operands, depth)
            case nodes.BinExpr(left=left, right=right, operator=operator) if operator in OPERATORS:
                return self._operation(OPERATORS[operator], left, right, depth)
            case nodes.Filter(node=nodes.Expr() as inner, name=name):
                return self._filter(node, name, self.value(inner, depth), depth)
            case nodes.Test(node=inner, name=name):
                return self._test(node, name, self.value(inner, depth), depth)
            case nodes.Call(node=nodes.Getattr(node=holder, attr=name)):
                return self._method(node, name, self.needed(holder, depth), depth)
            case nodes.Call():
                return self.refuse(
                    Fault("a call of a function", f"there are filters: {_listed([*FILTERS, *OF_WORDS])}")
                )
            case _:
                return self.refuse(forbidden(node))

    def _constant(self, value: Any) -> Eval:
        if is_number(value):
            try:
                value = number(value)
            except CannotFill:
                return self.refuse(TOO_LARGE)
        return lambda scope: value

    def _name(self, name: str) -> Eval:
        if name not in self._known:
            meant = did_you_mean(name, self._known)
            fields = "fields are in `data`;" if self._speech.secret else f"did you mean `data.{name}`?"
            cure = f"did you mean `{meant}`?" if meant else fields
            known = f"there are {', '.join(NAMES)}, and what a `set` or `for` names"
            self.refuse(Fault(f"nothing is called {self._speech.quoted(name)}", f"{cure} {known}"))
        return lambda scope: scope.names[name] if name in scope.names else Missing(f"`{name}`")

    def _part(self, node: nodes.Node, holder: nodes.Node, key: Eval, depth: int) -> Eval:
        value, path = self.value(holder, depth), _path(node)
        match path.split(".") if path is not None else []:
            case ["data", *names]:
                self.reads.add(".".join(names))
            case ["loop", name, *_] if name not in LOOP:
                cure = did_you_mean(name, LOOP)
                told = f"did you mean `loop.{cure}`?" if cure else f"there are {', '.join(LOOP)}"
                self.refuse(Fault(f"no part of `loop` is called {self._speech.quoted(name)}", told))
        what = path or f"a part of {_path(holder) or 'a value'}"

        def part(scope: Scope) -> Any:
            whole = _said(value(scope))
            return whole if isinstance(whole, Missing) else inside(whole, key(scope), what)

        return part

    def _slice(self, holder: nodes.Node, node: nodes.Slice, depth: int) -> Eval:
        value = self.value(holder, depth)
        bounds = [
            self.needed(each, depth) if each is not None else None
            for each in (node.start, node.stop, node.step)
        ]

        def cut(scope: Scope) -> Any:
            whole = _said(value(scope))
            if isinstance(whole, Missing):
                return whole
            start, stop, step = (
                None if each is None or (bound := each(scope)) is None else a_whole(bound, "[:]")
                for each in bounds
            )
            if step == 0 or not isinstance(whole, str | list):
                raise CannotFill("`[:]` cuts text and lists, in steps that are not 0")
            scope.budget.look(len(whole))
            size = len(range(*slice(start, stop, step).indices(len(whole))))
            if isinstance(whole, str):
                scope.budget.make(size)
            else:
                scope.budget.step(size // 20)
            return whole[start:stop:step]

        return cut

    def _list(self, items: Iterable[nodes.Node], depth: int) -> Eval:
        values = [self.needed(item, depth) for item in items]
        return lambda scope: [value(scope) for value in values]

    def _mapping(self, pairs: Iterable[nodes.Pair], depth: int) -> Eval:
        made = [(self.needed(pair.key, depth), self.needed(pair.value, depth)) for pair in pairs]
        return lambda scope: {name_of(name(scope)): value(scope) for name, value in made}

    def _choice(self, node: nodes.CondExpr, depth: int) -> Eval:
        test, one = self.needed(node.test, depth), self.value(node.expr1, depth)
        if node.expr2 is None:
            return lambda scope: one(scope) if test(scope) else _UNSAID
        other = self.value(node.expr2, depth)
        return lambda scope: one(scope) if test(scope) else other(scope)

    def _concatenation(self, parts: Iterable[nodes.Node], depth: int) -> Eval:
        values = [self.needed(part, depth) for part in parts]
        return lambda scope: operators.together(
            scope.budget, [text_of(value(scope), scope.budget) for value in values]
        )

    def _comparison(self, first: nodes.Node, operands: Iterable[nodes.Operand], depth: int) -> Eval:
        start = self.needed(first, depth)
        rest = [(COMPARISONS[each.op], self.needed(each.expr, depth)) for each in operands]

        def compare(scope: Scope) -> bool:
            one = start(scope)
            for holds, value in rest:
                other = value(scope)
                if not holds(scope.budget, one, other):
                    return False
                one = other
            return True

        return compare

    def _operation(self, word: Word, left: nodes.Node, right: nodes.Node, depth: int) -> Eval:
        one, other = self.needed(left, depth), self.needed(right, depth)
        return lambda scope: word(scope.budget, one(scope), other(scope))

    # ------------------------------------------------------------------ words

    def _filter(self, node: nodes.Filter, name: str, value: Eval, depth: int) -> Eval:
        if name in self._speech.refused:
            return self.refuse(self._speech.refused[name])
        if name in OF_WORDS:
            return self._filter_of_words(node, name, value, depth)
        word = self._word("filter", name, FILTERS, OF_WORDS)
        if word is None:
            return _nothing
        given = self._given(node, f"the filter `{name}`", word, node.args, depth)
        if word is filters.default:
            return lambda scope: word(scope.budget, value(scope), *given[0](scope), **given[1](scope))
        return lambda scope: word(scope.budget, need(value(scope)), *given[0](scope), **given[1](scope))

    def _filter_of_words(self, node: nodes.Filter, name: str, value: Eval, depth: int) -> Eval:
        """The filters that are told a filter or a test by its name."""
        attribute: Eval | None = None
        args = list(node.args)
        if name == "map" and not args and node.kwargs:
            return self._map_of_parts(node, value, depth)
        if name.endswith("attr"):
            if not args:
                return self.refuse(Fault(f"`{name}` without a name", f'write `{name}("name")`'))
            attribute = self.needed(args.pop(0), depth)
        apply = self._applied(node, name, args, depth)
        if name == "map":
            return lambda scope: filters.mapped(scope.budget, need(value(scope)), apply(scope))
        wanted = name.startswith("select")
        return lambda scope: filters.picked(
            scope.budget,
            need(value(scope)),
            apply(scope),
            attribute(scope) if attribute is not None else None,
            wanted,
        )

    def _map_of_parts(self, node: nodes.Filter, value: Eval, depth: int) -> Eval:
        """`map(attribute="name")`, and `map(attribute="name", default="")`."""
        given = self._given(node, "the filter `map`", filters.map_of_parts, (), depth)[1]
        return lambda scope: filters.map_of_parts(scope.budget, need(value(scope)), **given(scope))

    def _applied(
        self, node: nodes.Filter, name: str, args: Sequence[nodes.Node], depth: int
    ) -> Callable[[Scope], filters.Applied]:
        """What is done with each item: a named filter or test, or the question whether it is true."""
        if not args and name != "map":
            return lambda scope: lambda budget, item: bool(need(item))
        if not args or not isinstance(args[0], nodes.Const) or not isinstance(args[0].value, str):
            cure = 'write `map("upper")`, `map(attribute="name")` or `select("defined")`'
            return self.refuse(Fault(f"`{name}` without a name in quotes", cure))
        kind, known = ("filter", FILTERS) if name == "map" else ("test", TESTS)
        word = self._word(kind, args[0].value, known)
        if word is None:
            return _nothing
        given = self._given(node, f"the {kind} `{args[0].value}`", word, args[1:], depth)
        forgiving = word in _FORGIVING

        def apply(scope: Scope) -> filters.Applied:
            positional, named = given[0](scope), given[1](scope)
            return lambda budget, item: word(budget, item if forgiving else need(item), *positional, **named)

        return apply

    def _test(self, node: nodes.Test, name: str, value: Eval, depth: int) -> Eval:
        word = self._word("test", name, TESTS)
        if word is None:
            return _nothing
        given = self._given(node, f"the test `{name}`", word, node.args, depth)
        if word in _FORGIVING:
            return lambda scope: word(scope.budget, value(scope))
        return lambda scope: word(scope.budget, need(value(scope)), *given[0](scope), **given[1](scope))

    def _method(self, node: nodes.Call, name: str, value: Eval, depth: int) -> Eval:
        word = self._word("method", name, METHODS)
        if word is None:
            return _nothing
        given = self._given(node, f"`.{name}()`", word, node.args, depth)
        return lambda scope: word(scope.budget, value(scope), *given[0](scope), **given[1](scope))

    def _word(
        self, kind: str, name: str, known: Mapping[str, Word], others: Sequence[str] = ()
    ) -> Word | None:
        """`others`: what there is of its kind besides."""
        if name in known:
            return known[name]
        meant = did_you_mean(name, [*known, *others])
        cure = f"did you mean `{meant}`?" if meant else f"known: {_listed([*known, *others])}"
        self.refuse(Fault(f"no {kind} is called {self._speech.quoted(name)}", cure))
        return None

    def _given(
        self, node: Any, what: str, word: Any, args: Sequence[nodes.Node], depth: int
    ) -> tuple[Callable[[Scope], list[Any]], Callable[[Scope], dict[str, Any]]]:
        """What stands in the brackets behind a word: it must be what the word takes."""
        positional = [self.needed(each, depth) for each in args]
        named = {each.key: self.needed(each.value, depth) for each in node.kwargs or ()}
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self.refuse(Fault(f"`*` in what {what} is given", "write each value out"))
        try:
            inspect.signature(word).bind(None, None, *positional, **named)
        except TypeError as error:
            told = "" if self._speech.secret else f": {error}"
            self.refuse(Fault(f"{what} cannot be given that{told}", "see docs/FORMS.md"))
        return (
            lambda scope: [each(scope) for each in positional],
            lambda scope: {name: each(scope) for name, each in named.items()},
        )


_FORGIVING = frozenset({filters.default, defined, undefined})
"""Words that may be asked of what is missing."""


def _nothing(*_: Any) -> Any:
    """Stands for what could not be read; it is never run."""
    return None


_UNSAID = Unsaid("what an `if` without `else` leaves out")


def _said(value: Any) -> Any:
    return need(value) if isinstance(value, Unsaid) else value


_STATEMENTS = "`{{ … }}`, `{% if %}`, `{% for %}` and `{% set %}` are what there is"

_REFUSED = {
    "Macro": "macros",
    "CallBlock": "call blocks",
    "Import": "imports",
    "FromImport": "imports",
    "Include": "includes",
    "Extends": "inheritance",
    "Block": "blocks",
    "FilterBlock": "filter blocks",
    "AssignBlock": "`set` blocks",
    "With": "`with`",
    "Scope": "`autoescape`",
    "Pow": "`**`",
    "NSRef": "namespaces",
}


def forbidden(node: nodes.Node) -> Fault:
    kind = type(node).__name__
    return Fault(f"{_REFUSED.get(kind, kind)} cannot be used here", _STATEMENTS)


def _path(node: nodes.Node) -> str | None:
    """`data.feedback.tag`, of a part that is named by fixed names alone."""
    match node:
        case nodes.Name(name=name):
            return str(name)
        case (
            nodes.Getattr(node=holder, attr=name)
            | nodes.Getitem(node=holder, arg=nodes.Const(value=str(name)))
        ):
            path = _path(holder)
            return None if path is None else f"{path}.{name}"
        case _:
            return None


def _listed(known: Iterable[str]) -> str:
    return ", ".join(name for name in known if name.isalpha())
