"""Dossiers in words, and as data: all that is kept of one delivery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from watcher.admin.api.veil import Veil
from watcher.cli.fates import fate_lines, fate_record
from watcher.cli.terminal import printable
from watcher.core.attempts import Attempt
from watcher.core.deliveries import Dossier
from watcher.core.encoding import timestamp

HIDDEN = "(repeats what people wrote: --body shows it)"


def dossier_lines(dossier: Dossier, *, with_body: bool) -> Iterator[str]:
    fate, veil = dossier.fate, Veil(dossier.body, dossier.fate.id)
    body = _body(dossier, veil, with_body=with_body)
    yield from fate_lines(fate)
    for name, value in (
        ("entity", dossier.entity),
        ("row", dossier.row),
        ("user", fate.user),
        ("conversation", fate.conversation),
    ):
        if value:
            yield f"{name:<13}{printable(value)}"
    yield f"{'body':<13}{len(dossier.body)} bytes: {printable(body)}"
    for kept in dossier.attempts:
        attempt = kept if with_body else _veiled(kept, veil)
        status = f"status {attempt.status}" if attempt.status is not None else attempt.reason or "failed"
        took = attempt.took / timedelta(milliseconds=1)
        yield f"{'attempt':<13}{timestamp(attempt.at)}  {printable(status)}  {took:.0f} ms"
        for name, value in attempt.headers:
            yield f"{'':<15}{printable(name)}: {printable(value)}"
        if attempt.answer:
            yield f"{'':<15}{printable(attempt.answer)}"


def dossier_record(dossier: Dossier, *, with_body: bool) -> dict[str, Any]:
    veil = Veil(dossier.body, dossier.fate.id)
    attempts = dossier.attempts if with_body else [_veiled(each, veil) for each in dossier.attempts]
    return {
        **fate_record(dossier.fate),
        "user": dossier.fate.user,
        "conversation": dossier.fate.conversation,
        "entity": dossier.entity,
        "row": dossier.row,
        "body": _body(dossier, veil, with_body=with_body),
        "attempts": [
            {
                "at": timestamp(attempt.at),
                "tookMs": attempt.took / timedelta(milliseconds=1),
                "status": attempt.status,
                "reason": attempt.reason,
                "headers": [list(each) for each in attempt.headers],
                "answer": attempt.answer,
            }
            for attempt in attempts
        ],
    }


def _body(dossier: Dossier, veil: Veil, *, with_body: bool) -> str:
    return dossier.body.decode("utf-8", "replace") if with_body else veil.shape


def _veiled(attempt: Attempt, veil: Veil) -> Attempt:
    answer = HIDDEN if veil.hides(attempt.answer) else attempt.answer
    return replace(attempt, headers=veil.over(attempt.headers), answer=answer)
