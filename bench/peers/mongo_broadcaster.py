"""mongo-broadcaster with its HTTP channel: one change after the other, as it is made.

Only fields that it is told are sent, and no dates (its JSON has none): what makes up a message."""

from __future__ import annotations

import asyncio
import sys

from mongo_broadcaster import (
    BroadcasterConfig,
    CollectionConfig,
    HTTPCallbackChannel,
    MongoChangeBroadcaster,
)

FIELDS = [
    "messageId",
    "conversationId",
    "user",
    "parentMessageId",
    "text",
    "sender",
    "isCreatedByUser",
    "endpoint",
    "model",
    "tokenCount",
    "unfinished",
    "error",
]


async def main(uri: str, database: str, url: str) -> None:
    messages = CollectionConfig(collection_name="messages", database_name=database, fields_to_watch=FIELDS)
    broadcaster = MongoChangeBroadcaster(BroadcasterConfig(mongo_uri=uri, collections=[messages]))
    channel = HTTPCallbackChannel(url)
    broadcaster.add_channel(channel)
    await channel.connect()
    await broadcaster.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
