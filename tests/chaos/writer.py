"""The writer: people who use LibreChat all at once, each one thing after the other, at a steady pace.

Of each change that an event follows from, an entry goes into the ledger as soon as it is committed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from pymongo.errors import PyMongoError

from tests.chaos.commits import Commits
from tests.chaos.ledger import Ledger

COLLECTIONS = ("conversations", "messages", "users", "sessions", "agents", "files")

PEOPLE = 40
LIVE_CONVERSATIONS = 3
LONGEST_CONVERSATION = 12
"""Messages, of a person; then the oldest are deleted, or all of it."""

NOISE = 0.15
"""How often LibreChat writes something by itself that nobody is to be told of."""

WORDS = ("stream", "été", "🧵", "tea", "\u2028", "naïve", "1e-7", "線")


class Writer:
    """All of them together."""

    def __init__(self, commits: Commits, ledger: Ledger, *, per_second: float, seed: str) -> None:
        self._pace = _Pace(per_second)
        self._people = [
            _Person(commits, ledger, self._pace, Random(f"{seed} person {number}"))
            for number in range(PEOPLE)
        ]

    async def write(self, *, until: Callable[[], bool]) -> None:
        """Go on until told; return when the last write is known to be committed."""
        async with asyncio.TaskGroup() as tasks:
            for person in self._people:
                tasks.create_task(person.live(until))


class _Pace:
    """Turns at a steady pace. What could not be written during an outage is not caught up with."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second
        self._next = 0.0

    async def turn(self) -> None:
        now = time.monotonic()
        self._next = max(self._next + self._gap, now)
        await asyncio.sleep(self._next - now)


class _Message:
    def __init__(self, identity: str, text: str) -> None:
        self.id = identity
        self.text = text
        self.rating: str | None = None


class _Conversation:
    def __init__(self, identity: str, title: str) -> None:
        self.id = identity
        self.title = title
        self.messages: list[_Message] = []


