"""Reading: one text with `{{ holes }}` in it becomes a function. The only place that knows Jinja2, and of it
no more than its grammar.

The law: what is not on the lists here is refused at load, with a word on what to write instead."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2
from jinja2 import nodes

from watcher.config.templates import words
from watcher.config.templates.budget import Budget, CannotFill
from watcher.config.templates.plain import Missing, is_number, need, number, text_of
from watcher.config.values import did_you_mean

NAMES = ("event", "timestamp", "data", "userId", "webhookId")
"""What a template may name: the five keys of the documented body."""

MAX_LETTERS = 65_536
"""Of one text. The longest of the ready-made ones have a twentieth."""

MAX_NESTING = 100
"""Levels of an expression, and of statements within each other."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a template that cannot be used."""

    what: str
    cure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How what is read is spoken: of values in it, and of what is wrong with it."""

    spoken: Callable[[Any, Budget], str] = text_of
    """A value as text."""
    refused: Mapping[str, Fault] = field(default_factory=dict)
    """Filters that make no sense there."""
    secret: bool = False
    """It may hold a secret: nothing of it is quoted."""

    def quoted(self, name: str) -> str:
        return "what stands there" if self.secret else f"`{name}`"


class Scope:
    """One filling under way: what names mean now, and what is left of the budget."""

    __slots__ = ("budget", "names")

    def __init__(self, names: dict[str, Any], budget: Budget) -> None:
        self.names = names
        self.budget = budget


Eval = Callable[[Scope], Any]
"""An expression. What is not there is a Missing."""

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
        return _Reader(tree, speech).text(sole=sole)
    except jinja2.TemplateSyntaxError as error:
        return _useless(_syntax(error, text, speech))
    except RecursionError:
        return _useless(_TOO_DEEP)
    except ValueError:  # of Python's own, for a number with thousands of digits
        return _useless(_TOO_LARGE)


def _useless(*faults: Fault) -> Text:
    return Text(fill=lambda scope: None, reads=frozenset(), faults=faults)


def _syntax(error: jinja2.TemplateSyntaxError, text: str, speech: Speech) -> Fault:
    where = f" (line {error.lineno} of it)" if "\n" in text.strip() else ""
    told = "" if speech.secret else f": {error.message}{where}"
    return Fault(f"is no template{told}", "see docs/FORMS.md for what may be written")


_TOO_DEEP = Fault(f"nests more than {MAX_NESTING} levels", "split it up with `{% set name = … %}`")

_TOO_LARGE = Fault("a number that is too large", "write a smaller one")

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


class _Reader:
    """Makes functions of Jinja's nodes, and notes what is wrong with them."""

    def __init__(self, tree: nodes.Template, speech: Speech) -> None:
        self._tree = tree
        self._speech = speech
        self._faults: dict[Fault, None] = {}
        self._reads: set[str] = set()
        self._known = {*NAMES, *_set_in(tree)}

    def text(self, *, sole: bool) -> Text:
        alone = _alone(self._tree) if sole else None
        if alone is not None:
            inner = self._expression(alone, 0)
            fill: Eval = lambda scope: need(inner(scope))  # noqa: E731 (a function of its own would say no more)
        else:
            run = self._body(self._tree.body, 0)

            def fill(scope: Scope) -> str:
                said: list[str] = []
                run(scope, said)
                return "".join(said)

        return Text(fill=fill, reads=frozenset(self._reads), faults=tuple(self._faults))

    # ------------------------------------------------------------------ statements

    def _body(self, body: Sequence[nodes.Node], depth: int) -> Run:
        runs = [self._statement(node, depth + 1) for node in body]

        def run(scope: Scope, said: list[str]) -> None:
            for each in runs:
                each(scope, said)

        return run

    def _statement(self, node: nodes.Node, depth: int) -> Run:
        if depth > MAX_NESTING:
            return self._refuse(_TOO_DEEP)
        match node:
            case nodes.Output(nodes=parts):
                return self._output(parts, depth)
            case nodes.If():
                return self._if(node, depth)
            case nodes.For():
                return self._for(node, depth)
            case nodes.Assign(target=nodes.Name(name=name), node=value):
                return self._set(name, self._needed(value, depth))
            case nodes.Assign():
                return self._refuse(Fault("`set` of more than one plain name", "write one `set` for each"))
            case _:
                return self._refuse(self._forbidden(node))

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
        value, spoken = self._needed(node, depth), self._speech.spoken
        return lambda scope: spoken(value(scope), scope.budget)

    def _if(self, node: nodes.If, depth: int) -> Run:
        branches = [(self._needed(node.test, depth), self._body(node.body, depth))]
        branches += [(self._needed(each.test, depth), self._body(each.body, depth)) for each in node.elif_]
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
            return self._refuse(Fault("`recursive` loops", "write one loop inside another"))
        targets = _targets(node.target)
        if targets is None:
            return self._refuse(Fault("a loop over names within names", "write `for name, value in …`"))
        alone = isinstance(node.target, nodes.Name)
        source = self._needed(node.iter, depth)
        chosen = self._needed(node.test, depth) if node.test is not None else None
        body, otherwise = self._body(node.body, depth), self._body(node.else_, depth)
        counting = any(name.name == "loop" for each in node.body for name in _names_in(each))

        def bound(scope: Scope, item: Any) -> Scope:
            # What is set inside of a turn is forgotten with it, as Jinja has it.
            scope.budget.step(1 + len(scope.names) // 20)
            names = dict(scope.names)
            if alone:
                names[targets[0]] = item
            elif isinstance(item, list) and len(item) == len(targets):
                names.update(zip(targets, item, strict=True))
            else:
                raise CannotFill(f"a loop over {len(targets)} names meets something that is not so many")
            return Scope(names, scope.budget)

        def run(scope: Scope, said: list[str]) -> None:
            turns = [bound(scope, item) for item in words.list_(scope.budget, source(scope))]
            if chosen is not None:
                turns = [turn for turn in turns if chosen(turn)]
            for place, turn in enumerate(turns):
                if counting:
                    turn.names["loop"] = _loop(place, len(turns))
                body(turn, said)
            if not turns:
                otherwise(scope, said)

        return run

    def _set(self, name: str, value: Eval) -> Run:
        def run(scope: Scope, said: list[str]) -> None:
            scope.names[name] = value(scope)

        return run

    # ------------------------------------------------------------------ expressions

    def _needed(self, node: nodes.Node, depth: int) -> Eval:
        inner = self._expression(node, depth)
        return lambda scope: need(inner(scope))

    def _expression(self, node: nodes.Node, depth: int) -> Eval:
        if depth > MAX_NESTING:
            return self._refuse(_TOO_DEEP)
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
                return self._part(node, holder, self._needed(arg, depth), depth)
            case nodes.List(items=items) | nodes.Tuple(items=items):
                return self._list(items, depth)
            case nodes.Dict(items=pairs):
                return self._mapping(pairs, depth)
            case nodes.CondExpr():
                return self._choice(node, depth)
            case nodes.And(left=left, right=right):
                one, other = self._needed(left, depth), self._needed(right, depth)
                return lambda scope: one(scope) and other(scope)
            case nodes.Or(left=left, right=right):
                one, other = self._needed(left, depth), self._needed(right, depth)
                return lambda scope: one(scope) or other(scope)
            case nodes.Not(node=inner):
                value = self._needed(inner, depth)
                return lambda scope: not value(scope)
            case nodes.Neg(node=inner) | nodes.Pos(node=inner):
                value, sign = self._needed(inner, depth), -1 if isinstance(node, nodes.Neg) else 1
                return lambda scope: words.multiply(scope.budget, sign, value(scope))
            case nodes.Concat(nodes=parts):
                return self._concatenation(parts, depth)
            case nodes.Compare(expr=first, ops=operands):
                return self._comparison(first, operands, depth)
            case nodes.BinExpr(left=left, right=right, operator=operator) if operator in words.OPERATORS:
                return self._operation(words.OPERATORS[operator], left, right, depth)
            case nodes.Filter(node=nodes.Expr() as inner, name=name):
                return self._filter(node, name, self._expression(inner, depth), depth)
            case nodes.Test(node=inner, name=name):
                return self._test(node, name, self._expression(inner, depth), depth)
            case nodes.Call(node=nodes.Getattr(node=holder, attr=name)):
                return self._method(node, name, self._needed(holder, depth), depth)
            case nodes.Call():
                return self._refuse(
                    Fault("a call of a function", f"there are filters: {_listed(words.FILTERS)}")
                )
            case _:
                return self._refuse(self._forbidden(node))

    def _constant(self, value: Any) -> Eval:
        if is_number(value):
            try:
                value = number(value)
            except CannotFill:
                return self._refuse(_TOO_LARGE)
        return lambda scope: value

    def _name(self, name: str) -> Eval:
        if name not in self._known:
            meant = did_you_mean(name, self._known)
            fields = "fields are in `data`;" if self._speech.secret else f"did you mean `data.{name}`?"
            cure = f"did you mean `{meant}`?" if meant else fields
            known = f"there are {', '.join(NAMES)}, and what a `set` or `for` names"
            self._faults[Fault(f"nothing is called {self._speech.quoted(name)}", f"{cure} {known}")] = None
        return lambda scope: scope.names[name] if name in scope.names else Missing(f"`{name}`")

    def _part(self, node: nodes.Node, holder: nodes.Node, key: Eval, depth: int) -> Eval:
        value, path = self._expression(holder, depth), _path(node)
        if path is not None and path.startswith("data."):
            self._reads.add(path.removeprefix("data."))
        what = path or f"a part of {_path(holder) or 'a value'}"

        def part(scope: Scope) -> Any:
            whole = value(scope)
            if isinstance(whole, Missing):
                return whole
            name = key(scope)
            if isinstance(whole, dict):
                return whole[name] if isinstance(name, str) and name in whole else Missing(what)
            there = isinstance(whole, list | str) and type(name) is int and -len(whole) <= name < len(whole)
            return whole[name] if there else Missing(what)

        return part

    def _slice(self, holder: nodes.Node, node: nodes.Slice, depth: int) -> Eval:
        value = self._needed(holder, depth)
        bounds = [
            self._needed(each, depth) if each is not None else None
            for each in (node.start, node.stop, node.step)
        ]

        def cut(scope: Scope) -> Any:
            whole = value(scope)
            numbers = [words.whole(each(scope), "[:]") if each is not None else None for each in bounds]
            if numbers[2] == 0 or not isinstance(whole, str | list):
                raise CannotFill("`[:]` cuts text and lists, in steps that are not 0")
            scope.budget.look(len(whole))
            return whole[slice(*numbers)]

        return cut

    def _list(self, items: Iterable[nodes.Node], depth: int) -> Eval:
        values = [self._needed(item, depth) for item in items]
        return lambda scope: [value(scope) for value in values]

    def _mapping(self, pairs: Iterable[nodes.Pair], depth: int) -> Eval:
        made = [(self._needed(pair.key, depth), self._needed(pair.value, depth)) for pair in pairs]
        return lambda scope: {text_of(name(scope), scope.budget): value(scope) for name, value in made}

    def _choice(self, node: nodes.CondExpr, depth: int) -> Eval:
        if node.expr2 is None:
            return self._refuse(Fault("an `if` in an expression without its `else`", 'add `else ""`'))
        test, one, other = (self._needed(each, depth) for each in (node.test, node.expr1, node.expr2))
        return lambda scope: one(scope) if test(scope) else other(scope)

    def _concatenation(self, parts: Iterable[nodes.Node], depth: int) -> Eval:
        values = [self._needed(part, depth) for part in parts]
        return lambda scope: words.together(
            scope.budget, [text_of(value(scope), scope.budget) for value in values]
        )

    def _comparison(self, first: nodes.Node, operands: Iterable[nodes.Operand], depth: int) -> Eval:
        start = self._needed(first, depth)
        rest = [(words.COMPARISONS[each.op], self._needed(each.expr, depth)) for each in operands]

        def compare(scope: Scope) -> bool:
            one = start(scope)
            for holds, value in rest:
                other = value(scope)
                if not holds(scope.budget, one, other):
                    return False
                one = other
            return True

        return compare

    def _operation(self, word: words.Word, left: nodes.Node, right: nodes.Node, depth: int) -> Eval:
        one, other = self._needed(left, depth), self._needed(right, depth)
        return lambda scope: word(scope.budget, one(scope), other(scope))

    # ------------------------------------------------------------------ words

    def _filter(self, node: nodes.Filter, name: str, value: Eval, depth: int) -> Eval:
        if name in self._speech.refused:
            return self._refuse(self._speech.refused[name])
        if name in ("map", "select", "reject", "selectattr", "rejectattr"):
            return self._filter_of_words(node, name, value, depth)
        word = self._word("filter", name, words.FILTERS)
        if word is None:
            return _nothing
        given = self._given(node, f"the filter `{name}`", word, node.args, depth)
        if word is words.default:
            return lambda scope: word(scope.budget, value(scope), *given[0](scope), **given[1](scope))
        return lambda scope: word(scope.budget, need(value(scope)), *given[0](scope), **given[1](scope))

    def _filter_of_words(self, node: nodes.Filter, name: str, value: Eval, depth: int) -> Eval:
        """The filters that are told a filter or a test by its name."""
        attribute: Eval | None = None
        args = list(node.args)
        if name == "map" and not args and [each.key for each in node.kwargs] == ["attribute"]:
            path = self._needed(node.kwargs[0].value, depth)
            return lambda scope: [
                need(words.part(item, path(scope))) for item in words.list_(scope.budget, need(value(scope)))
            ]
        if name.endswith("attr"):
            if not args:
                return self._refuse(Fault(f"`{name}` without a name", f'write `{name}("name")`'))
            attribute = self._needed(args.pop(0), depth)
        apply = self._applied(node, name, args, depth)
        if name == "map":
            return lambda scope: [
                need(each) for each in words.mapped(scope.budget, need(value(scope)), apply(scope))
            ]
        wanted = name.startswith("select")
        return lambda scope: words.picked(
            scope.budget,
            need(value(scope)),
            apply(scope),
            attribute(scope) if attribute is not None else None,
            wanted,
        )

    def _applied(
        self, node: nodes.Filter, name: str, args: Sequence[nodes.Node], depth: int
    ) -> Callable[[Scope], words.Applied]:
        """What is done with each item: a named filter or test, or the question whether it is true."""
        if not args and name != "map":
            return lambda scope: lambda budget, item: bool(need(item))
        if not args or not isinstance(args[0], nodes.Const) or not isinstance(args[0].value, str):
            cure = 'write `map("upper")`, `map(attribute="name")` or `select("defined")`'
            return self._refuse(Fault(f"`{name}` without a name in quotes", cure))
        kind, known = ("filter", words.FILTERS) if name == "map" else ("test", words.TESTS)
        word = self._word(kind, args[0].value, known)
        if word is None:
            return _nothing
        given = self._given(node, f"the {kind} `{args[0].value}`", word, args[1:], depth)
        forgiving = word in _FORGIVING

        def apply(scope: Scope) -> words.Applied:
            positional, named = given[0](scope), given[1](scope)
            return lambda budget, item: word(budget, item if forgiving else need(item), *positional, **named)

        return apply

    def _test(self, node: nodes.Test, name: str, value: Eval, depth: int) -> Eval:
        word = self._word("test", name, words.TESTS)
        if word is None:
            return _nothing
        given = self._given(node, f"the test `{name}`", word, node.args, depth)
        if word in _FORGIVING:
            return lambda scope: word(scope.budget, value(scope))
        return lambda scope: word(scope.budget, need(value(scope)), *given[0](scope), **given[1](scope))

    def _method(self, node: nodes.Call, name: str, value: Eval, depth: int) -> Eval:
        word = self._word("method", name, words.METHODS)
        if word is None:
            return _nothing
        given = self._given(node, f"`.{name}()`", word, node.args, depth)
        return lambda scope: word(scope.budget, value(scope), *given[0](scope), **given[1](scope))

    def _word(self, kind: str, name: str, known: Mapping[str, words.Word]) -> words.Word | None:
        if name in known:
            return known[name]
        meant = did_you_mean(name, known)
        cure = f"did you mean `{meant}`?" if meant else f"known: {_listed(known)}"
        self._faults[Fault(f"no {kind} is called {self._speech.quoted(name)}", cure)] = None
        return None

    def _given(
        self, node: Any, what: str, word: Any, args: Sequence[nodes.Node], depth: int
    ) -> tuple[Callable[[Scope], list[Any]], Callable[[Scope], dict[str, Any]]]:
        """What stands in the brackets behind a word: it must be what the word takes."""
        positional = [self._needed(each, depth) for each in args]
        named = {each.key: self._needed(each.value, depth) for each in node.kwargs or ()}
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._refuse(Fault(f"`*` in what {what} is given", "write each value out"))
        try:
            inspect.signature(word).bind(None, None, *positional, **named)
        except TypeError as error:
            told = "" if self._speech.secret else f": {error}"
            self._refuse(Fault(f"{what} cannot be given that{told}", "see docs/FORMS.md"))
        return (
            lambda scope: [each(scope) for each in positional],
            lambda scope: {name: each(scope) for name, each in named.items()},
        )

    # ------------------------------------------------------------------ faults

    def _refuse(self, fault: Fault) -> Callable[..., Any]:
        self._faults[fault] = None
        return _nothing

    def _forbidden(self, node: nodes.Node) -> Fault:
        kind = type(node).__name__
        return Fault(f"{_REFUSED.get(kind, kind)} cannot be used here", _STATEMENTS)


_FORGIVING = frozenset({words.default, words.defined, words.undefined})
"""Words that may be asked of what is missing."""


def _nothing(*_: Any) -> Any:
    """Stands for what could not be read; it is never run."""
    return None


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
    return {
        "index": place + 1,
        "index0": place,
        "revindex": turns - place,
        "revindex0": turns - place - 1,
        "first": place == 0,
        "last": place == turns - 1,
        "length": turns,
    }


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


def _listed(known: Mapping[str, Any]) -> str:
    return ", ".join(name for name in known if name.isalpha() and len(name) > 1)
