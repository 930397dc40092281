"""Secrets: what of LibreChat's database never leaves, whoever asks for it in a mapping."""

from __future__ import annotations

from collections.abc import Mapping

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
"""Credentials as a whole: no mapping may be made of them."""

SECRET_FIELDS: Mapping[str, tuple[str, ...]] = {
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
    "agents": ("versions", "tool_kwargs", "tool_options", "avatar"),
    "files": ("text", "metadata"),
    "messages": ("subagent*", "contextMeta", "metadata", "langfuse*", "userSubmitted*"),
    "conversations": ("agentEvent*", "subagentThreadLease", "messages"),
}
"""By collection, the top-level names that no event may carry; `name*` stands for all that begin so."""


VEILED_FIELDS: Mapping[str, tuple[str, ...]] = {"files": ("filepath", "storageKey")}
"""Server paths and signed URLs (LIBRECHAT.md §3.6): no secrets to whoever asks for them in a mapping, and
not to be kept by us."""


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
