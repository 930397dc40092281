"""Jinja itself, told of the differences that docs/FORMS.md states, so that all else can be compared.

Each difference stands in one place here: how a value is text (`spoken`), what is alike (`same`), that lists
are lists (no tuples, views or iterators), that fields go before Python's methods, that what is not there may
be asked for a part, and that an `if` without `else` gives an empty text (`Unsaid`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import StrictUndefined, Undefined, filters, nodes, pass_context, pass_environment, tests
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from watcher.config.templates import escapes
from watcher.core.encoding import encode

METHODS_OF_MAPPINGS = ("get", "items", "keys", "values")


def rendered(text: str, context: Mapping[str, Any]) -> str:
    return _JINJA.from_string(text).render(context)


def evaluated(expression: str, context: Mapping[str, Any]) -> Any:
    """The expression's own value."""
    value = _JINJA.compile_expression(expression, undefined_to_none=False)(context)
    return plain(str(value) if isinstance(value, Undefined) else value)


def plain(value: Any) -> Any:
    """The value without tuples."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    assert value is None or isinstance(value, bool | int | float | str), type(value)
    return value


def spoken(value: Any) -> str:
    match value:
        case Undefined() | str():
            return str(value)
        case None:
            return ""
        case int() if not isinstance(value, bool):
            return str(value)
        case _:
            return encode(plain(value)).decode()


def same(one: Any, other: Any) -> bool:
    for each in (one, other):
        if isinstance(each, Gone):
            str(each)  # raises
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return bool(one == other)


class Gone(StrictUndefined):
    """Strict, but for its own parts."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, name: Any) -> Any:
        return self


class Unsaid(str):
    """What an `if` without `else` leaves out."""


def _within(value: Any, holder: Any) -> bool:
    if isinstance(holder, list | tuple):
        return any(same(value, item) for item in holder)
    return value in holder


class _Plainly(NodeTransformer):
    """Lists for tuples and views, `spoken` for what `~` puts together, `same` for `==` and `in`."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [_asked("string", each) for each in node.nodes]
        return node

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:
        self.generic_visit(node)
        node.expr2 = node.expr2 or _asked("_unsaid", nodes.Const("", lineno=node.lineno))
        return node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return nodes.List(node.items, lineno=node.lineno) if node.ctx == "load" else node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        self.generic_visit(node)
        views = isinstance(node.node, nodes.Getattr) and node.node.attr in ("items", "keys", "values")
        return _asked("list", node) if views else node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        whole: nodes.Expr | None = None
        first = node.expr
        for operand in node.ops:
            known = operand.op in ("eq", "ne", "in", "notin")
            pair = (
                _asked(f"_{operand.op}", first, operand.expr)
                if known
                else nodes.Compare(first, [operand], lineno=node.lineno)
            )
            whole = pair if whole is None else nodes.And(whole, pair, lineno=node.lineno)
            first = operand.expr
        assert whole is not None
        return whole


def _asked(name: str, node: nodes.Expr, *args: nodes.Expr) -> nodes.Expr:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


class _Jinja(ImmutableSandboxedEnvironment):
    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return super()._generate(_Plainly().visit(source), *args, **kwargs)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and (attribute in obj or attribute not in METHODS_OF_MAPPINGS):
            return self.getitem(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        try:
            return obj[argument]
        except (TypeError, LookupError):
            named = isinstance(obj, tuple) and argument in ("grouper", "list")
            return getattr(obj, argument) if named else self.undefined(obj=obj, name=argument)


def _of_text(word: Callable[..., Any]) -> Callable[..., Any]:
    return lambda value, *args, **kwargs: word(spoken(value), *args, **kwargs)


def _listed(word: Callable[..., Any]) -> Callable[..., Any]:
    @pass_context
    def listed(context: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        return list(word(context, value, *args, **kwargs))

    return listed


@pass_environment
def _join(environment: Any, value: Any, d: Any = "", attribute: Any = None) -> str:
    part = filters.make_attrgetter(environment, attribute)
    return spoken(d).join(spoken(part(item)) for item in value)


@pass_environment
def _unique(environment: Any, value: Any, case_sensitive: bool = False, attribute: Any = None) -> list[Any]:
    fold = None if case_sensitive else filters.ignore_case
    part = filters.make_attrgetter(environment, attribute, postprocess=fold)
    seen: list[tuple[Any, Any]] = []
    for item in value:
        if not any(same(part(item), key) for key, _ in seen):
            seen.append((part(item), item))
    return [item for _, item in seen]


def _replace(value: Any, old: Any, new: Any, count: int | None = None) -> str:
    return spoken(value).replace(spoken(old), spoken(new), -1 if count is None else count)


def _urlencode(value: Any) -> str:
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else value
        return filters.do_urlencode([(spoken(name), spoken(item)) for name, item in pairs])
    return filters.do_urlencode(spoken(value)).replace("/", "%2F")


def _default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    return filters.do_default(Undefined() if isinstance(value, Unsaid) else value, default_value, boolean)


def _int(value: Any, default: int = 0) -> int | float:
    """Not exact beyond 2^53."""
    found = filters.do_int(value, default)
    return float(found) if abs(found) >= 2**53 else found


# Not optimized: Jinja would work out `({} | first) or 1` as it reads it, and fail where nothing comes to it.
_JINJA = _Jinja(undefined=Gone, finalize=spoken, autoescape=False, optimized=False)
_JINJA.filters |= {
    "string": spoken,
    "tojson": lambda value: encode(plain(value)).decode(),
    "join": _join,
    "unique": _unique,
    "replace": _replace,
    "urlencode": _urlencode,
    "default": _default,
    "d": _default,
    "int": _int,
    "_unsaid": Unsaid,
    "items": lambda value: list(filters.do_items(value)),
    "reverse": lambda value: value[::-1] if isinstance(value, str) else list(filters.do_reverse(value)),
    "split": _of_text(str.split),
    **{name: _of_text(getattr(filters, f"do_{name}")) for name in ("upper", "lower", "capitalize", "title")},
    **{name: _of_text(getattr(filters, f"do_{name}")) for name in ("trim", "striptags", "wordcount")},
    "truncate": lambda value, *args, **kwargs: filters.do_truncate(_JINJA, spoken(value), *args, **kwargs),
    **{name: _listed(getattr(filters, f"sync_do_{name}")) for name in ("map", "select", "reject")},
    **{name: _listed(getattr(filters, f"sync_do_{name}")) for name in ("selectattr", "rejectattr")},
    "slack": _of_text(escapes.slack),
    "discord": _of_text(escapes.discord),
    "teams": _of_text(escapes.markdown),
    "markdown": _of_text(escapes.markdown),
    "_eq": same,
    "_ne": lambda one, other: not same(one, other),
    "_in": _within,
    "_notin": lambda one, other: not _within(one, other),
}
_JINJA.tests |= {
    **dict.fromkeys(("eq", "equalto", "=="), same),
    **dict.fromkeys(("ne", "!="), lambda one, other: not same(one, other)),
    "in": _within,
    "defined": lambda value: not isinstance(value, Undefined | Unsaid),
    "undefined": lambda value: isinstance(value, Undefined | Unsaid),
    "number": lambda value: tests.test_number(value) and not isinstance(value, bool),
}
