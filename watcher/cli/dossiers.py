"""Dossiers in words, and as data: all that is kept of one delivery."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from watcher.admin.api.veil import repeats, shape_of
from watcher.cli.fates import fate_lines, fate_record
from watcher.cli.terminal import printable
from watcher.core.attempts import Attempt
from watcher.core.deliveries import Dossier
from watcher.core.encoding import timestamp

HIDDEN = "(repeats what people wrote: --body shows it)"


def dossier_lines(dossier: Dossier, *, with_body: bool) -> Iterator[str]:
    fate = dossier.fate
    yield from fate_lines(fate)
    for name, value in (
        ("entity", dossier.entity),
        ("row", dossier.row),
        ("user", fate.user),
        ("conversation", fate.conversation),
    ):
        if value:
            yield f"{name:<13}{printable(value)}"
    yield f"{'body':<13}{len(dossier.body)} bytes: {printable(_body(dossier, with_body=with_body))}"
    for attempt in dossier.attempts:
        status = f"status {attempt.status}" if attempt.status is not None else attempt.reason or "failed"
        took = attempt.took / timedelta(milliseconds=1)
        yield f"{'attempt':<13}{timestamp(attempt.at)}  {printable(status)}  {took:.0f} ms"
        for name, value in attempt.headers:
            yield f"{'':<15}{printable(name)}: {printable(value)}"
        if attempt.answer:
            yield f"{'':<15}{printable(_answer(attempt, dossier, with_body=with_body))}"


def dossier_record(dossier: Dossier, *, with_body: bool) -> dict[str, Any]:
    return {
        **fate_record(dossier.fate),
        "user": dossier.fate.user,
        "conversation": dossier.fate.conversation,
        "entity": dossier.entity,
        "row": dossier.row,
        "body": _body(dossier, with_body=with_body),
        "attempts": [
            {
                "at": timestamp(attempt.at),
                "tookMs": attempt.took / timedelta(milliseconds=1),
                "status": attempt.status,
                "reason": attempt.reason,
                "headers": [list(each) for each in attempt.headers],
                "answer": _answer(attempt, dossier, with_body=with_body),
            }
            for attempt in dossier.attempts
        ],
    }


def _body(dossier: Dossier, *, with_body: bool) -> str:
    return dossier.body.decode("utf-8", "replace") if with_body else shape_of(dossier.body)


def _answer(attempt: Attempt, dossier: Dossier, *, with_body: bool) -> str:
    return attempt.answer if with_body or not repeats(attempt.answer, dossier.body) else HIDDEN
