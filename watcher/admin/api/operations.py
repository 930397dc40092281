"""Operations: every request that the API answers. Server and OpenAPI document are made of this table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from watcher.admin.api import deliveries, endpoints, managing, overview, shapes
from watcher.admin.desk import Desk


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One request. `work` gets the desk, then what there is: the `{…}` of the path, query, body."""

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    """Below `/api`."""
    name: str
    summary: str
    work: Callable[..., Awaitable[shapes.Shape]]
    answer: type[shapes.Shape]
    query: type[shapes.Shape] | None = None
    body: type[shapes.Shape] | None = None
    refuses: tuple[int, ...] = ()
    """Statuses of a Refusal, besides 400 for what does not fit the shapes."""

    @property
    def placeholder(self) -> str | None:
        """The name in `{…}`."""
        return self.path.partition("{")[2].partition("}")[0] or None

    async def do(self, desk: Desk, *given: Any) -> shapes.Shape:
        return await self.work(desk, *given)


async def _event_names(desk: Desk) -> shapes.EventNames:
    return shapes.EventNames(events=[str(entry.event) for entry in desk.catalogue()])


OPERATIONS = (
    Operation(
        method="GET",
        path="/overview",
        name="overview",
        summary="Does it deliver, how far behind is it, and what has to be looked at?",
        work=overview.overview,
        answer=shapes.Overview,
    ),
    Operation(
        method="GET",
        path="/endpoints",
        name="endpoints",
        summary="How each endpoint stands and fares.",
        work=endpoints.every,
        answer=shapes.Endpoints,
    ),
    Operation(
        method="POST",
        path="/endpoints",
        name="createEndpoint",
        summary="Make an endpoint, kept in the state. Without a secret it gets one, shown this once.",
        work=managing.create,
        answer=shapes.Made,
        body=shapes.Create,
        refuses=(409, 422),
    ),
    Operation(
        method="PATCH",
        path="/endpoints/{name}",
        name="changeEndpoint",
        summary="Change a managed endpoint.",
        work=managing.change,
        answer=shapes.Made,
        body=shapes.ChangeEndpoint,
        refuses=(404, 409, 422),
    ),
    Operation(
        method="DELETE",
        path="/endpoints/{name}",
        name="deleteEndpoint",
        summary="Drop a managed endpoint; or what waits for one that is gone.",
        work=managing.delete,
        answer=shapes.Deleted,
        query=shapes.Delete,
        refuses=(404, 409),
    ),
    Operation(
        method="POST",
        path="/endpoints/{name}/rotate",
        name="rotateSecret",
        summary="Sign with another secret from now on.",
        work=managing.rotate,
        answer=shapes.Made,
        body=shapes.Rotate,
        refuses=(404, 409, 422),
    ),
    Operation(
        method="POST",
        path="/endpoints/{name}/retire",
        name="retireSecrets",
        summary="Forget the secrets of before the last rotation.",
        work=managing.retire,
        answer=shapes.Made,
        refuses=(404, 409, 422),
    ),
    Operation(
        method="POST",
        path="/trial",
        name="tryEndpoint",
        summary="What an endpoint would have got of the newest events. Nothing is stored, and nothing sent.",
        work=managing.try_,
        answer=shapes.TrialShape,
        body=shapes.Try,
        refuses=(404, 409, 422),
    ),
    Operation(
        method="GET",
        path="/audit",
        name="audit",
        summary="What operators did, page by page, the newest first.",
        work=managing.audit,
        answer=shapes.AuditPage,
        query=shapes.AuditQuery,
    ),
    Operation(
        method="POST",
        path="/endpoints/{name}/pause",
        name="pauseEndpoint",
        summary="Send nothing to it until it is resumed. What is for it waits.",
        work=endpoints.pause,
        answer=shapes.EndpointShape,
        body=shapes.Pause,
        refuses=(404,),
    ),
    Operation(
        method="POST",
        path="/endpoints/{name}/resume",
        name="resumeEndpoint",
        summary="Send what there is again: after a pause, a 410, or at once when its circuit is open.",
        work=endpoints.resume,
        answer=shapes.EndpointShape,
        refuses=(404,),
    ),
    Operation(
        method="POST",
        path="/endpoints/{name}/ping",
        name="pingEndpoint",
        summary="Send a signed sample event now. Nothing is stored, and nothing tried again.",
        work=endpoints.ping,
        answer=shapes.Pinged,
        body=shapes.Ping,
        refuses=(404,),
    ),
    Operation(
        method="GET",
        path="/deliveries",
        name="searchDeliveries",
        summary="Deliveries that meet all that is given, page by page, the newest first.",
        work=deliveries.search,
        answer=shapes.Page,
        query=shapes.Search,
    ),
    Operation(
        method="GET",
        path="/deliveries/count",
        name="countDeliveries",
        summary="How many deliveries meet all that is given.",
        work=deliveries.count,
        answer=shapes.Numbers,
        query=shapes.Filter,
    ),
    Operation(
        method="GET",
        path="/deliveries/{id}",
        name="showDelivery",
        summary="All that is kept of one delivery: its body, and its attempts.",
        work=deliveries.show,
        answer=shapes.Detail,
        refuses=(404,),
    ),
    Operation(
        method="POST",
        path="/deliveries/replay",
        name="replayDeliveries",
        summary="Send deliveries again, same ids, same bytes. A filter without states means the dead ones.",
        work=deliveries.replay,
        answer=shapes.Changed,
        body=shapes.Change,
        refuses=(409,),
    ),
    Operation(
        method="POST",
        path="/deliveries/cancel",
        name="cancelDeliveries",
        summary="Never send deliveries that wait. What begins within a second still arrives.",
        work=deliveries.cancel,
        answer=shapes.Changed,
        body=shapes.Change,
        refuses=(409,),
    ),
    Operation(
        method="GET",
        path="/events",
        name="events",
        summary="The names of all events.",
        work=_event_names,
        answer=shapes.EventNames,
    ),
)
