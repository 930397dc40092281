"""Templates and events at random, from a seed: mostly of sense, now and then of none."""

# A rule of the grammar reads best in one line.
# ruff: noqa: E501

from __future__ import annotations

from random import Random
from typing import Any

WORDS = ["", "a", "Bee", "éß", "a b  c", "<b>x</b> & y", "my-title (of)", "42", " 3.7 ", "-1e3", "ÀB", "🧵x", "b/ü?",
         "A", "&amp;<!-- <i> -->z", "it's one", "x,y,,z", "a\nb", "İ", "true"]  # fmt: skip
NUMBERS = [0, 1, 2, 3, 7, -1, -5, 10, 42, 0.5, 1.5, 2.0, 2.5, -0.25, 1e-7, 42.55, 1e21]


def event(random: Random) -> dict[str, Any]:
    """The five keys of a body, with anything in `data`."""

    def file() -> dict[str, Any]:
        fields = {
            "name": random.choice(WORDS),
            "bytes": random.choice(NUMBERS[:10]),
            "kind": random.choice(["x", "X", "y"]),
            "done": random.choice([True, False]),
            "owner": {"name": random.choice(WORDS), "tags": random.sample(WORDS, 2)},
        }
        return {name: item for name, item in fields.items() if random.random() < 0.97}

    def some(kinds: list[Any], most: int = 4) -> list[Any]:
        return [random.choice(kinds) for _ in range(random.randint(0, most))]

    data = {
        "text": random.choice(WORDS),
        "title": random.choice(WORDS),
        "n": random.choice([0, 1, 2, 3, -1, 7]),
        "m": random.choice([1, 2, 5, 10, -3]),
        "ratio": random.choice(NUMBERS),
        "big": random.choice([2**53 + 1, -(2**60), 10**20]),
        "yes": random.choice([True, False]),
        "nothing": None,
        "tags": some(WORDS),
        "numbers": some(NUMBERS),
        "files": [file() for _ in range(random.randint(0, 4))],
        "feedback": {"rating": random.choice(WORDS), "tag": None, "score": random.choice(NUMBERS)},
        "mixed": some([*WORDS[:5], *NUMBERS[:9], True, False, None, [1, "a"], {"k": 1}]),
        "table": {name: random.choice(NUMBERS) for name in random.sample(["a", "B", "c", "é", "10", "2"], 3)},
    }
    return {
        "event": random.choice(["message.created", "file.uploaded"]),
        "timestamp": "2026-11-24T12:00:00.000Z",
        "data": {name: item for name, item in data.items() if random.random() < 0.97},
        "userId": random.choice(["u1", None]),
        "webhookId": "webhook_1",
    }


