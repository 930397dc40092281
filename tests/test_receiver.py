"""The local receiver: what it records, what it accepts, and how well it explains what it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import httpx
import pytest

from watcher.core.endpoints import Secret
from watcher.core.signing import signature
from watcher.receiver import LARGEST_BODY, Receipt, Receiver

SECRET, OLDER = Secret(key=b"s3cret"), Secret(key=b"older")
BODY = b'{"event":"message.created","data":{"messageId":"m1"},"webhookId":"webhook_1"}'


class Desk:
    """A receiver and a client that posts to it."""

    def __init__(self, receiver: Receiver, client: httpx.AsyncClient, receipts: list[Receipt]) -> None:
        self.receiver, self.client, self.receipts = receiver, client, receipts

    async def post(
        self, body: bytes = BODY, signed: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> httpx.Response:
        whole = {"X-Webhook-Signature": signature(body if signed is None else signed, SECRET), **headers}
        return await self.client.post(self.receiver.url, content=body, headers=whole)


@asynccontextmanager
async def a_desk(**options: Any) -> AsyncIterator[Desk]:
    receipts: list[Receipt] = []
    options = {"secrets": [SECRET, OLDER], **options}
    async with (
        Receiver(options.pop("secrets"), on_receipt=receipts.append, **options) as receiver,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        yield Desk(receiver, client, receipts)


async def test_a_signed_event_is_recorded_as_it_came() -> None:
    before = datetime.now(UTC)
    async with a_desk() as desk:
        answer = await desk.post(
            headers={
                "X-Webhook-Event": "message.created",
                "X-Webhook-ID": "webhook_1",
                "X-Webhook-Attempt": "3",
            }
        )

    (receipt,) = desk.receipts
    assert answer.status_code == receipt.status == 200
    assert (receipt.event, receipt.id, receipt.attempt) == ("message.created", "webhook_1", 3)
    assert receipt.body == BODY
    assert receipt.signature_ok
    assert receipt.why is None
    assert before <= receipt.received_at <= datetime.now(UTC)
    assert receipt.members == ()


async def test_a_wrong_signature_is_refused_and_explained_to_both_sides() -> None:
    async with a_desk() as desk:
        answer = await desk.post(BODY, signed=b"something else")

    (receipt,) = desk.receipts
    assert answer.status_code == receipt.status == 401
    assert not receipt.signature_ok
    assert answer.text == receipt.why == "another secret, or the body was altered on the way"


async def test_without_secrets_nothing_is_verified_nor_refused() -> None:
    async with a_desk(secrets=[]) as desk:
        answer = await desk.post(BODY, signed=b"something else")

    assert answer.status_code == 200
    assert not desk.receipts[0].signature_ok
    assert desk.receipts[0].why == "not verified: no secret was given"


async def test_a_batch_names_its_members() -> None:
    batch = b'{"event":"batch","data":{"events":[{"webhookId":"webhook_1"},{"webhookId":"webhook_2"}]}}'

    async with a_desk() as desk:
        await desk.post(batch)

    assert desk.receipts[0].event == "batch"
    assert desk.receipts[0].members == ("webhook_1", "webhook_2")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b'{"event":"batch","data":7}',
        b'{"event":"batch","data":{"events":7}}',
        b'{"data":{"events":[1]}}',
        b"\xff",
    ],
)
async def test_any_body_is_recorded(body: bytes) -> None:
    async with a_desk() as desk:
        answer = await desk.post(body, headers={"X-Webhook-Attempt": "many"})

    assert answer.status_code == 200
    assert (desk.receipts[0].body, desk.receipts[0].attempt, desk.receipts[0].members) == (body, 1, ())


async def test_failures_come_at_the_given_rate() -> None:
    dice = Random(7)
    expected = [503 if dice.random() < 0.2 else 200 for _ in range(50)]

    async with a_desk(fail=0.2, rng=Random(7)) as desk:
        answers = [(await desk.post()).status_code for _ in range(50)]

    assert answers == [receipt.status for receipt in desk.receipts] == expected
    assert 0 < answers.count(503) < 25


async def test_the_failing_status_can_be_chosen() -> None:
    async with a_desk(fail=1.0, status=410) as desk:
        assert (await desk.post()).status_code == 410


async def test_an_answer_can_be_delayed_and_the_receipt_is_not() -> None:
    async with a_desk(delay=timedelta(seconds=5)) as desk:
        with pytest.raises(httpx.ReadTimeout):
            await desk.client.post(desk.receiver.url, content=BODY, timeout=0.2)

    assert len(desk.receipts) == 1


async def test_a_body_beyond_the_cap_is_refused() -> None:
    async with a_desk() as desk:
        largest = await desk.post(b"x" * LARGEST_BODY)
        larger = await desk.post(b"x" * (LARGEST_BODY + 1))

    assert (largest.status_code, larger.status_code) == (200, 413)
    assert len(desk.receipts) == 1


async def test_a_browser_gets_a_word_of_explanation() -> None:
    async with a_desk() as desk:
        answer = await desk.client.get(desk.receiver.url)

    assert answer.status_code == 200
    assert "receiver" in answer.text
    assert desk.receipts == []
