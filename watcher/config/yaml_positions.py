"""YAML as plain values, with the line and column of every key and list item.

Texts stay texts: no tag makes an object, a date is not parsed, `12:30` is no number. A fault never quotes
what stands in the file, because it may be a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

Path = tuple[str | int, ...]
"""`("webhooks", "endpoints", 0, "url")`: how to walk from the top to a value."""


class Position(NamedTuple):
    """Where a key or a list item begins; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that makes the text ambiguous, or no YAML at all."""

    path: Path
    position: Position
    what: str
    cure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The values, where they stand, and what is wrong with them as YAML."""

    value: Any
    """None for an empty text, and for one that is no YAML (then there is one fault)."""
    positions: Mapping[Path, Position]
    faults: tuple[Fault, ...]


def parse(text: str, *, only: Collection[str] | None = None, ours: bool = False) -> Parsed:
    """Read one YAML document; with `only`, nothing but these top-level keys is looked at.

    `ours`: it came with the program, and is known to be sound. It is read five times as fast.

    >>> parsed = parse("a:\\n  b: [1, ${X}]\\n")
    >>> parsed.value, parsed.positions[("a", "b", 1)].line
    ({'a': {'b': [1, '${X}']}}, 2)
    """
    try:
        # Loaders read from a string here, so nothing needs disposing.
        root = (_QUICK if ours else yaml.SafeLoader)(_VARIABLE.sub(_masked, text)).get_single_node()
        reader = _Reader(only)
        value = None if root is None else reader.value(root, ())
    except yaml.reader.ReaderError as error:
        return _broken(_line_of(text, error.position), _UNPRINTABLE)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(1, 1) if mark is None else Position(mark.line + 1, mark.column + 1)
        return _broken(position, _explain(error.problem or error.context or ""))
    except (RecursionError, _TooMuchError):
        return _broken(Position(1, 1), _TOO_MUCH)
    return Parsed(value=value, positions=reader.positions, faults=tuple(reader.faults))


_INDENT = "check the indentation and the quotes here; text that begins with one of * & ! @ % ` needs quotes"
_UNPRINTABLE = ("an invisible control character", "remove it, or write it as an escape in double quotes")
_TOO_MUCH = ("nested without end, or far too large", "write the settings out without anchors (&, *)")
_TAB = ("indented by a tab, where YAML takes spaces only", "replace the tab by spaces")

_NODES = 100_000  # a hundred times the largest sensible file; stops aliases that multiply each other

_VARIABLE = re.compile(r"\$\{([^{}\n]*)\}")
_MASKED = re.compile("\\$\ue000([^\ue001]*)\ue001")

