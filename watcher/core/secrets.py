"""Secrets: what of LibreChat's database never leaves, whoever asks for it in a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

SECRET_COLLECTIONS = frozenset(
    {
        "tokens",
        "keys",
        "pluginauths",
        "agentapikeys",
        "actions",
        "refreshtokenbridges",
        "openidrefreshflights",
        "skillsynccredentials",
    }
)
"""Credentials as a whole: never watched, and no mapping may be made of them."""

SECRET_FIELDS: Mapping[str, tuple[str, ...]] = {
    # Secrets, and the ids by which providers know a person.
    "users": (
        "password",
        "totpSecret",
        "pendingTotpSecret",
        "backupCodes",
        "pendingBackupCodes",
        "refreshToken",
        "googleId",
        "facebookId",
        "openidId",
        "samlId",
        "ldapId",
        "githubId",
        "discordId",
        "appleId",
        "openidIssuer",
        "idOnTheSource",
        "subagentAdmissionFences",
        "agentTriggerDeletion*",
    ),
    "sessions": ("refreshTokenHash",),
    # `versions` repeats the whole agent per change: with it an event outgrows 16 MB and stops the stream.
    # An avatar's URL may be signed: whoever has it may fetch.
    "agents": ("versions", "tool_kwargs", "tool_options", "avatar"),
    # The extracted text of a document: private, and as long as the document.
    "files": ("text", "metadata"),
    # Private transcripts of sub-agents (megabytes), and tracing.
    "messages": (
        "subagentTranscript",
        "subagentActivityProjection",
        "subagentTriggerProjection",
        "subagentTask",
        "subagent*",
        "contextMeta",
        "metadata",
        "langfuseDestinationIds",
        "langfuseRunId",
        "langfuseSampled",
        "langfuse*",
        "userSubmitted*",
    ),
    # `messages` lists every message's _id anew with every turn; the rest is agent event machinery.
    "conversations": (
        "messages",
        "subagentThreadLease",
        "agentEventBinding",
        "agentEventActor",
        "agentEventActorCleanup",
        "agentEventActorEpoch",
        "agentEventActorLegacyTurn",
        "agentEventActorReconciliations",
        "agentEventActorSuspension",
        "agentEvent*",
    ),
}
"""By collection, the top-level names that no event may carry. `name*` stands for all that begin so, those too
that LibreChat has yet to invent; what stands here by its full name is cut inside MongoDB already."""


VEILED_FIELDS: Mapping[str, tuple[str, ...]] = {"files": ("filepath", "storageKey")}
"""Server paths and signed URLs (LIBRECHAT.md §3.6): no secrets to whoever asks for them in a mapping, and
not to be kept by us."""


@cache  # asked of every value that a first scan reads; the names are those of mappings, and few
def is_veiled(collection: str, name: str) -> bool:
    """May no more be kept of this field than that it was there?"""
    return name in VEILED_FIELDS.get(collection, ()) or is_secret(collection, name)


def is_secret(collection: str, name: str) -> bool:
    """May this top-level field of this collection never be sent?

    >>> is_secret("users", "password"), is_secret("messages", "subagentTask"), is_secret("users", "tenantId")
    (True, True, False)
    """
    patterns = SECRET_FIELDS.get(collection, ())
    return any(
        name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in patterns
    )
