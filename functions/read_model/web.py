"""The read model's HTTP: what may be asked, and how it is answered. Nothing here changes anything."""

from collections.abc import Sequence

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from contracts.access import Role
from contracts.errors import Fault, MalformedRequest, NotFound
from contracts.event_types import EVENT_TYPES, full_name
from contracts.job import JobStatus
from contracts.query import Query, parse, query_of
from functions.read_model.event_stream import EventStream
from functions.read_model.service import ReadModel
from functions.read_model.stream import EVERYTHING, Wanted
from functions.runtime.http import Route, json_response, query_number, refuse_unknown_query

PAGE, PAGE_MOST = 50, 500
TIMELINE_MOST = 10_000
GRAPH, GRAPH_MOST = 2_500, 10_000
VALUES_MOST = 100
DEAD_LETTER_STATES = ("kept", "replayed", "discarded", "resolved")
LARGEST = 10**18 - 1


# ---- reading the query string -----------------------------------------------------------------------------------


def values_of(query: QueryParams, name: str, allowed: Sequence[str] | None = None) -> tuple[str, ...]:
    """The values of a parameter that may be repeated or separated by commas. Raises MalformedRequest."""
    found = tuple(dict.fromkeys(value for text in query.getlist(name) for value in text.split(",") if value))
    if len(found) > VALUES_MOST:
        raise MalformedRequest(f"{name} has too many values", faults=[Fault(f"/{name}", f"at most {VALUES_MOST} values")])
    unknown = [value for value in found if allowed is not None and value not in allowed]
    if unknown:
        words = f"{unknown[0][:60]} is not known; known are {', '.join(allowed or ())}"
        raise MalformedRequest(f"{name} is not usable", faults=[Fault(f"/{name}", words)])
    return found


def types_of(query: QueryParams) -> tuple[str, ...]:
    """Event types by whole or short name (`job.queued`), as whole names. Raises MalformedRequest."""
    logged = [kind for kind in EVENT_TYPES.values() if kind.logged]
    wanted = [name if name in EVENT_TYPES else full_name(name) for name in values_of(query, "type")]
    unknown = [name for name in wanted if name not in EVENT_TYPES]
    if unknown:
        known = ", ".join(kind.short for kind in logged)
        raise MalformedRequest("type is not usable", faults=[Fault("/type", f"no such event type; known are {known}")])
    return tuple(wanted)


def page_of(request: Request, most: int = PAGE_MOST, default: int = PAGE) -> tuple[int, str | None]:
    """`limit` and `cursor`."""
    return query_number(request, "limit", default, 1, most), request.query_params.get("cursor")


# ---- jobs -------------------------------------------------------------------------------------------------------


def wanted_jobs(query: QueryParams) -> Query:
    """`q` in the query language, together with the parameters that stand for its commonest terms. Raises MalformedRequest.

    Values of `state`, `type`, `queue` and `id` are alternatives; a job must have every `tag`.
    """
    if len(query.getlist("q")) > 1:
        raise MalformedRequest("q is given more than once", faults=[Fault("/q", "write all terms into one q, side by side")])
    states = values_of(query, "state", tuple(map(str, JobStatus)))
    given = [query_of("state", states), *(query_of(name, values_of(query, name)) for name in ("type", "queue", "id"))]
    return parse(query.get("q", "")).and_also(*given, *(query_of("tag", [tag]) for tag in values_of(query, "tag")))


async def list_jobs(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ("q", "state", "type", "queue", "tag", "id", "limit", "cursor"))
    return json_response(await model.jobs(wanted_jobs(request.query_params), *page_of(request)))


async def show_job(model: ReadModel, request: Request, job_id: str) -> Response:
    refuse_unknown_query(request, ())
    return json_response(await model.job(job_id))


async def list_job_events(model: ReadModel, request: Request, job_id: str) -> Response:
    refuse_unknown_query(request, ("limit", "cursor"))
    limit = query_number(request, "limit", TIMELINE_MOST, 1, TIMELINE_MOST)
    return json_response(await model.events_of(job_id, query_number(request, "cursor", 0, 0, LARGEST), limit))


