"""A stand-in for LibreChat: the writes of one ordinary day, in LibreChat's own order and shapes.

Each act is named for what a person does; beside it stand the events that it should send, and only those.
The noise between (token counts, search flags, second saves) is written too, because LibreChat does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

Database = AsyncDatabase[dict[str, Any]]

ROOT = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a person does, and the events that follow from it, in any order across entities."""

    title: str
    sends: tuple[str, ...]
    write: Callable[[], Awaitable[None]]


def ordinary_day(database: Database) -> Sequence[Act]:
    """The acts of one day, to be written in this order; all sixteen documented events occur."""
    day = _Day(database)
    acts: Sequence[tuple[str, str, Callable[[], Awaitable[None]]]] = (
        ("Ada registers", "user.registered", day.register),
        ("Ada logs in (and her token is refreshed: nothing to tell)", "user.login", day.login),
        (
            "Ada asks, the model answers (with LibreChat's token counts and search flags)",
            "message.created conversation.created message.created",
            day.first_turn,
        ),
        ("LibreChat gives the chat a title", "conversation.updated", day.title),
        (
            "Ada closes the tab in mid-answer; the answer is finished, and sent once, whole",
            "message.created message.created",
            day.second_turn_cut_off_and_finished,
        ),
        ("Ada edits her question", "message.updated", day.edit),
        ("Ada likes an answer", "message.feedback", day.feedback),
        ("Ada deletes one answer", "message.deleted", day.delete_message),
        (
            "Ada builds an agent, renames it, saves it unchanged, deletes it",
            "agent.created agent.updated agent.deleted",
            day.build_agent,
        ),
        (
            "Ada uploads a picture, uses it, removes it",
            "file.uploaded file.deleted",
            day.upload_and_remove_file,
        ),
        (
            "Ada archives the chat and brings it back",
            "conversation.archived conversation.archived",
            day.archive_and_bring_back,
        ),
        (
            "Ada deletes the chat, and its three messages go with it",
            "conversation.deleted message.deleted message.deleted message.deleted",
            day.delete_conversation,
        ),
        ("Ada logs out", "user.logout", day.logout),
    )
    return [Act(title=title, sends=tuple(sends.split()), write=write) for title, sends, write in acts]