class Writer:
    """Writes templates. Kinds: text, whole (numbers), number, truth, list (of anything), texts, files, map, any."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.names: dict[str, str] = {}
        """What `set` and `for` have named, with kinds."""

    # ------------------------------------------------------------------ statements

    def template(self) -> tuple[str, str | None]:
        """A text, and the expression if it is no more than that: so is one in three."""
        if self.random.random() < 0.35:
            expression = self.expression("any", 4)
            return "{{ " + expression + " }}", expression
        return "={{ event }}" + self.body(3), None

    def body(self, depth: int) -> str:
        return "".join(self.piece(depth) for _ in range(self.random.randint(1, 3)))

    def piece(self, depth: int) -> str:
        open_, close = self.random.choice(["{%", "{%-"]), self.random.choice(["%}", "-%}"])
        match self.random.randint(0, 9 if depth else 4):
            case 0 | 1:
                return self.random.choice(["a", " b ", "\n", "  \n c", "é", "{# note #}", "{{ '{{' }}", "} "])
            case 2 | 3 | 4:
                minus = self.random.choice(["", "", "-"])
                return "{{" + minus + " " + self.expression("any", 3) + " " + minus + "}}"
            case 5 | 6:
                written = f"{open_} if {self.expression('truth', 2)} {close}{self.body(depth - 1)}"
                if self.random.random() < 0.3:
                    written += f"{{% elif {self.expression('any', 2)} %}}{self.body(depth - 1)}"
                if self.random.random() < 0.5:
                    written += f"{{% else %}}{self.body(depth - 1)}"
                return written + f"{open_} endif {close}"
            case 7:
                kind = self.random.choice(["text", "number", "truth", "texts", "map", "any", "files"])
                value, name = self.expression(kind, 3), self.random.choice("pqr")
                self.names[name] = kind
                return f"{open_} set {name} = {value} {close}"
            case _:
                return self.loop(depth, open_, close)

    def loop(self, depth: int, open_: str, close: str) -> str:
        before = dict(self.names)
        kind = self.random.choice(["texts", "files", "list", "pairs", "text"])
        source = self.expression(kind, 2)
        if kind == "pairs":
            target, named = "k, v", {"k": "any", "v": "any"}
        else:
            item = {"texts": "text", "files": "file", "list": "any", "text": "text"}[kind]
            target = self.random.choice("xyp")
            named = {target: item}
        self.names |= named
        test = f" if {self.expression('truth', 2)}" if self.random.random() < 0.3 else ""
        self.names["loop"] = "loop"
        body = self.body(depth - 1)
        self.names = before
        otherwise = f"{{% else %}}{self.body(depth - 1)}" if self.random.random() < 0.3 else ""
        self.names = dict(before)
        return f"{open_} for {target} in {source}{test} {close}{body}{otherwise}{open_} endfor {close}"

    # ------------------------------------------------------------------ expressions

    def expression(self, kind: str, depth: int) -> str:
        if self.random.random() < 0.03:
            kind = "any"  # of no sense, perhaps
        if kind == "any":
            kind = self.random.choice(["text", "whole", "number", "truth", "list", "texts", "files", "map"])
        if depth and self.random.random() < 0.06:
            short = f"{self.expression(kind, depth - 1)} if {self.expression('truth', depth - 1)}"
            full = f"{short} else {self.expression(kind, depth - 1)}"
            return f"({full if self.random.random() < 0.7 else short})"
        if depth and self.random.random() < 0.06:
            how = self.random.choice(
                ["", "()", f"({self.expression(kind, 0)})", f"({self.expression(kind, 0)}, true)"]
            )
            gone = self.random.choice(
                ["data.gone", "data.gone.deep", "data['gone'][0]", self.expression(kind, depth - 1)]
            )
            return f"({gone} | default{how})" if how else f"({gone} | d)"
        if depth and self.random.random() < 0.05:
            word = self.random.choice(["or", "and"])
            return f"({self.expression(kind, depth - 1)} {word} {self.expression(kind, depth - 1)})"
        known = [name for name, each in self.names.items() if each == kind]
        if known and self.random.random() < 0.3:
            return self.random.choice(known)
        choices = getattr(self, f"_{kind}")(depth)
        leaves = choices[0]
        return str(
            self.random.choice(leaves if not depth or len(choices) == 1 else self.random.choice(choices))()
        )

    def _text(self, depth: int) -> Any:
        one = self._maker(depth)
        loose = [lambda: one("any")] if self.random.random() < 0.2 else [lambda: one("text")]
        value = loose[0]
        pick = self.random.choice
        leaves = [lambda: "data.text", lambda: "data.title", lambda: "event", lambda: quoted(pick(WORDS)),
                  lambda: "data.feedback.rating", lambda: "userId"]  # fmt: skip
        more = [
            *(lambda name=name: f"({value()} | {name})" for name in
              ["upper", "lower", "capitalize", "title", "trim", "striptags", "urlencode", "string", "tojson",
               "slack", "discord", "markdown", "reverse", "first", "last"]),
            lambda: f"({one('any')} | string)",
            lambda: f"({one('any')} | tojson)",
            lambda: f"({one('map')} | urlencode)",
            lambda: f"({value()} | trim({quoted(pick(['a', ' <', 'é']))}))",
            lambda: f"""({value()} | truncate({pick(['5', '3, true', '6, false, "…"', '4, end=""', '9, leeway=0', '2, true, "é", 1'])}))""",
            lambda: f"({value()} | replace({one('text')}, {one('text')}))",
            lambda: f"({value()} | replace('a', 'bb', {pick(['1', '0', '-1', '2'])}))",
            lambda: f"""({one(pick(['texts', 'list']))} | join{pick(['', '(", ")', '(d="-")', '(1)'])})""",
            lambda: f"""({one('files')} | join('; ', attribute={pick(['"name"', '"owner.name"', '"kind"'])}))""",
            lambda: f"({one('texts')} | {pick(['first', 'last', 'min', 'max', 'max(true)'])})",
            lambda: f"({one('any')} ~ {one('any')} ~ {one('text')})",
            lambda: f"({one('text')} + {one('text')})",
            lambda: f"{one('text')}[{one('whole')}]",
            lambda: f"{one('text')}[{pick([':2', '1:', '-2:', '::2', '::-1', '1:-1', ':data.n', '0:9:3'])}]",
            *(lambda name=name: f"{one('text')}.{name}()" for name in ["upper", "lower", "capitalize", "title", "strip"]),
            lambda: f"{one('text')}.replace({one('text')}, '+')",
            lambda: f"{one('text')}.strip('a')",
        ]  # fmt: skip
        return [leaves, more, more]

    def _whole(self, depth: int) -> Any:
        one, pick = self._maker(depth), self.random.choice
        leaves = [lambda: "data.n", lambda: "data.m", lambda: pick("01237"), lambda: "-1"]
        if "loop" in self.names:
            leaves.append(lambda: "loop." + pick(["index", "index0", "revindex", "revindex0", "length"]))
        more = [
            lambda: f"({one(pick(['text', 'list', 'map', 'texts']))} | {pick(['length', 'count'])})",
            lambda: f"({one('whole')} {pick('+-*')} {one('whole')})",
            lambda: f"({one('whole')} {pick(['//', '%'])} {one('whole')})",
            lambda: (
                f"({one(pick(['text', 'number', 'whole', 'any']))} | int{pick(['', '(7)', '(default=2)'])})"
            ),
            lambda: f"({one('text')} | wordcount)",
            lambda: f"(-{one('whole')})",
            lambda: f"({one('whole')} | abs)",
        ]
        return [leaves, more]

    def _number(self, depth: int) -> Any:
        one, pick = self._maker(depth), self.random.choice
        leaves = [lambda: "data.ratio", lambda: "data.feedback.score", lambda: str(pick([n for n in NUMBERS if n >= 0])),
                  lambda: "data.table.a"]  # fmt: skip
        more = [
            lambda: f"({one('number')} {pick(['+', '-', '*', '/', '//', '%'])} {one('number')})",
            lambda: (
                f"""({one("number")} | round{pick(["", "(1)", "(2)", '(0, "ceil")', '(1, "floor")', "(-1)", '(method="ceil")'])})"""
            ),
            lambda: f"({one(pick(['text', 'number', 'any']))} | float{pick(['', '(1.5)'])})",
            lambda: f"({one('number')} | abs)",
            lambda: (
                f"({pick(['data.numbers', '[1, 2.5]'])} | {pick(['sum', 'sum(start=2)', 'min', 'max', 'first', 'last'])})"
            ),
            lambda: f"({one('files')} | sum(attribute='bytes'))",
            lambda: f"(({one('files')} | {pick(['min', 'max'])}(attribute='bytes')).bytes)",
            lambda: f"({pick(['-', '+'])}{one('number')})",
        ]
        return [leaves, more]

    def _truth(self, depth: int) -> Any:
        one, pick = self._maker(depth), self.random.choice
        kind = pick(["text", "number", "whole", "truth", "list", "any"])
        leaves = [
            lambda: "data.yes",
            lambda: pick(["true", "false", "True"]),
            lambda: "(data.gone is defined)",
        ]
        if "loop" in self.names:
            leaves.append(lambda: "loop." + pick(["first", "last"]))
        tests = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true", "false",
                 "mapping", "sequence", "iterable"]  # fmt: skip
        more = [
            lambda: f"({one('any')} is {pick(['', 'not '])}{pick(tests)})",
            lambda: f"(data{pick(['.gone', '.text', '.files[0].name', '.gone.x.y'])} is {pick(tests[:2])})",
            lambda: f"({one('whole')} is {pick(['odd', 'even', 'divisibleby 2', 'divisibleby(3)'])})",
            lambda: f"({one(kind)} is {pick(['eq', 'ne', 'equalto'])}({one(kind)}))",
            lambda: f"({one('number')} is {pick(['lt', 'le', 'gt', 'ge'])} {one('number')})",
            lambda: f"({one(kind)} {pick(['==', '!='])} {one(kind)})",
            lambda: f"({one('any')} {pick(['==', '!='])} {one('any')})",
            lambda: f"({one('number')} {pick(['<', '<=', '>', '>='])} {one('whole')} {pick(['<', '!=', '>='])} {one('number')})",
            lambda: f"({one('text')} {pick(['<', '<=', '>', '>='])} {one('text')})",
            lambda: f"({one('text')} {pick(['in', 'not in', 'is in', 'is not in'])} {one(pick(['text', 'texts', 'map', 'list']))})",
            lambda: f"({one('any')} in {one('list')})",
            lambda: f"(not {one('any')})",
            lambda: f"{one('text')}.{pick(['startswith', 'endswith'])}({one('text')})",
            lambda: f"data.big {pick(['==', '<', '>='])} {one('number')}",
        ]  # fmt: skip
        return [leaves, more]

    def _list(self, depth: int) -> Any:
        one, pick = self._maker(depth), self.random.choice
        leaves = [lambda: "data.mixed", lambda: "data.numbers", lambda: "[1, 'a', none]", lambda: "[]"]
        more = [
            lambda: f"[{one('any')}, {one('any')}]",
            lambda: f"({one('any')}, {one('text')})",
            lambda: f"({one('list')} + {one('texts')})",
            lambda: f"{one('list')}[{pick(['1:', ':1', '::-1', '-2:'])}]",
            lambda: f"({one('list')} | {pick(['reverse', 'unique', 'list', 'select', 'reject', 'unique(true)'])} | list)",
            lambda: f"({pick(['data.numbers', one('list')])} | sort{pick(['', '(true)', '(reverse=true)'])})",
            lambda: f"""({one('list')} | {pick(['select', 'reject'])}({pick(['"string"', '"number"', '"none"', '"eq", 1', '"in", [1, "a"]'])}) | list)""",
            lambda: f"""(data.numbers | {pick(['select', 'reject'])}({pick(['"gt", 1', '"odd"', '"divisibleby", 2', '"lt", data.n'])}) | list)""",
            lambda: f"""({one(pick(['list', 'texts']))} | map({pick(['"string"', '"upper"', '"length"', '"default", 1', '"int"', '"truncate", 2, true, ""'])}) | list)""",
            lambda: f"""({one('files')} | map(attribute={pick(['"bytes"', '"owner.name"', '"done"', '"owner.tags.0"', '"gone", default=1', '"name", default="-"'])}) | list)""",
            lambda: f"""({one('map')} | {pick(['list', 'dictsort', 'dictsort(by="value")', 'dictsort(true, reverse=true)', 'items | list'])})""",
            lambda: f"({one('map')}.{pick(['items', 'keys', 'values'])}() | list)",
            lambda: f"({one('text')} | list)",
            lambda: f"""({one('files')} | groupby({pick(['"kind"', '"bytes"', '"kind", case_sensitive=true', 'attribute="owner.name"', '"gone", default="-"'])}))""",
        ]  # fmt: skip
        return [leaves, more]

    def _texts(self, depth: int) -> Any:
        one, pick = self._maker(depth), self.random.choice
        leaves = [lambda: "data.tags", lambda: "['b', 'A', 'a']", lambda: "data.files[0].owner.tags"]
        more = [
            lambda: f"[{one('text')}, {one('text')}]",
            lambda: f"({one('texts')} | {pick(['sort', 'sort(case_sensitive=true)', 'sort(true)', 'unique | list', 'reverse | list'])})",
            lambda: f"""({one('texts')} | map({pick(['"upper"', '"title"', '"trim"', '"replace", "a", "b"', '"first"', '"striptags"'])}) | list)""",
            lambda: f"""({one('texts')} | {pick(['select', 'reject', 'select("in", "aAb")'])} | list)""",
            lambda: f"""{one('text')}.split({pick(['', '","', '" "', 'none, 1', '",", 1', 'sep="-"'])})""",
            lambda: f"""({one('text')} | split{pick(['', '(",")'])})""",
            lambda: f"({one('files')} | map(attribute='name') | list)",
        ]  # fmt: skip
        return [leaves, more]

    def _files(self, depth: int) -> Any:
        one, pick = self._maker(depth), self.random.choice
        leaves = [lambda: "data.files"]
        more = [
            lambda: f"""({one('files')} | {pick(['selectattr', 'rejectattr'])}({pick(['"done"', '"bytes", "gt", 1', '"gone", "defined"', '"name", "in", data.tags', '"owner.name"', '"kind", "eq", "x"'])}) | list)""",
            lambda: f"""({one('files')} | sort(attribute={pick(['"name"', '"bytes", reverse=true', '"owner.name"', '"kind,bytes"', '"done"', '"kind,name", case_sensitive=true'])}))""",
            lambda: f"""({one('files')} | unique(attribute={pick(['"kind"', '"bytes"'])}) | list)""",
            lambda: f"{one('files')}[{pick(['1:', ':2', '::-1'])}]",
        ]  # fmt: skip
        return [leaves, more]

    def _map(self, depth: int) -> Any:
        one, pick = self._maker(depth), self.random.choice
        leaves = [lambda: "data.feedback", lambda: "data.table", lambda: "{'b': 1, 'a': 2}", lambda: "{}"]
        more = [
            lambda: f"{{'x': {one('any')}, {quoted(pick(WORDS))}: {one('any')}}}",
            lambda: f"({one('files')} | {pick(['first', 'last'])})",
            lambda: f"{one('files')}[{one('whole')}]",
            lambda: "data.files[0].owner",
        ]
        return [leaves, more]

    def _pairs(self, depth: int) -> Any:
        one, pick = self._maker(depth), self.random.choice
        leaves = [
            lambda: "data.table.items()",
            lambda: "data.feedback | items",
            lambda: "[[1, 2], ['a', 'b']]",
        ]
        more = [
            lambda: f"{one('map')} | dictsort",
            lambda: f"{one('map')}.items() | sort",
            lambda: f"""{one("files")} | groupby({pick(['"kind"', '"bytes"'])})""",
        ]
        return [leaves, more]

    def _file(self, depth: int) -> Any:
        return [[lambda: "data.files[0]"]]

    def _loop(self, depth: int) -> Any:
        return [[lambda: "loop"]]

    def _maker(self, depth: int) -> Any:
        return lambda kind: self.expression(kind, depth - 1)


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