class _Person:
    """Somebody with conversations, sessions, agents and files. Nobody else writes about these."""

    def __init__(self, commits: Commits, ledger: Ledger, pace: _Pace, dice: Random) -> None:
        self._commits = commits
        self._ledger = ledger
        self._pace = pace
        self._dice = dice
        self._id = self._new_id()
        self._made = 0
        self._conversations: list[_Conversation] = []
        self._session: str | None = None
        self._agent: tuple[str, str] | None = None
        self._file: str | None = None

    async def live(self, until: Callable[[], bool]) -> None:
        await self._register()
        acts: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._chat, 40),
            (self._finish_an_answer, 10),
            (self._edit, 20),
            (self._rate, 8),
            (self._delete_message, 5),
            (self._retitle, 6),
            (self._delete_conversation, 1),
            (self._log_in_or_out, 3),
            (self._work_on_an_agent, 4),
            (self._keep_a_file, 3),
        ]
        what, weights = [act for act, _ in acts], [weight for _, weight in acts]
        while not until():
            await self._dice.choices(what, weights)[0]()

    # ------------------------------------------------------------------ what a person does

    async def _register(self) -> None:
        row = {"_id": self._id, "email": f"{self._id}@example.com", "provider": "local", "password": "secret"}
        await self._insert("users", row, f"user:{self._id}", "user.registered", self._id)

    async def _chat(self) -> None:
        conversation = await self._a_conversation()
        message = self._new_message()
        await self._store(conversation, message)
        conversation.messages.append(message)
        self._told(conversation, "message.created", message.id)

    async def _finish_an_answer(self) -> None:
        """It is told when it is finished, and what is said meanwhile is told before it."""
        conversation = await self._a_conversation()
        answer = self._new_message()
        await self._store(conversation, answer, unfinished=True)
        if conversation.messages and self._dice.random() < 0.5:
            await self._edit_one(conversation, self._dice.choice(conversation.messages))
        text = self._new_text(answer.id)
        await self._update(
            "messages",
            answer.id,
            {"unfinished": True},
            {"unfinished": False, "text": text, "updatedAt": _now()},
        )
        answer.text = text
        conversation.messages.append(answer)
        self._told(conversation, "message.created", answer.id)

    async def _edit(self) -> None:
        conversation = await self._a_conversation()
        if conversation.messages:
            await self._edit_one(conversation, self._dice.choice(conversation.messages))

    async def _edit_one(self, conversation: _Conversation, message: _Message) -> None:
        text = self._new_text(message.id)
        await self._update("messages", message.id, {"text": message.text}, {"text": text})
        message.text = text
        self._told(conversation, "message.updated", text)

    async def _rate(self) -> None:
        conversation = await self._a_conversation()
        if not conversation.messages:
            return
        message = self._dice.choice(conversation.messages)
        rating = self._new_text(message.id)
        feedback = {"rating": self._dice.choice(["thumbsUp", "thumbsDown"]), "text": rating}
        await self._update("messages", message.id, {"feedback.text": message.rating}, {"feedback": feedback})
        message.rating = rating
        self._told(conversation, "message.feedback", rating)

    async def _delete_message(self) -> None:
        conversation = await self._a_conversation()
        if conversation.messages:
            message = conversation.messages.pop(self._dice.randrange(len(conversation.messages)))
            await self._delete("messages", message.id)
            self._told(conversation, "message.deleted", message.id)

    async def _retitle(self) -> None:
        conversation = await self._a_conversation()
        title = self._new_text(conversation.id)
        await self._update("conversations", conversation.id, {"title": conversation.title}, {"title": title})
        conversation.title = title
        self._told(conversation, "conversation.updated", title)

    async def _delete_conversation(self) -> None:
        if not self._conversations:
            return
        conversation = self._conversations.pop(self._dice.randrange(len(self._conversations)))
        await self._delete("conversations", conversation.id)
        self._told(conversation, "conversation.deleted", conversation.id)
        for message in conversation.messages:
            await self._delete("messages", message.id)
            self._told(conversation, "message.deleted", message.id)

    async def _log_in_or_out(self) -> None:
        entity = f"user:{self._id}"
        if self._session is None:
            session = self._new_id()
            row = {"_id": session, "expiration": _now() + timedelta(days=7), "user": self._id}
            await self._insert("sessions", row, entity, "user.login", session)
            self._session = session
        else:
            await self._delete("sessions", self._session)
            self._note(entity, "user.logout", self._session)
            self._session = None

    async def _work_on_an_agent(self) -> None:
        if self._agent is None:
            identity = f"agent_{self._new_id()}"
            name = self._new_text(identity)
            row = {"_id": identity, "id": identity, "author": self._id, "name": name}
            await self._insert("agents", row, f"agent:{identity}", "agent.created", identity)
            self._agent = identity, name
        elif self._dice.random() < 0.7:
            identity, name = self._agent
            new = self._new_text(identity)
            await self._update("agents", identity, {"name": name}, {"name": new})
            self._note(f"agent:{identity}", "agent.updated", new)
            self._agent = identity, new
        else:
            identity, _ = self._agent
            await self._delete("agents", identity)
            self._note(f"agent:{identity}", "agent.deleted", identity)
            self._agent = None

    async def _keep_a_file(self) -> None:
        if self._file is None:
            identity = self._new_id()
            row = {
                "_id": identity,
                "file_id": identity,
                "user": self._id,
                "filepath": "/uploads/x",
                "bytes": 68,
            }
            await self._insert("files", row, f"file:{identity}", "file.uploaded", identity)
            self._file = identity
        else:
            await self._delete("files", self._file)
            self._note(f"file:{self._file}", "file.deleted", self._file)
            self._file = None

    # ------------------------------------------------------------------ helpers

    async def _a_conversation(self) -> _Conversation:
        while self._conversations and self._dice.random() < 0.9:
            chosen = self._dice.choice(self._conversations)
            if len(chosen.messages) <= LONGEST_CONVERSATION:
                return chosen
            await self._delete_oldest(chosen)
        if len(self._conversations) >= LIVE_CONVERSATIONS:
            return self._dice.choice(self._conversations)
        identity = self._new_id()
        title = self._new_text(identity)
        row = {"_id": identity, "conversationId": identity, "user": self._id, "title": title}
        await self._insert("conversations", row, f"conversation:{identity}", "conversation.created", identity)
        self._conversations.append(_Conversation(identity, title))
        return self._conversations[-1]

    async def _delete_oldest(self, conversation: _Conversation) -> None:
        message = conversation.messages.pop(0)
        await self._delete("messages", message.id)
        self._told(conversation, "message.deleted", message.id)

    async def _store(
        self, conversation: _Conversation, message: _Message, *, unfinished: bool = False
    ) -> None:
        row = {
            "_id": message.id,
            "messageId": message.id,
            "conversationId": conversation.id,
            "user": self._id,
            "text": message.text,
            "isCreatedByUser": not unfinished,
            "unfinished": unfinished,
            "tokenCount": self._dice.random() * 10 ** self._dice.randrange(-9, 20),
            "createdAt": _now(),
        }
        await self._pace.turn()
        await self._commits.insert("messages", row)
        if self._dice.random() < NOISE:
            await self._make_noise(message)

    async def _make_noise(self, message: _Message) -> None:
        await self._pace.turn()
        with suppress(PyMongoError):  # done or not, nobody hears of it
            await self._commits.database.messages.update_one(
                {"_id": message.id}, {"$set": {"tokenCount": 7, "_meiliIndex": True, "updatedAt": _now()}}
            )

    async def _insert(self, collection: str, row: dict[str, Any], entity: str, event: str, what: str) -> None:
        await self._pace.turn()
        await self._commits.insert(collection, row)
        self._note(entity, event, what)

    async def _update(
        self, collection: str, identity: str, was: dict[str, Any], becomes: dict[str, Any]
    ) -> None:
        await self._pace.turn()
        await self._commits.update(collection, identity, was, becomes)

    async def _delete(self, collection: str, identity: str) -> None:
        await self._pace.turn()
        await self._commits.delete(collection, identity)

    def _told(self, conversation: _Conversation, event: str, what: str) -> None:
        self._note(f"conversation:{conversation.id}", event, what)

    def _note(self, entity: str, event: str, what: str) -> None:
        self._ledger.note(entity, event, what)

    def _new_message(self) -> _Message:
        identity = self._new_id()
        return _Message(identity, self._new_text(identity))

    def _new_text(self, of: str) -> str:
        self._made += 1
        words = " ".join(self._dice.choice(WORDS) for _ in range(self._dice.randrange(40)))
        return f"{self._made} of {of}: {words}"

    def _new_id(self) -> str:
        return str(UUID(int=self._dice.getrandbits(128), version=4))


def _now() -> datetime:
    return datetime.now(UTC)