class _Day:
    def __init__(self, database: Database) -> None:
        self.db = database
        self.user = ObjectId()
        self.session = ObjectId()
        self.conversation = str(uuid4())
        self.rows: list[ObjectId] = []
        self.last = ROOT

    async def register(self) -> None:
        now = _now()
        await self.db.users.insert_one(
            {
                "_id": self.user,
                "name": "Ada Lovelace",
                "username": "ada",
                "email": "ada@example.com",
                "emailVerified": False,
                "password": "$2a$10$a.bcrypt.hash.that.never.leaves.MongoDB",
                "provider": "local",
                "role": "USER",
                "plugins": [],
                "backupCodes": [],
                "createdAt": now,
                "updatedAt": now,
                "__v": 0,
            }
        )
        await self.db.balances.insert_one({"user": self.user, "tokenCredits": 20_000})

    async def login(self) -> None:
        await self.db.sessions.insert_one(
            {
                "_id": self.session,
                "expiration": _now() + timedelta(days=7),
                "user": self.user,
                "refreshTokenHash": "a-hash-that-never-leaves-MongoDB",
                "__v": 0,
            }
        )
        await self.db.sessions.update_one(
            {"_id": self.session}, {"$set": {"refreshTokenHash": "rotated-by-a-refresh"}}
        )

    async def first_turn(self) -> None:
        question = await self._message("What is an analytical engine?", by_user=True)
        now = _now()
        await self.db.conversations.insert_one(
            {
                "conversationId": self.conversation,
                "user": str(self.user),
                "title": "New Chat",
                "endpoint": "openAI",
                "model": "gpt-4o",
                "temperature": 0.7,
                "messages": [question],
                "_meiliIndex": False,
                "isArchived": False,
                "createdAt": now,
                "updatedAt": now,
                "__v": 0,
            }
        )
        await self._message("A machine that weaves algebraic patterns. 🧵", by_user=False)
        await self._second_saves()

    async def title(self) -> None:
        await self._update_conversation({"title": "Analytical engines"})

    async def second_turn_cut_off_and_finished(self) -> None:
        await self._message("And what could it compute?", by_user=True)
        answer = await self._message("", by_user=False, unfinished=True)
        await self.db.messages.update_one(
            {"_id": answer},
            {
                "$set": {
                    "content": [{"type": "text", "text": "The Bernoulli numbers, for a start."}],
                    "unfinished": False,
                    "tokenCount": 9,
                    "updatedAt": _now(),
                }
            },
        )
        await self._second_saves()

    async def edit(self) -> None:
        await self.db.messages.update_one(
            {"_id": self.rows[0]},
            {"$set": {"text": "What is the analytical engine?", "tokenCount": 7, "updatedAt": _now()}},
        )

    async def feedback(self) -> None:
        await self.db.messages.update_one(
            {"_id": self.rows[1]},
            {
                "$set": {
                    "feedback": {"rating": "thumbsUp", "tag": "clear_well_written", "_id": ObjectId()},
                    "updatedAt": _now(),
                }
            },
        )

    async def delete_message(self) -> None:
        await self.db.messages.delete_many({"_id": self.rows.pop()})

    async def build_agent(self) -> None:
        now = _now()
        agent = {
            "_id": ObjectId(),
            "id": "agent_demo",
            "name": "Charles",
            "description": "Knows engines",
            "provider": "openAI",
            "model": "gpt-4o",
            "instructions": "Be precise.",
            "author": self.user,
            "category": "general",
            "versions": [{"name": "Charles"}],
            "createdAt": now,
            "updatedAt": now,
            "__v": 0,
        }
        await self.db.agents.insert_one(agent)
        await self.db.agents.update_one(
            {"id": "agent_demo"},
            {
                "$set": {"name": "Charles B.", "updatedAt": _now()},
                "$push": {"versions": {"name": "Charles B."}},
            },
        )
        await self.db.agents.update_one({"id": "agent_demo"}, {"$set": {"updatedAt": _now()}})
        await self.db.agents.delete_one({"id": "agent_demo"})

    async def upload_and_remove_file(self) -> None:
        now, file_id = _now(), str(uuid4())
        await self.db.files.insert_one(
            {
                "file_id": file_id,
                "user": self.user,
                "filename": "engine.png",
                "filepath": "/images/engine.png?signature=never-leaves",
                "type": "image/png",
                "bytes": 48_213,
                "source": "local",
                "context": "message_attachment",
                "expiresAt": now + timedelta(hours=1),
                "createdAt": now,
                "updatedAt": now,
                "__v": 0,
            }
        )
        await self.db.files.update_one(
            {"file_id": file_id}, {"$inc": {"usage": 1}, "$unset": {"expiresAt": ""}}
        )
        await self.db.files.delete_many({"file_id": file_id})

    async def archive_and_bring_back(self) -> None:
        await self._update_conversation({"isArchived": True, "archivedAt": _now()})
        await self._update_conversation({"isArchived": False, "archivedAt": None})

    async def delete_conversation(self) -> None:
        await self.db.conversations.delete_one({"conversationId": self.conversation})
        await self.db.messages.delete_many({"conversationId": self.conversation})

    async def logout(self) -> None:
        await self.db.sessions.delete_one({"_id": self.session})

    async def _message(self, text: str, *, by_user: bool, unfinished: bool = False) -> ObjectId:
        now, message = _now(), str(uuid4())
        result = await self.db.messages.insert_one(
            {
                "messageId": message,
                "conversationId": self.conversation,
                "user": str(self.user),
                "parentMessageId": self.last,
                "text": text,
                "sender": "User" if by_user else "GPT-4o",
                "isCreatedByUser": by_user,
                "endpoint": "openAI",
                "model": None if by_user else "gpt-4o",
                "tokenCount": len(text.split()),
                "unfinished": unfinished,
                "error": False,
                "_meiliIndex": False,
                "createdAt": now,
                "updatedAt": now,
                "__v": 0,
            }
        )
        self.last = message
        self.rows.append(result.inserted_id)
        return self.rows[-1]

    async def _second_saves(self) -> None:
        """What LibreChat writes after each turn, and nobody wants to hear of."""
        await self._update_conversation({"messages": list(self.rows)})
        await self.db.messages.update_many({"_id": {"$in": self.rows}}, {"$set": {"updatedAt": _now()}})
        await self.db.messages.update_one({"_id": self.rows[0]}, {"$inc": {"tokenCount": 1}})
        await self.db.messages.update_many({"_id": {"$in": self.rows}}, {"$set": {"_meiliIndex": True}})

    async def _update_conversation(self, changes: dict[str, Any]) -> None:
        await self.db.conversations.update_one(
            {"conversationId": self.conversation}, {"$set": {**changes, "updatedAt": _now()}}
        )


def _now() -> datetime:
    return datetime.now(UTC)
