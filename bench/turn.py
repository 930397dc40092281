"""One ordinary turn of a chat: what LibreChat writes when a person asks and a model answers.

After LIBRECHAT.md §4.1 and §4.4 and a recording of LibreChat's own models: the same collections, order,
fields and sizes. 11 changes, 16 with the search plugin; two of them mean something to people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from bson import ObjectId

from bench.messages import USER, Database

EVENTS = 2
QUESTION = "How does a loom weave flowers, and what has an analytical engine to do with them? Please explain."
ANSWER = "An engine weaves algebraic patterns just as a loom weaves flowers. " * 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A conversation, and the rows of its messages so far."""

    conversation: str = field(default_factory=lambda: str(uuid4()))
    rows: list[ObjectId]

    @classmethod
    async def begin(cls, database: Database, *, earlier: int, search: bool) -> Chat:
        """With so many messages before. Their ids stand in its row; they themselves need not be there."""
        chat = cls(rows=[ObjectId() for _ in range(earlier)])
        await database.conversations.insert_one(
            {
                "conversationId": chat.conversation,
                "user": USER,
                "__v": 0,
                "_meiliIndex": search,
                "agent_id": "agent_helper",
                "chatProjectId": None,
                "createdAt": _now(),
                "endpoint": "agents",
                "expiredAt": None,
                "files": [],
                "initial_agent_id": None,
                "isArchived": False,
                "isTemporary": False,
                "messages": chat.rows,
                "model": "gpt-4o",
                "tags": [],
                "temperature": 1,
                "title": "Looms and engines",
                "updatedAt": _now(),
                **(_indexing() if search else {}),
            }
        )
        return chat


async def take_turn(database: Database, chat: Chat, *, search: bool) -> None:
    again = _indexing if search else _nothing
    question = await _question(database, chat, again())
    await _add_to_chat(database, chat, question, again())
    if search:
        await _indexed(database, "messages", question)
        await _indexed_chat(database, chat)
    await _pay(database, chat)

    answer = await _answer(database, chat, again())
    await _add_to_chat(database, chat, answer, again())
    await _save_again(database, question, {"tokenCount": 23, **again()})
    await _save_again(database, question, again())
    await _save_again(database, answer, again())
    if search:
        await _indexed_chat(database, chat)
        await _indexed(database, "messages", question)
        await _indexed(database, "messages", answer)


async def _question(database: Database, chat: Chat, more: Mapping[str, Any]) -> ObjectId:
    spoken = {"sender": "User", "text": QUESTION, "isCreatedByUser": True, "model": None, "tokenCount": 22}
    return await _message(database, chat, {**spoken, **more})


async def _answer(database: Database, chat: Chat, more: Mapping[str, Any]) -> ObjectId:
    # An agent's words are in parts; its text is empty.
    parts = {"text": "", "content": [{"type": "text", "text": ANSWER}]}
    spoken = {"sender": "Claude", "isCreatedByUser": False, "model": "agent_helper", "tokenCount": 260}
    return await _message(database, chat, {**spoken, **parts, "isUserSubmitted": False, **more})


async def _message(database: Database, chat: Chat, fields: Mapping[str, Any]) -> ObjectId:
    row = {
        "_id": ObjectId(),
        "messageId": str(uuid4()),
        "user": USER,
        "__v": 0,
        "_meiliIndex": False,
        "conversationId": chat.conversation,
        "createdAt": _now(),
        "endpoint": "agents",
        "error": False,
        "expiredAt": None,
        "isTemporary": False,
        "parentMessageId": str(uuid4()),
        "unfinished": False,
        "updatedAt": _now(),
        **fields,
    }
    await database.messages.insert_one(row)
    return ObjectId(row["_id"])


async def _add_to_chat(database: Database, chat: Chat, row: ObjectId, more: Mapping[str, Any]) -> None:
    chat.rows.append(row)
    await database.conversations.update_one(
        {"conversationId": chat.conversation}, {"$set": {"messages": chat.rows, "updatedAt": _now(), **more}}
    )


async def _save_again(database: Database, row: ObjectId, changes: Mapping[str, Any]) -> None:
    await database.messages.update_one({"_id": row}, {"$set": {"updatedAt": _now(), **changes}})


async def _pay(database: Database, chat: Chat) -> None:
    for kind, tokens in (("prompt", 22), ("completion", 260)):
        paid = {
            "user": ObjectId(USER),
            "conversationId": chat.conversation,
            "tokenType": kind,
            "model": "gpt-4o",
            "context": "message",
            "rawAmount": -tokens,
            "rate": 6,
            "tokenValue": -6 * tokens,
            "createdAt": _now(),
            "updatedAt": _now(),
            "__v": 0,
        }
        await database.transactions.insert_one(paid)
        await database.balances.update_one(
            {"user": ObjectId(USER)}, {"$inc": {"tokenCredits": -6 * tokens}}, upsert=True
        )


async def _indexed(database: Database, collection: str, row: ObjectId) -> None:
    told = {"_meiliIndex": True, "_meiliIndexSchemaVersion": 1}
    await database[collection].update_one({"_id": row}, {"$set": told})


async def _indexed_chat(database: Database, chat: Chat) -> None:
    await database.conversations.update_one(
        {"conversationId": chat.conversation}, {"$set": {"_meiliIndex": True}}
    )


def _indexing() -> Mapping[str, Any]:
    """What the search plugin writes along with every save."""
    version = str(ObjectId())
    return {"_meiliIndex": False, "_meiliIndexAttempted": True, "_meiliIndexVersion": version}


def _nothing() -> Mapping[str, Any]:
    return {}


def _now() -> datetime:
    return datetime.now(UTC)