async def show_graph(model: ReadModel, request: Request, job_id: str) -> Response:
    refuse_unknown_query(request, ("limit",))
    return json_response(await model.graph(job_id, query_number(request, "limit", GRAPH, 1, GRAPH_MOST)))


async def list_attempts(model: ReadModel, request: Request, job_id: str) -> Response:
    refuse_unknown_query(request, ())
    return json_response(await model.attempts(job_id))


async def show_output(model: ReadModel, request: Request, job_id: str, lease_token: str) -> Response:
    refuse_unknown_query(request, ())
    if not (lease_token.isascii() and lease_token.isdigit() and len(lease_token) < 10):
        raise NotFound(f"{lease_token[:40]} is no lease token; /v1/jobs/{job_id}/attempts lists them")
    return PlainTextResponse(await model.output(job_id, int(lease_token)), headers={"x-content-type-options": "nosniff"})


# ---- events -----------------------------------------------------------------------------------------------------


async def list_events(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ("type", "subject", "limit", "cursor", "before"))
    query = request.query_params
    name = "cursor" if "cursor" in query else "before"  # both are positions
    before = query_number(request, name, 0, 1, LARGEST) if name in query else None
    return json_response(await model.events(types_of(query), query.get("subject"), page_of(request)[0], before))


async def stream(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ("after", "type", "queue", "job"))
    query = request.query_params
    wanted = Wanted(
        frozenset(types_of(query)), frozenset(values_of(query, "queue")), frozenset(f"job/{job_id}" for job_id in values_of(query, "job"))
    )
    after = _resumed_from(request)
    model.hub.check_room()
    await model.ready()
    return EventStream(model.hub.watch(after, EVERYTHING if wanted == EVERYTHING else wanted))


def _resumed_from(request: Request) -> int | None:
    """The position after which to go on: what a browser remembers counts before what the address says."""
    text = request.headers.get("last-event-id")
    if text:
        if text.isascii() and text.isdigit() and int(text[:19]) <= LARGEST:
            return int(text)
        raise MalformedRequest("Last-Event-ID is no position", faults=[Fault("/Last-Event-ID", "the id of an event of this stream")])
    if "after" not in request.query_params:
        return None
    return query_number(request, "after", 0, 0, LARGEST)


# ---- the rest ---------------------------------------------------------------------------------------------------


async def show_stats(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ())
    return json_response(await model.stats())


async def list_queues(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ())
    return json_response(await model.queues())


async def list_schedules(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ("limit", "cursor"))
    return json_response(await model.schedules(*page_of(request)))


async def show_schedule(model: ReadModel, request: Request, name: str) -> Response:
    refuse_unknown_query(request, ())
    return json_response(await model.schedule(name))


async def list_alerts(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ())
    return json_response(await model.alerts())


async def list_tasks(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ())
    return json_response(model.tasks())


async def list_functions(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ())
    return json_response(model.functions())


async def list_contracts(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ())
    return json_response(await model.contracts())


async def show_contract(model: ReadModel, request: Request, name: str) -> Response:
    refuse_unknown_query(request, ())
    return json_response(model.contract(name), headers={"content-type": "application/schema+json"})


async def show_audit(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ())
    return json_response(model.auditor.document())


async def begin_audit(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ())
    return json_response(model.auditor.start(), 202)


async def list_bulks(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ())
    return json_response(await model.bulks())


async def show_bulk(model: ReadModel, request: Request, bulk_id: str) -> Response:
    refuse_unknown_query(request, ())
    return json_response(await model.bulk(bulk_id))


async def list_dead_letters(model: ReadModel, request: Request) -> Response:
    refuse_unknown_query(request, ("status", "limit", "cursor"))
    status = values_of(request.query_params, "status", DEAD_LETTER_STATES)
    if len(status) > 1:
        raise MalformedRequest("status is not usable", faults=[Fault("/status", "one status")])
    return json_response(await model.dead_letters(*page_of(request), status[0] if status else None))


