"""What MongoDB's errors mean, in one table: wait, ask the operator, or give the position up.

The law: a message is ours, made of the error's code and of what we know. The server's own text is left out,
since it may quote documents, tokens and commands."""

from __future__ import annotations

from dataclasses import dataclass

from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.server_type import SERVER_TYPE
from pymongo.topology_description import TopologyDescription

from watcher.adapters.mongo.connect import Place
from watcher.errors import PositionLost, SourceError, SourceRefused, SourceUnavailable


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What one error code means. `why` and `cure` may name {host}, {hosts}, {database} and {user}."""

    kind: type[SourceError]
    why: str
    cure: str = ""


# Taking a refusal for an outage costs an operator who is never told: it is tried for ever, in silence.
# Taking an outage for a refusal ends the program for something that would have passed. So only what no
# waiting mends is listed here.
_STANDALONE = _Meaning(
    SourceRefused,
    "it is a standalone server, and change streams need a replica set (one member is enough)",
    "In docker-compose.override.yaml give LibreChat's `mongodb` service this line and restart it:\n"
    "      command: mongod --noauth --replSet rs0 --bind_ip_all\n"
    "  then, at once (LibreChat waits for it): librechat-watcher prepare --init-replica-set {host}\n"
    "  Data stay, and LibreChat's MONGO_URI stays as it is.",
)
_UNAUTHORIZED = _Meaning(
    SourceRefused,
    "this user may not read the database {database!r}, or no user is given and one is needed",
    "As an administrator, in mongosh:\n"
    '      db.getSiblingDB("admin").grantRolesToUser("{user}", [{{role: "read", db: "{database}"}}])\n'
    "  or for a user of the watcher's own:\n"
    '      db.getSiblingDB("admin").createUser({{user: "watcher", pwd: passwordPrompt(),\n'
    '        roles: [{{role: "read", db: "{database}"}}, {{role: "read", db: "local"}}]}})\n'
    "  and MONGO_URI=mongodb://watcher:PASSWORD@{hosts}/{database}?authSource=admin",
)
_LOGIN = _Meaning(
    SourceRefused,
    "it rejects the user or the password",
    "Check both in MONGO_URI (percent-encoded?), and the database that the user was created in:\n"
    "  for most it is `admin`, so add ?authSource=admin",
)
_UNSUPPORTED = _Meaning(
    SourceRefused,
    "it does not know change streams as MongoDB has them since 4.4",
    "FerretDB has none; on Amazon DocumentDB they must be turned on. Use MongoDB 6.0 or newer.",
)

# Calling a live position dead costs a recovery: reads, and a few repeats. Calling a dead one live wedges
# capture for ever. So here stand the codes that the server documents as non-resumable, and those seen (on
# 6.0.5) for tokens that were tampered with.
_HISTORY_LOST = _Meaning(
    PositionLost, "the stored position is older than the oplog: what happened since cannot be read from it"
)


class TokenUnknown(PositionLost):
    """The stream did not meet the change that it was to begin behind. A filter may have kept it out."""


_TOKEN_UNKNOWN = _Meaning(
    TokenUnknown,
    "it does not know the stored position: its oplog has been cut, restored or begun anew since,"
    " or MONGO_URI has been given another database",
)
_TOKEN_BROKEN = _Meaning(PositionLost, "it rejects the stored position as malformed")


class TooLarge(PositionLost):
    """The next change cannot be read as asked for. Read again it fails again; asked for less it may pass, and
    if nothing is left to leave out, there is no way past it by this position."""


_TOO_LARGE = _Meaning(
    TooLarge,
    "the next change is larger than 16 MB, and cannot be read past",
)

# Everything else passes, or is taken to pass: waiting and opening again from the checkpoint loses nothing.
# The list is here for its words.
_ELECTION = _Meaning(SourceUnavailable, "it is electing a primary or shutting down")
_CURSOR_GONE = _Meaning(SourceUnavailable, "the stream's cursor is gone")
_NETWORK = _Meaning(SourceUnavailable, "it cannot reach its own members")
_NO_DATABASE = _Meaning(SourceUnavailable, "the database {database!r} does not exist yet")

_MEANINGS: dict[int, _Meaning] = {
    40573: _STANDALONE,
    13: _UNAUTHORIZED,
    8000: _LOGIN,  # Atlas
    18: _LOGIN,
    334: _LOGIN,  # MechanismUnavailable
    59: _UNSUPPORTED,  # CommandNotFound
    115: _UNSUPPORTED,  # CommandNotSupported
    303: _UNSUPPORTED,  # DocumentDB: change streams are not enabled
    40324: _UNSUPPORTED,  # unrecognized pipeline stage
    286: _HISTORY_LOST,  # ChangeStreamHistoryLost
    280: _TOKEN_UNKNOWN,  # ChangeStreamFatalError
    260: _TOKEN_BROKEN,  # InvalidResumeToken
    40647: _TOKEN_BROKEN,
    40649: _TOKEN_BROKEN,
    50811: _TOKEN_BROKEN,
    50872: _TOKEN_BROKEN,
    10334: _TOO_LARGE,  # BSONObjectTooLarge
    17420: _TOO_LARGE,
    43: _CURSOR_GONE,  # CursorNotFound
    237: _CURSOR_GONE,  # CursorKilled
    136: _CURSOR_GONE,  # CappedPositionLost: the oplog overran the cursor; opening again tells if us, too
    175: _CURSOR_GONE,  # QueryPlanKilled
    11601: _CURSOR_GONE,  # Interrupted
    234: _CURSOR_GONE,  # RetryChangeStream
    246: _CURSOR_GONE,  # SnapshotUnavailable
    91: _ELECTION,  # ShutdownInProgress
    94: _ELECTION,  # NotYetInitialized
    189: _ELECTION,  # PrimarySteppedDown
    10107: _ELECTION,  # NotWritablePrimary
    11600: _ELECTION,  # InterruptedAtShutdown
    11602: _ELECTION,  # InterruptedDueToReplStateChange
    13435: _ELECTION,  # NotPrimaryNoSecondaryOk
    13436: _ELECTION,  # NotPrimaryOrSecondary
    6: _NETWORK,  # HostUnreachable
    7: _NETWORK,  # HostNotFound
    89: _NETWORK,  # NetworkTimeout
    9001: _NETWORK,  # SocketException
    26: _NO_DATABASE,  # NamespaceNotFound (mongos)
}

_BROKEN_WHEN_RESUMING = frozenset({9, 15})
"""FailedToParse, Overflow: about the token when one was given, as the rest of the command never changes."""


def classify(
    error: PyMongoError,
    place: Place,
    *,
    resuming: bool = False,
    topology: TopologyDescription | None = None,
) -> SourceError:
    """The exception that says who must act.

    `resuming`: the failed command carried a resume token. `topology`: what the driver saw of the servers."""
    match error:
        case OperationFailure():
            return _refusal(error, place, resuming)
        case ServerSelectionTimeoutError():
            return SourceUnavailable(f"{place}: {_why_no_primary(place, topology)}")
        case ConfigurationError() if not _is_name_server_failure(error):
            return SourceRefused(
                f"{place} cannot be used: the driver rejects MONGO_URI ({type(error).__name__}).\n"
                "  Check its options, and with mongodb+srv:// that the host has SRV records."
            )
        case ConnectionFailure():
            return SourceUnavailable(f"{place} broke the connection or stopped answering")
        case _:
            return SourceUnavailable(f"{place} cannot be read ({type(error).__name__})")


def standalone(place: Place) -> SourceError:
    """The refusal of a server that is no member of a replica set."""
    return _told(_STANDALONE, place, "no replica set")


def _refusal(error: OperationFailure, place: Place, resuming: bool) -> SourceError:
    code = error.code or 0
    name = (error.details or {}).get("codeName")
    label = f"code {code}{f' {name}' if name else ''}"
    meaning = _MEANINGS.get(code)
    if meaning is None and resuming and code in _BROKEN_WHEN_RESUMING:
        meaning = _TOKEN_BROKEN
    if meaning is None and error.has_error_label("NonResumableChangeStreamError"):
        meaning = _TOKEN_UNKNOWN
    if meaning is None:
        return SourceUnavailable(f"{place} failed the command ({label})")

    return _told(meaning, place, label)


def _told(meaning: _Meaning, place: Place, label: str) -> SourceError:
    words = {
        "host": place.host,
        "hosts": place.hosts,
        "database": place.database,
        "user": place.user or "USER",
    }
    cure = f"\n  {meaning.cure.format_map(words)}" if meaning.cure else ""
    why = meaning.why.format_map(words)
    message = f"{place}: {why} ({label}).{cure}"
    return meaning.kind(message, why=why) if issubclass(meaning.kind, PositionLost) else meaning.kind(message)


def _why_no_primary(place: Place, topology: TopologyDescription | None) -> str:
    servers = list(topology.server_descriptions().values()) if topology is not None else []
    types = {server.server_type for server in servers}
    problems = [str(server.error).partition(" (configured")[0] for server in servers if server.error]
    if topology is not None and not servers:
        return (
            "no server there belongs to the replica set that MONGO_URI names with replicaSet=\n"
            "  Is the name right, and is it a replica set at all? See: librechat-watcher check"
        )
    if SERVER_TYPE.RSGhost in types:
        return (
            "it was started with --replSet, but the set has not been initiated\n"
            f"  Do it once: librechat-watcher prepare --init-replica-set {place.host}"
        )
    if SERVER_TYPE.RSSecondary in types:
        return "its members have no primary: an election, or too few of them are up"
    if problems:
        return f"nobody answers: {'; '.join(problems)}\n  {NOBODY}"
    return f"nobody answers\n  {NOBODY}"


NOBODY = "Is it running, and is this its host and port as seen from here? (In compose: mongodb:27017)"


def _is_name_server_failure(error: PyMongoError) -> bool:
    """Did a name server fail to answer? (That passes; its answer that there is no such name does not.)"""
    return type(error.__cause__).__name__ in {"LifetimeTimeout", "Timeout", "NoNameservers"}
