"""The ledger: what LibreChat wrote, in commit order, and what each write owes to the people outside.

It is kept by hand, action by action, and knows nothing of mapping files: what it says is what a person would
expect (LIBRECHAT.md). Each thing owed can be told from every other by what its data say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from watcher.core.changes import Change, ChangeId, Document, Operation

MOMENT = timedelta(seconds=2)
CASCADE = timedelta(minutes=10)
TICK = timedelta(milliseconds=1)

Row = tuple[str, str]
"""A collection and an `_id`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """One event that is owed to whoever subscribed to it; or, cancelled, one that came to nothing."""

    event: str
    about: Mapping[str, Any]
    """What its data say, among other things."""
    lines: tuple[str, ...]
    """The lines in which it stands: of its entity; of its row alone, if time decides when it is sent."""
    change: int
    """Which change owes it, counted from 0."""
    fate: Literal["sent", "cancelled"] = "sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A time at which so many changes had been written."""

    at: datetime
    written: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A ledger that is closed: what happens at LibreChat from beginning to end, whoever watches."""

    changes: Sequence[Change]
    moments: Sequence[Moment]
    owed: Sequence[Owed]
    older: int
    """So many changes were made before anybody watched. Nothing is owed of them."""
    fell: range = range(0)
    """These fell off the oplog before anybody could read them."""


@dataclass(slots=True)
class Ledger:
    """Does what people do in LibreChat. An action that cannot be done now is left out."""

    now: datetime
    hold: timedelta
    """How long an unfinished answer is waited for."""
    changes: list[Change] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    owed: list[Owed] = field(default_factory=list)
    rows: dict[Row, Document] = field(default_factory=dict)
    _older: int = 0
    _fell: range = range(0)
    _numbers: int = 0
    _drafts: dict[str, int] = field(default_factory=dict)
    """Unfinished answers, and which event each is owed as things stand."""
    _gone: dict[str, datetime] = field(default_factory=dict)

    def script(self) -> Script:
        self.pause(0)
        return Script(
            changes=self.changes,
            moments=self.moments,
            owed=self.owed,
            older=self._older,
            fell=self._fell,
        )

    def watched(self) -> None:
        """From here on somebody watches: what was before is owed to nobody."""
        self._older = len(self.changes)
        self.owed.clear()
        self._drafts.clear()
        self.moments = [Moment(at=self.now, written=self._older)]

    def pause(self, seconds: float) -> None:
        """Let time pass. What was written before is there before it does."""
        if not self.moments or self.moments[-1].written != len(self.changes):
            self.moments.append(Moment(at=self.now, written=len(self.changes)))
        if seconds:
            self.now += timedelta(seconds=seconds)
            self.moments.append(Moment(at=self.now, written=len(self.changes)))

    @contextmanager
    def falling(self) -> Iterator[None]:
        """What is written here falls off the oplog at once."""
        self.pause(0)
        start = len(self.changes)
        yield
        self._fell = range(start, len(self.changes))
        self.pause(0)

    def of(self, collection: str, **like: Any) -> list[str]:
        """The `_id`s of rows that are there, oldest first."""
        return [
            row
            for (where, row), document in self.rows.items()
            if where == collection and like.items() <= document.items()
        ]

    # ------------------------------------------------------------------ conversations and messages

    def open(self, user: str) -> str:
        conversation = self._name("c")
        title = f"title of {conversation}"
        self._insert("conversations", conversation, conversationId=conversation, user=user, title=title)
        self._owe("conversation.created", {"conversationId": conversation, "title": title}, conversation)
        return conversation

    def rename(self, conversation: str) -> None:
        title = self._name("title ")
        self._update("conversations", conversation, title=title, updatedAt=self.now)
        self._owe("conversation.updated", {"conversationId": conversation, "title": title}, conversation)

    def archive(self, conversation: str) -> None:
        """Once only: a second time could not be told from the first."""
        if "isArchived" not in self.rows["conversations", conversation]:
            self._update("conversations", conversation, isArchived=True, archivedAt=self.now)
            about = {"conversationId": conversation, "isArchived": True}
            self._owe("conversation.archived", about, conversation)

    def turn(self, conversation: str) -> None:
        """What every turn writes, and nobody wants to hear of."""
        self._update("conversations", conversation, messages=[self._name("row")], updatedAt=self.now)

    def remove(self, conversation: str, *, messages_after: float = 0) -> None:
        """Its messages go with it, a little later."""
        self._delete("conversations", conversation)
        about = {"conversationId": conversation, "reason": "user"}
        self._owe("conversation.deleted", about, conversation)
        self._gone[conversation] = self.now
        if messages_after:
            self.pause(messages_after)
        for message in self.of("messages", conversationId=conversation):
            self.erase(message)

    def say(self, conversation: str) -> str:
        message = self._message(conversation, text := self._name("text "))
        self._owe("message.created", {"messageId": message, "text": text}, conversation, message)
        return message

    def begin(self, conversation: str) -> str:
        """An answer is stored half-way, and may be finished, or stay as it is for ever."""
        message = self._message(conversation, text := self._name("half "), unfinished=True)
        self._owe_half(message, text)
        return message

    def go_on(self, message: str) -> None:
        if not self.rows["messages", message].get("unfinished"):
            return
        text = self._name("half ")
        in_time = self._in_time(message)
        self._update("messages", message, text=text, updatedAt=self.now)
        if in_time:
            self._cancel(message)
            self._owe_half(message, text)
        else:
            self._owe_update(message, text)

    def finish(self, message: str) -> None:
        row = self.rows["messages", message]
        if not row.get("unfinished"):
            return
        text = self._name("text ")
        in_time = self._in_time(message)
        self._update("messages", message, text=text, unfinished=False, updatedAt=self.now)
        if in_time:
            self._cancel(message)
            about = {"messageId": message, "text": text, "unfinished": False}
            self._owe("message.created", about, row["conversationId"], message)
        else:
            self._owe_update(message, text)
        self._drafts.pop(message, None)

    def edit(self, message: str) -> None:
        if not self.rows["messages", message].get("unfinished"):
            text = self._name("text ")
            self._update("messages", message, text=text, updatedAt=self.now)
            self._owe_update(message, text)

    def rate(self, message: str) -> None:
        row = self.rows["messages", message]
        if not row.get("unfinished"):
            feedback = {"rating": "thumbsUp", "text": self._name("why ")}
            self._update("messages", message, feedback={**feedback, "_id": self._name("f")})
            about = {"messageId": message, "feedback": feedback}
            self._owe("message.feedback", about, row["conversationId"], message)

    def rate_again(self, message: str) -> None:
        """The same rating with a new `_id`: no news."""
        if feedback := self.rows["messages", message].get("feedback"):
            self._update("messages", message, feedback={**feedback, "_id": self._name("f")})

    def count(self, message: str) -> None:
        """Token calibration: no news."""
        self._numbers += 1
        self._update("messages", message, tokenCount=self._numbers, updatedAt=self.now)

    def erase(self, message: str) -> None:
        row = self.rows["messages", message]
        cascade = self._went(row["conversationId"]) or self._went(row["user"])
        self._delete("messages", message)
        about = {"messageId": message, "reason": "cascade" if cascade else "user"}
        self._owe("message.deleted", about, row["conversationId"], message)
        self._drafts.pop(message, None)

    def age(self, message: str) -> timedelta:
        created: datetime = self.rows["messages", message]["createdAt"]
        return self.now - created

    # ------------------------------------------------------------------ people

    def register(self) -> str:
        user = self._name("u")
        self._insert("users", user, email=f"{user}@example.com", emailVerified=False)
        self._owe("user.registered", {"userId": user}, user)
        return user

    def roll_back(self, user: str) -> None:
        """The e-mail could not be sent: the account goes before anybody heard of it."""
        if self.now - self.rows["users", user]["createdAt"] < MOMENT / 2:
            self._delete("users", user)
            self._cancel_owed(next(n for n, each in enumerate(self.owed) if each.about == {"userId": user}))

    def login(self, user: str) -> str:
        session = self._name("s")
        self._insert("sessions", session, expiration=self._in_a_week(), user=user, refreshTokenHash="…")
        self._owe("user.login", {"sessionId": session}, user)
        return session

    def logout(self, session: str) -> None:
        user = self.rows["sessions", session]["user"]
        self._delete("sessions", session)
        self._owe("user.logout", {"sessionId": session}, user)

    def rotate(self, session: str, *, seconds: float = 0.1) -> str:
        """OpenID with token reuse: a refresh puts another row in the session's place. Nobody came or went."""
        user = self.rows["sessions", session]["user"]
        newcomer = self._name("s")
        self._insert("sessions", newcomer, refreshTokenHash="…", user=user, expiration=self._in_a_week())
        self._owe("user.login", {"sessionId": newcomer}, user)
        self._cancel_owed(len(self.owed) - 1)
        self.pause(seconds)
        self._delete("sessions", session)
        return newcomer

    def refresh(self, session: str) -> None:
        """Without rotation: no news."""
        self._update("sessions", session, refreshTokenHash=self._name("hash"))

    def close_account(self, user: str) -> None:
        """Announced on the account's row; then all that belongs to it goes, the row last."""
        if self.now - self.rows["users", user]["createdAt"] < 2 * MOMENT:
            return  # so soon it would be a registration that is rolled back
        self._update("users", user, agentTriggerDeletionStartedAt=self.now)
        self._gone[user] = self.now
        for message in self.of("messages", user=user):
            self.erase(message)
        for session in self.of("sessions", user=user):
            self.logout(session)
        for conversation in self.of("conversations", user=user):
            self._delete("conversations", conversation)
            about = {"conversationId": conversation, "reason": "cascade"}
            self._owe("conversation.deleted", about, conversation)
        for file in self.of("files", user=user):
            self.drop(file)
        self._delete("users", user)
        self._owe("user.deleted", {"userId": user, "reason": "user"}, user)

    # ------------------------------------------------------------------ files

    def upload(self, user: str) -> str:
        file = self._name("f")
        self._insert("files", file, file_id=file, user=user, filename="cat.png", filepath=f"/images/{file}")
        self._owe("file.uploaded", {"fileId": file}, file)
        return file

    def drop(self, file: str) -> None:
        cascade = self._went(self.rows["files", file]["user"])
        self._delete("files", file)
        self._owe("file.deleted", {"fileId": file, "reason": "cascade" if cascade else "user"}, file)

    # ------------------------------------------------------------------ helpers: what is owed

    def _owe(self, event: str, about: Mapping[str, Any], *lines: str) -> None:
        self.owed.append(Owed(event=event, about=about, lines=lines, change=len(self.changes) - 1))

    def _owe_half(self, message: str, text: str) -> None:
        """Time may decide when it goes: then it stands in front of nothing but what comes of its own row."""
        self._owe("message.created", {"messageId": message, "text": text, "unfinished": True}, message)
        self._drafts[message] = len(self.owed) - 1

    def _owe_update(self, message: str, text: str) -> None:
        conversation = self.rows["messages", message]["conversationId"]
        self._owe("message.updated", {"messageId": message, "text": text}, conversation, message)

    def _cancel(self, message: str) -> None:
        if message in self._drafts:
            self._cancel_owed(self._drafts[message])

    def _cancel_owed(self, number: int) -> None:
        self.owed[number] = replace(self.owed[number], fate="cancelled")

    def _in_time(self, message: str) -> bool:
        """Is its hold still open? Its last second counts as over: then it is created, and updated."""
        return self.age(message) < self.hold - min(timedelta(seconds=1), self.hold / 10)

    def _went(self, what: str) -> bool:
        return what in self._gone and self.now - self._gone[what] <= CASCADE

    # ------------------------------------------------------------------ helpers: what is written

    def _message(self, conversation: str, text: str, **fields: Any) -> str:
        message = self._name("m")
        user = self.rows["conversations", conversation]["user"]
        self._insert(
            "messages",
            message,
            messageId=message,
            conversationId=conversation,
            user=user,
            text=text,
            **fields,
        )
        return message

    def _insert(self, collection: str, identity: str, **fields: Any) -> None:
        row = {"_id": identity, **fields}
        if collection != "sessions":
            row |= {"createdAt": self.now, "updatedAt": self.now}
        self._write("insert", collection, identity, after=row)

    def _update(self, collection: str, identity: str, **updated: Any) -> None:
        before = self.rows[collection, identity]
        self._write("update", collection, identity, after={**before, **updated}, updated=updated)

    def _delete(self, collection: str, identity: str) -> None:
        self._write("delete", collection, identity)

    def _write(
        self,
        operation: Operation,
        collection: str,
        identity: str,
        *,
        after: Document | None = None,
        updated: Document | None = None,
    ) -> None:
        change = Change(
            id=ChangeId(f"82{int(self.now.timestamp()):08X}{len(self.changes):08X}2B04"),
            collection=collection,
            operation=operation,
            at=self.now,
            document_id=identity,
            before=self.rows.get((collection, identity)),
            after=after,
            updated=updated or {},
            removed=(),
        )
        self.changes.append(change)
        if after is None:
            del self.rows[collection, identity]
        else:
            self.rows[collection, identity] = after
        self.now += TICK

    def _name(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}{self._numbers}"

    def _in_a_week(self) -> datetime:
        return self.now + timedelta(days=7)
