"""Shapes: what the API takes and gives. Requests are judged by them, the OpenAPI document is made of them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from watcher.core.encoding import timestamp

DeliveryState = Literal["held", "pending", "delivered", "dead", "cancelled"]
Moment = Annotated[
    datetime,
    PlainSerializer(timestamp, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Id = Annotated[str, Field(min_length=1, max_length=100)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0)]
Number = Annotated[float, Field(allow_inf_nan=False)]


MOST = 2**53 - 1
"""That every JSON parser reads as it was written."""


class Shape(BaseModel):
    """Keys in camelCase; unknown ones are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, serialize_by_alias=True
    )


def _timely(value: Any) -> Any:
    """Numbers are no times: nobody knows in which unit."""
    if value is not None and not (isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[Tt ]", value)):
        raise ValueError("not an ISO 8601 time, as 2026-11-26T12:00:00Z")
    return value


def _counted(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("not a number")
    return value


When = Annotated[AwareDatetime, BeforeValidator(_timely)]
Names = Annotated[list[Name], Field(max_length=20)]
Header = Annotated[list[str], Field(min_length=2, max_length=2)]
States = Annotated[list[DeliveryState], Field(max_length=5)]


class Filter(Shape):
    """Which deliveries are meant: those that meet all that is given."""

    endpoint: Names = []
    state: States = []
    event: Names = []
    user: Name | None = None
    conversation: Name | None = None
    id: Annotated[list[Id], Field(max_length=100)] = []
    since: When | None = Field(None, description="Of the change, ISO 8601 with its zone.")
    until: When | None = Field(None, description="Before it.")


class Search(Filter):
    before: Id | None = Field(None, description="`next` of the page before.")
    oldest_first: bool = False
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class Failure(Shape):
    error: str = Field(description="What is wrong, where, and its cure.")


class Part(Shape):
    ready: bool
    says: str


class CountsShape(Shape):
    held: Count = 0
    pending: Count = 0
    delivered: Count = 0
    dead: Count = 0
    cancelled: Count = 0


class OplogShape(Shape):
    window_seconds: Number
    headroom_seconds: Number
    left_seconds: Number | None


class Work(Shape):
    """Long work that is under way."""

    name: str
    unit: Literal["rows", "deliveries"] = "rows"
    rows: Count
    of: Count | None = None
    since: Moment | None = None


class Attention(Shape):
    """Something to look at, and what it is about."""

    text: str = Field(description="What is wrong, and its cure.")
    part: str | None = Field(default=None, description="The part of readiness that tells it.")
    endpoint: str | None = None
    state: DeliveryState | None = Field(
        default=None, description="It is about the endpoint's deliveries in this state."
    )


class History(Shape):
    """What this process saw, in steps of time, the oldest first."""

    step_seconds: Number
    until: Moment
    captured: list[Count]
    delivered: list[Count]
    failed: list[Count]
    lag_seconds: list[Number | None]


class Overview(Shape):
    version: str
    now: Moment
    ready: bool
    parts: dict[str, Part]
    attention: list[Attention] = Field(description="What to look at, the worst first.")
    counts: CountsShape | None = Field(description="Null while the state cannot be read.")
    lag_seconds: Number | None
    replicas: Count | None = Field(description="Null where the state is not shared.")
    leases: list[str] = Field(description="Held by this replica.")
    oplog: OplogShape | None
    store_bytes: Count | None = Field(description="Null while the state cannot be read.")
    max_store_bytes: Count
    work: list[Work]
    shows_text: bool = Field(description="Whether bodies and answers are shown as they are.")
    history: History


class Recent(Shape):
    """What this process saw lately."""

    seconds: Number
    attempts: Count
    delivered: Count
    failed: Count
    p50_ms: Number | None
    p99_ms: Number | None


class EndpointHistory(Shape):
    step_seconds: Number
    until: Moment
    delivered: list[Count]
    failed: list[Count]
    p99_ms: list[Number | None]


class EventFigures(Shape):
    """Since this process started."""

    delivered: Count
    failed: Count
    p50_ms: Number | None


class EndpointShape(Shape):
    name: str
    url: str = Field(description="Scheme, host and port: the rest may hold a token.")
    origin: Literal["file", "managed", "nowhere"]
    locked: bool = Field(description="It is changed in the settings' file only.")
    in_force: bool = Field(description="This replica's settings have it as it is shown here.")
    revision: Count | None = Field(description="Of a managed one, when it was last changed.")
    definition: dict[str, Any] | None = Field(
        description="Of a managed one that can be opened: its keys; what may be secret in them is hidden."
    )
    secrets: Count = Field(description="With which it is signed; more than one while they rotate.")
    state: Literal["ok", "open", "slowed", "paused", "gone"]
    reason: str | None
    since: Moment | None
    until: Moment | None
    events: list[str]
    counts: CountsShape
    oldest_waiting: Moment | None
    recent: Recent
    history: EndpointHistory
    by_event: dict[str, EventFigures]


class ManagingShape(Shape):
    on: bool
    why: str | None = Field(description="Why it is off, and the cure.")


class Endpoints(Shape):
    endpoints: list[EndpointShape]
    managing: ManagingShape


Definition = Annotated[dict[str, Any], Field(json_schema_extra={"x-definition": True})]
"""The keys of one of `webhooks.endpoints` in the settings' file. Its schema is the settings' (`Desk`)."""


class Create(Shape):
    definition: Definition


class ChangeEndpoint(Shape):
    definition: dict[str, Any] = Field(
        description="Keys that get another value, or none (null); mappings are merged (RFC 7396)."
    )
    revision: Annotated[int, Field(ge=1), BeforeValidator(_counted)] | None = Field(
        None, description="That was looked at: 409 when it was changed since."
    )


class Made(Shape):
    endpoint: EndpointShape
    secret: str | None = Field(description="One that was made just now: it is shown this once.")


class Rotate(Shape):
    secret: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None, description="The new one; without it one is made, and shown this once."
    )
    keep_old: bool = Field(
        True, description="The one before goes on to sign beside it, where the signature has room."
    )


class Delete(Shape):
    cancel: bool = Field(False, description="Never send what waits for it. Without: 409 when there is any.")


class Deleted(Shape):
    cancelled: Count
    left: Count = Field(description="That wait still: ask again.")


class Try(Shape):
    definition: Definition
    name: Name | None = Field(None, description="A managed endpoint of which the definition is a change.")
    limit: Annotated[int, Field(ge=1, le=200), BeforeValidator(_counted)] = 50


class TriedShape(Shape):
    event: str
    timestamp: Moment
    sent: bool
    subscribed: bool
    misses: list[str] = Field(description="What its filters want, and the event has not.")
    refused: str | None = Field(description="Why nothing could be sent, though it is wanted.")
    body: str | None = Field(description="As it would be sent; null where it is not, or texts are not shown.")
    body_shape: str | None = Field(description="The same, with people's texts blotted out.")


class TrialShape(Shape):
    since: Moment | None = Field(description="From when on all events were looked at.")
    events: Count
    sent: Count
    caught_up: bool
    trouble: str | None
    tried: list[TriedShape]


class AuditQuery(Shape):
    before: Annotated[int, Field(ge=1, le=2**53)] | None = Field(
        None, description="`next` of the page before."
    )
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class AuditShape(Shape):
    at: Moment
    act: str
    subject: str
    way: Literal["api", "cli"]
    address: str = Field(description="Of who asked; behind a proxy, the proxy's.")
    forwarded: str | None = Field(description="What a proxy says of whom it asked for. Believed by nobody.")
    details: dict[str, Any]


class AuditPage(Shape):
    entries: list[AuditShape]
    next: Count | None


class FiguresOf(Shape):
    since: When | None = Field(
        None,
        description="24 hours before `until` unless given, 31 days at most. Its whole hour, or day, counts.",
    )
    until: When | None = Field(None, description="Now, unless given.")


class Series(Shape):
    """Step by step, the oldest first."""

    delivered: list[Count]
    failed: list[Count]
    p99_ms: list[Number | None]


class Fared(Shape):
    """Attempts. One that carries a batch is counted once, under the event `batch`."""

    delivered: Count
    failed: Count
    success: Number | None = Field(description="The share that delivered; null where there were none.")
    p50_ms: Number | None
    p99_ms: Number | None
    series: Series


class Figures(Shape):
    """How an endpoint fared, of all replicas together, but for the last minute."""

    endpoint: str
    since: Moment = Field(description="When the first step begins.")
    until: Moment
    step_seconds: Number = Field(description="3600, or 86400 (days of UTC) for more than 7 days.")
    all: Fared
    by_event: dict[str, Fared]


class Pause(Shape):
    reason: Annotated[str, Field(min_length=1, max_length=500)] = "by an operator"


class Nothing(Shape):
    pass


class Ping(Shape):
    event: Name = "message.created"


class Pinged(Shape):
    ok: bool
    status: int | None
    reason: str | None
    took_ms: Number
    headers: list[Header]
    answer: str | None


class DeliveryShape(Shape):
    id: str
    endpoint: str
    event: str
    timestamp: Moment
    state: DeliveryState
    failed_attempts: Count
    status: int | None
    reason: str | None
    next_try_at: Moment | None
    held_until: Moment | None
    attempted_at: Moment | None
    settled_at: Moment | None
    user: str | None
    conversation: str | None


class Page(Shape):
    deliveries: list[DeliveryShape]
    next: str | None = Field(description="To be given as `before` for the next page; null: this is the last.")


class Numbers(Shape):
    count: Count
    by_state: dict[DeliveryState, Count]


class AttemptShape(Shape):
    at: Moment
    took_ms: Number
    status: int | None
    reason: str | None
    headers: list[Header]
    answer: str | None = Field(description="How it begins; null where it is not shown.")


class Detail(DeliveryShape):
    entity: str
    row: str
    bytes: Count
    body: str | None = Field(description="As it is sent; null where texts are not shown.")
    body_shape: str = Field(description="The same, with people's texts blotted out.")
    replayable: bool
    why: str | None = Field(description="Why it is not replayable.")
    cancellable: bool
    attempts: list[AttemptShape]


class Change(Shape):
    """Deliveries to replay or to cancel: by id, or all that meet a filter."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["ids"], "not": {"required": ["filter"]}},
                {"required": ["filter", "expected"], "not": {"required": ["ids"]}},
            ]
        }
    )

    ids: Annotated[list[Id], Field(min_length=1, max_length=1000)] | SkipJsonSchema[None] = None
    filter: Filter | SkipJsonSchema[None] = None
    expected: Annotated[int, Field(ge=0, le=MOST), BeforeValidator(_counted)] | SkipJsonSchema[None] = Field(
        None, description="How many were shown to be meant by the filter; 409 when there are far more."
    )
    after: Id | None = Field(None, description="`next` of the answer before.")

    @model_validator(mode="before")
    @classmethod
    def _left_out_or_given(cls, value: Any) -> Any:
        """Null might be meant as "all": what is not given is left out."""
        for name in ("ids", "filter", "expected"):
            if isinstance(value, dict) and name in value and value[name] is None:
                raise ValueError(f"{name} is null: leave it out")
        return value


class Changed(Shape):
    changed: Count
    by_endpoint: dict[str, Count] = Field(description="The same, of each endpoint.")
    left: Count = Field(description="That meet the filter still, from the second of `next` on.")
    done: bool
    next: str | None


class EventNames(Shape):
    events: list[str]