async def show_dead_letter(model: ReadModel, request: Request, letter_id: str) -> Response:
    refuse_unknown_query(request, ())
    return json_response(await model.dead_letter(letter_id))


async def show_metrics(model: ReadModel, request: Request) -> Response:
    return PlainTextResponse(await model.metrics(), media_type="text/plain; version=0.0.4")


async def index(model: ReadModel, request: Request) -> Response:
    from functions.read_model.page import HEADERS, index_page

    return HTMLResponse(index_page(await model.overview()), headers=HEADERS)


LIST, ONE = (200, 400, 503), (200, 400, 404, 503)
ROUTES = (
    Route("GET", "/", index, "A page of addresses, counts and last jobs.", (200, 503), needs=Role.READ),
    Route("GET", "/metrics", show_metrics, "Prometheus metrics of the system: they come from the stores.", (200, 503), needs=Role.READ),
    Route("GET", "/v1/jobs", list_jobs, "Jobs, newest first.", LIST, needs=Role.READ),
    Route("GET", "/v1/jobs/{job_id}", show_job, "One job, and what holds it.", ONE, needs=Role.READ),
    Route("GET", "/v1/jobs/{job_id}/events", list_job_events, "A job's events in order.", ONE, needs=Role.READ),
    Route("GET", "/v1/jobs/{job_id}/graph", show_graph, "The jobs that hang together with it: parents, children, and theirs.", ONE, needs=Role.READ),
    Route("GET", "/v1/jobs/{job_id}/attempts", list_attempts, "A job's attempts in order.", ONE, needs=Role.READ),
    Route("GET", "/v1/jobs/{job_id}/attempts/{lease_token}/log", show_output, "What an attempt printed and logged.", ONE, needs=Role.READ),
    Route("GET", "/v1/events", list_events, "Events, newest first.", LIST, needs=Role.READ),
    Route("GET", "/v1/stream", stream, "Live events (Server-Sent Events), resumed by Last-Event-ID.", LIST, needs=Role.READ),
    Route("GET", "/v1/stats", show_stats, "Counts, throughput, failure rate and percentiles.", LIST, needs=Role.READ),
    Route("GET", "/v1/queues", list_queues, "Queues as they stand.", LIST, needs=Role.READ),
    Route("GET", "/v1/schedules", list_schedules, "Schedules by name, with their last and next runs.", LIST, needs=Role.READ),
    Route("GET", "/v1/schedules/{name}", show_schedule, "One schedule.", ONE, needs=Role.READ),
    Route("GET", "/v1/alerts", list_alerts, "What deserves attention.", LIST, needs=Role.READ),
    Route("GET", "/v1/tasks", list_tasks, "Task types with their schemas.", LIST, needs=Role.READ),
    Route("GET", "/v1/functions", list_functions, "The functions, and their instances that are known.", LIST, needs=Role.READ),
    Route("GET", "/v1/contracts", list_contracts, "Contracts, and recent refusals.", LIST, needs=Role.READ),
    Route("GET", "/v1/contracts/{name}", show_contract, "The schema of a contract.", ONE, needs=Role.READ),
    Route("GET", "/v1/audit", show_audit, "The last audit: the log against table, timelines, counts and statistics.", LIST, needs=Role.READ),
    Route("POST", "/v1/audit", begin_audit, "Fold the log and compare what is stored with it.", (202, 400, 503), needs=Role.OPERATE),
    Route("GET", "/v1/bulk", list_bulks, "Bulk operations, newest first.", LIST, needs=Role.READ),
    Route("GET", "/v1/bulk/{bulk_id}", show_bulk, "How far a bulk operation is, and its outcomes.", ONE, needs=Role.READ),
    Route("GET", "/v1/dead-letters", list_dead_letters, "Events that no function could handle, newest first.", LIST, needs=Role.READ),
    Route("GET", "/v1/dead-letters/{letter_id}", show_dead_letter, "One dead letter with what was kept.", ONE, needs=Role.READ),
)
