"""The settings' shape: which keys there are, and which values each may have by itself.

Every key may be left out: defaults are in `default.yaml`, what keys mean together in `receivers.py`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from watcher.config import values
from watcher.config.settings import LogLevel, LogStyle, OnPositionLost
from watcher.core.endpoints import Secret, Signing

ABSENT: Any = None
"""A key that was left out. Written as null it is refused, so the two cannot be confused."""

Text = Annotated[str, AfterValidator(values.present)]
Truth = Annotated[bool, BeforeValidator(values.parsed_truth)]
Retries = Annotated[int, BeforeValidator(values.parsed_number), Field(ge=0, le=1000)]
DelaySeconds = Annotated[
    float,
    BeforeValidator(values.parsed_number),
    Field(ge=0, le=2_592_000),  # 30 days
]
Milliseconds = Annotated[int, BeforeValidator(values.parsed_number), Field(ge=1, le=600_000)]
PerSecond = Annotated[float, BeforeValidator(values.parsed_number), Field(gt=0, le=1_000_000)]
BatchSize = Annotated[int, BeforeValidator(values.parsed_number), Field(ge=1, le=1000)]

EventPattern = Annotated[str, AfterValidator(values.event_pattern)]
Events = Annotated[list[EventPattern], BeforeValidator(values.parsed_list), Field(min_length=1)]
Texts = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
Secrets = Annotated[tuple[Secret, ...], PlainValidator(values.secrets), Texts]
Fields = Annotated[list[Annotated[str, AfterValidator(values.field)]], BeforeValidator(values.parsed_list)]
Url = Annotated[str, AfterValidator(values.endpoint_url)]


class Shape(BaseModel):
    """Keys as in the file (`retryDelays`), types not bent (`"5"` is no number), nothing unknown."""

    model_config = ConfigDict(
        strict=True, extra="forbid", alias_generator=to_camel, hide_input_in_errors=True
    )

    def given(self) -> dict[str, Any]:
        """What was written, without what was left out."""
        found = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: value.given() if isinstance(value, Shape) else value for name, value in found.items()}


class RateLimitShape(Shape):
    max_per_second: PerSecond = ABSENT
    batch_size: BatchSize = ABSENT


class FilterShape(Shape):
    event: EventPattern
    condition: Annotated[dict[str, Any], AfterValidator(values.plain)]


class TlsShape(Shape):
    ca: Text = ABSENT
    cert: Text = ABSENT
    key: Text = ABSENT


class ReceiverShape(Shape):
    """What an endpoint may say, and the top level for all of them."""

    secret: Secrets = ABSENT
    events: Events = ABSENT
    headers: Annotated[dict[str, str], AfterValidator(values.headers)] = ABSENT
    retries: Retries = ABSENT
    retry_delays: Annotated[
        list[DelaySeconds], BeforeValidator(values.parsed_list), Field(max_length=1000)
    ] = ABSENT
    timeout: Milliseconds = ABSENT
    rate_limit: RateLimitShape = ABSENT
    filters: list[FilterShape] = ABSENT
    signing: Signing = ABSENT
    format: Literal["librechat", "cloudevents"] = ABSENT
    ordering: Literal["entity", "none"] = ABSENT
    allow_http: Truth = ABSENT

    omit: Fields = ABSENT
    hash: Fields = ABSENT
    hash_key: Annotated[Secret, PlainValidator(values.hash_key), WithJsonSchema({"type": "string"})] = ABSENT
    text_length: Truth = ABSENT
    transform: Annotated[
        Any, PlainValidator(values.transform), WithJsonSchema({"type": ["string", "object", "array"]})
    ] = ABSENT
    preset: Literal["slack", "discord", "teams"] = ABSENT
    tls: TlsShape = ABSENT
    proxy: Annotated[str, AfterValidator(values.proxy_url)] = ABSENT
    deny_private: Truth = ABSENT


class EndpointShape(ReceiverShape):
    name: Annotated[str, AfterValidator(values.endpoint_name)] = ABSENT
    url: Url = ABSENT


class WebhooksShape(ReceiverShape):
    enabled: Truth = ABSENT
    url: Url = ABSENT
    endpoints: list[EndpointShape] = ABSENT


class HttpShape(Shape):
    listen: Annotated[str, AfterValidator(values.listen)] = ABSENT
    token: Text = ABSENT
    show_text: Truth = ABSENT


class RetentionShape(Shape):
    delivered: Annotated[timedelta, PlainValidator(values.some_span)] = ABSENT
    dead: Annotated[timedelta, PlainValidator(values.some_span)] = ABSENT


class WatcherShape(Shape):
    mongo_uri: Annotated[str, AfterValidator(values.mongo_uri)] = ABSENT
    state: Annotated[str, AfterValidator(values.state_uri)] = ABSENT
    http: HttpShape = ABSENT
    secret_key: Annotated[tuple[Secret, ...], PlainValidator(values.secret_keys)] = ABSENT
    start_from: Annotated[str, AfterValidator(values.moment)] = ABSENT
    on_position_lost: OnPositionLost = ABSENT
    memory: Literal["auto", "always"] = ABSENT
    mappings: Annotated[list[Text], BeforeValidator(values.parsed_list)] = ABSENT
    max_store: Annotated[int, PlainValidator(values.size)] = ABSENT
    retention: RetentionShape = ABSENT
    unfinished_hold: Annotated[timedelta, PlainValidator(values.span)] = ABSENT
    log: LogStyle = ABSENT
    log_level: LogLevel = ABSENT
    traces: Truth = ABSENT


class FileShape(Shape):
    webhooks: WebhooksShape = ABSENT
    watcher: WatcherShape = ABSENT