_STR = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_TEXTS = {_STR, _MERGE, "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}
_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
_PLAIN = {*_NUMBERS, "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"}
_CONTAINERS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


def _quick() -> Callable[[str], Any]:
    """libyaml's parser, where PyYAML was built with it. It tells faults in other words, passes over some, and
    its own composer would overflow the stack on deep ones: so it is for what is known to have none."""
    if not yaml.__with_libyaml__:
        return yaml.SafeLoader

    class Quick(yaml.composer.Composer, yaml.cyaml.CParser, yaml.resolver.Resolver):  # type: ignore[misc, name-defined]
        def __init__(self, text: str) -> None:
            yaml.cyaml.CParser.__init__(self, text)  # type: ignore[attr-defined]
            yaml.composer.Composer.__init__(self)
            yaml.resolver.Resolver.__init__(self)

    return Quick


_QUICK = _quick()


class _TooMuchError(Exception):
    """More nodes than any settings need."""


class _Reader:
    """Walks the nodes once and keeps where they stood."""

    def __init__(self, only: Collection[str] | None) -> None:
        self.positions: dict[Path, Position] = {}
        self.faults: list[Fault] = []
        self._only = only
        self._nodes = 0
        self._constructor = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > _NODES:
            raise _TooMuchError
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in _CONTAINERS:
            return self._fault(node, path, "a YAML tag (`!…`)", "remove the tag")
        if isinstance(node, yaml.SequenceNode):
            return [self._at(item, item, (*path, index)) for index, item in enumerate(node.value)]
        return self._mapping(node, path)

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key_node, value_node in self._pairs(node):
            if not isinstance(key_node, yaml.ScalarNode) or not is_text(key_node.value):
                self._fault(key_node, path, "a key that is not a word", "write `key: value`")
                continue
            # The key as written: `on:` stays `on`, though YAML 1.1 would read it as true.
            key = _unmasked(key_node.value)
            if not path and self._only is not None and key not in self._only:
                continue
            if key in value:
                first = self.positions[(*path, key)].line
                cure = f"keep one of the two (the other is in line {first})"
                self._fault(key_node, (*path, key), "this key is there twice", cure)
            value[key] = self._at(key_node, value_node, (*path, key))
        for source in self._merged(node):
            for key, inherited in self._inherit(source, path).items():
                value.setdefault(key, inherited)
        return value

    def _at(self, mark: yaml.Node, node: yaml.Node, path: Path) -> Any:
        self.positions[path] = Position(mark.start_mark.line + 1, mark.start_mark.column + 1)
        return self.value(node, path)

    def _pairs(self, node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        return ((key, value) for key, value in node.value if key.tag != _MERGE)

    def _merged(self, node: yaml.Node) -> Iterator[yaml.Node]:
        """What `<<: *anchor` or `<<: [*one, *two]` brings in."""
        for key, value in node.value:
            if key.tag == _MERGE:
                yield from value.value if isinstance(value, yaml.SequenceNode) else [value]

    def _inherit(self, source: yaml.Node, path: Path) -> dict[str, Any]:
        """The merged mapping's values; a key of the mapping itself keeps its own positions."""
        if not isinstance(source, yaml.MappingNode):
            self._fault(source, path, "`<<` merges mappings only", "give it an anchor of a mapping")
            return {}
        own = dict(self.positions)
        inherited = self._mapping(source, path)
        self.positions |= own
        return inherited

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text = _unmasked(node.value)
        if not is_text(text):
            return self._fault(node, path, *_UNPRINTABLE)
        # YAML 1.1 reads 72:00 as the number 4320.
        if node.tag in _TEXTS or (node.tag in _NUMBERS and ":" in text):
            return text
        if node.tag not in _PLAIN:
            return self._fault(node, path, "a YAML tag (`!…`)", "text that begins with ! needs quotes")
        try:
            return self._constructor.construct_object(node)
        except (ValueError, OverflowError, KeyError, IndexError):
            return self._fault(node, path, "not a number or a truth value", "put text in quotes")

    def _fault(self, node: yaml.Node, path: Path, what: str, cure: str) -> None:
        position = Position(node.start_mark.line + 1, node.start_mark.column + 1)
        self.faults.append(Fault(path=path, position=position, what=what, cure=cure))


def _masked(variable: re.Match[str]) -> str:
    """`${NAME}` with braces that are none to YAML, so that it may stand in `{…}` and `[…]` without quotes.

    Same length, so that every column stays right."""
    return f"$\ue000{variable[1]}\ue001"


def _unmasked(text: str) -> str:
    return _MASKED.sub(r"${\1}", text)


def is_text(text: str) -> bool:
    """Can it be encoded, and be a file's name? A lone surrogate or NUL breaks whoever does so later."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _explain(problem: str) -> tuple[str, str]:
    if r"'\t'" in problem:
        return _TAB
    # PyYAML quotes the names of aliases and tags: with a forgotten quote, that is the start of a secret.
    told = re.sub(r"'([^']*)'", lambda quoted: quoted[0] if _is_syntax(quoted[1]) else "…", problem)
    return f"not valid YAML: {told}", _INDENT


def _is_syntax(word: str) -> bool:
    return len(word) == 1 or word.startswith("<")


def _line_of(text: str, offset: int) -> Position:
    before = text[:offset]
    return Position(before.count("\n") + 1, offset - before.rfind("\n"))


def _broken(position: Position, told: tuple[str, str]) -> Parsed:
    what, cure = told
    fault = Fault(path=(), position=position, what=what, cure=cure)
    return Parsed(value=None, positions={}, faults=(fault,))
