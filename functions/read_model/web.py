"""The read model's HTTP: what may be asked, and how it is answered. Nothing here changes anything."""

from collections.abc import Sequence

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from contracts.access import Role
from contracts.errors import Fault, MalformedRequest, NotFound
from contracts.event_types import EVENT_TYPES, full_name
from contracts.job import JobStatus
from contracts.query import LETTERS, Query, parse, query_of
from contracts.query.fields import LETTER_STATES
from functions.read_model.event_stream import EventStream
from functions.read_model.frames import EVERYTHING, Wanted
from functions.read_model.service import ReadModel
from functions.runtime.description import JSON, LARGEST, LIMIT, PAGE, Answer, Body, Parameter, several, text, whole
from functions.runtime.entrypoint import Function
from functions.runtime.http import Route, json_response, query_number, read_wish

VALUES_MOST = 100
SCHEMA = "application/schema+json"
STATES = tuple(map(str, JobStatus))
LOGGED = tuple(kind.short for kind in EVENT_TYPES.values() if kind.logged)

Q = text("q", "Which jobs, in the query language.", maxLength=2_000)
STREAM_Q = text("q", "Events of jobs that fit right after the event, in the query language; other events are left out.", maxLength=2_000)
STATE = several("state", "Alternatives.", {"enum": list(STATES)})
TYPE, QUEUE = several("type", "Task types, alternatives."), several("queue", "Queues, alternatives.")
TAG, ID = several("tag", "Tags; a job must have each."), several("id", "Ids of jobs, alternatives.")
EVENT_TYPE = several("type", f"Event types by whole or short name, alternatives, such as {LOGGED[0]}.")
SEQUENCE = whole("cursor", "The `next_cursor` of the page before.", 0, LARGEST, 0)
TIMELINE = whole("limit", "How many at most.", 1, 10_000, 10_000)
GRAPH = whole("limit", "How many jobs at most.", 1, 10_000, 2_500)
SUBJECT = text("subject", "Of one stream, such as job/ID.")
POSITION = whole("cursor", "The `next_cursor` of the page before: a position, below which it goes on.", 1, LARGEST)
BEFORE = whole("before", "The same as cursor.", 1, LARGEST)
AFTER = whole("after", "The position past which to begin; without it, from now on.", 0, LARGEST)
JOB = several("job", "Ids of jobs, alternatives.")
LAST_EVENT_ID = text("Last-Event-ID", "The id of the last event that was received; counts before `after`.", "header", pattern="^[0-9]{1,18}$")
REFUSED_TYPE = text("type", "Refusals of this task type alone; unknown: of types that nobody knows.")
LAST = 1_000
LETTER_Q = text("q", "Which, in the query language of dead letters: id, status, trigger, type, source, event, reason, attempts, age.", maxLength=2_000)
LETTER_STATE = Parameter("status", "What became of them.", {"enum": list(LETTER_STATES)})


# ---- reading the query string -----------------------------------------------------------------------------------


def values_of(query: QueryParams, name: str, allowed: Sequence[str] | None = None) -> tuple[str, ...]:
    """The values of a parameter that may be repeated or separated by commas. Raises MalformedRequest."""
    given = [value for text in query.getlist(name) for value in text.split(",")]
    found = tuple(dict.fromkeys(filter(None, given)))
    if len(given) > VALUES_MOST:
        raise MalformedRequest(f"{name} has too many values", faults=[Fault(f"/{name}", f"at most {VALUES_MOST} values")])
    unknown = [value for value in found if allowed is not None and value not in allowed]
    if unknown:
        words = f"{unknown[0][:60]} is not known; known are {', '.join(allowed or ())}"
        raise MalformedRequest(f"{name} is not usable", faults=[Fault(f"/{name}", words)])
    return found


def types_of(query: QueryParams) -> tuple[str, ...]:
    """Event types by whole or short name (`job.queued`), as whole names. Raises MalformedRequest."""
    wanted = [name if name in EVENT_TYPES else full_name(name) for name in values_of(query, "type")]
    unknown = [name for name in wanted if name not in EVENT_TYPES]
    if unknown:
        words = f"no such event type; known are {', '.join(LOGGED)}"
        raise MalformedRequest("type is not usable", faults=[Fault("/type", words)])
    return tuple(wanted)


def page_of(request: Request) -> tuple[int, str | None]:
    """`limit` and `cursor`."""
    return number_of(request, LIMIT), request.query_params.get("cursor")


def number_of(request: Request, parameter: Parameter) -> int:
    """The number of a parameter that has a default."""
    number = query_number(request, parameter)
    assert number is not None, parameter.name
    return number


# ---- jobs -------------------------------------------------------------------------------------------------------


def wanted_jobs(query: QueryParams) -> Query:
    """`q` in the query language, together with the parameters that stand for its commonest terms. Raises MalformedRequest.

    Values of `state`, `type`, `queue` and `id` are alternatives; a job must have every `tag`.
    """
    states = values_of(query, "state", STATES)
    given = [query_of("state", states), *(query_of(name, values_of(query, name)) for name in ("type", "queue", "id"))]
    return parse(query.get("q", "")).and_also(*given, *(query_of("tag", [tag]) for tag in values_of(query, "tag")))


async def list_jobs(model: ReadModel, request: Request) -> Response:
    return json_response(await model.jobs(wanted_jobs(request.query_params), *page_of(request)))


async def show_job(model: ReadModel, request: Request, job_id: str) -> Response:
    return json_response(await model.job(job_id))


async def list_job_events(model: ReadModel, request: Request, job_id: str) -> Response:
    return json_response(await model.events_of(job_id, number_of(request, SEQUENCE), number_of(request, TIMELINE)))


async def show_graph(model: ReadModel, request: Request, job_id: str) -> Response:
    return json_response(await model.graph(job_id, number_of(request, GRAPH)))


async def list_attempts(model: ReadModel, request: Request, job_id: str) -> Response:
    return json_response(await model.attempts(job_id))


async def list_steps(model: ReadModel, request: Request, job_id: str) -> Response:
    return json_response(await model.steps(job_id))


async def show_output(model: ReadModel, request: Request, job_id: str, lease_token: str) -> Response:
    if not (lease_token.isascii() and lease_token.isdigit() and len(lease_token) < 10):
        raise NotFound(f"{lease_token[:40]} is no lease token; /v1/jobs/{job_id}/attempts lists them")
    return PlainTextResponse(await model.output(job_id, int(lease_token)), headers={"x-content-type-options": "nosniff"})


# ---- events -----------------------------------------------------------------------------------------------------


async def list_events(model: ReadModel, request: Request) -> Response:
    query = request.query_params
    before = query_number(request, POSITION if "cursor" in query else BEFORE)
    return json_response(await model.events(types_of(query), query.get("subject"), number_of(request, LIMIT), before))


async def stream(model: ReadModel, request: Request) -> Response:
    query = request.query_params
    jobs = parse(query.get("q", ""))
    wanted = Wanted(
        frozenset(types_of(query)), frozenset(values_of(query, "queue")), frozenset(f"job/{job_id}" for job_id in values_of(query, "job")),
        None if jobs.is_everything else jobs,
    )  # fmt: skip
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
    return query_number(request, AFTER)


# ---- the rest ---------------------------------------------------------------------------------------------------


async def show_stats(model: ReadModel, request: Request) -> Response:
    return json_response(await model.stats())


async def list_stores(model: ReadModel, request: Request) -> Response:
    return json_response(await model.stores())


async def list_queues(model: ReadModel, request: Request) -> Response:
    return json_response(await model.queues())


async def list_schedules(model: ReadModel, request: Request) -> Response:
    return json_response(await model.schedules(*page_of(request)))


async def show_schedule(model: ReadModel, request: Request, name: str) -> Response:
    return json_response(await model.schedule(name))


async def list_alerts(model: ReadModel, request: Request) -> Response:
    return json_response(await model.alerts())


async def list_tasks(model: ReadModel, request: Request) -> Response:
    return json_response(model.tasks())


async def list_functions(model: ReadModel, request: Request) -> Response:
    return json_response(await model.functions())


async def list_contracts(model: ReadModel, request: Request) -> Response:
    return json_response(await model.contracts(request.query_params.get("type")))


async def check_contract(model: ReadModel, request: Request) -> Response:
    wish = await read_wish(request, "contractCheck")
    return json_response(await model.check_contract(wish["name"], wish["schema"], wish.get("last", LAST)))


async def show_contract(model: ReadModel, request: Request, name: str) -> Response:
    return json_response(model.contract(name), headers={"content-type": SCHEMA})


async def show_audit(model: ReadModel, request: Request) -> Response:
    return json_response(model.auditor.document())


async def begin_audit(model: ReadModel, request: Request) -> Response:
    return json_response(model.auditor.start(), 202)


async def list_bulks(model: ReadModel, request: Request) -> Response:
    return json_response(await model.bulks())


async def show_bulk(model: ReadModel, request: Request, bulk_id: str) -> Response:
    return json_response(await model.bulk(bulk_id))


async def list_dead_letters(model: ReadModel, request: Request) -> Response:
    status = values_of(request.query_params, "status", LETTER_STATES)
    if len(status) > 1:
        raise MalformedRequest("status is not usable", faults=[Fault("/status", "one status")])
    where = parse(request.query_params.get("q", ""), LETTERS)
    return json_response(await model.dead_letters(*page_of(request), status[0] if status else None, where))


async def show_dead_letter(model: ReadModel, request: Request, letter_id: str) -> Response:
    return json_response(await model.dead_letter(letter_id))


async def show_metrics(model: ReadModel, request: Request) -> Response:
    return PlainTextResponse(await model.metrics(), media_type="text/plain; version=0.0.4")


async def show_openapi(function: Function, request: Request) -> Response:
    from functions.runtime.openapi import text_of_all

    return Response(text_of_all(), media_type=JSON)


async def index(model: ReadModel, request: Request) -> Response:
    from functions.read_model.page import HEADERS, index_page

    return HTMLResponse(index_page(await model.overview()), headers=HEADERS)


def gives(name: str) -> dict[int, Answer]:
    return {200: Answer(f"answers#{name}")}


NO_JSON = {200: Answer(None, "text/plain")}
ROUTES = (
    Route("GET", "/", index, "A page of addresses, counts and last jobs.", {200: Answer(None, "text/html")}, query=None, needs=Role.READ),
    Route("GET", "/metrics", show_metrics, "Prometheus metrics of the system: they come from the stores.", NO_JSON, query=None, needs=Role.READ),
    Route("GET", "/openapi.json", show_openapi, "This description.", gives("openapi"), needs=Role.READ, served=False),
    Route("GET", "/v1/jobs", list_jobs, "Jobs, newest first.", gives("jobPage"), query=(Q, STATE, TYPE, QUEUE, TAG, ID, *PAGE), needs=Role.READ),
    Route("GET", "/v1/jobs/{job_id}", show_job, "One job, and what holds it.", {200: Answer("job")}, needs=Role.READ),
    Route("GET", "/v1/jobs/{job_id}/events", list_job_events, "A job's events in order.", gives("eventPage"), query=(TIMELINE, SEQUENCE), needs=Role.READ),
    Route("GET", "/v1/jobs/{job_id}/graph", show_graph, "The jobs that hang together with it: parents, children, and theirs.", gives("graph"), query=(GRAPH,),
          needs=Role.READ),
    Route("GET", "/v1/jobs/{job_id}/attempts", list_attempts, "A job's attempts in order.", gives("attemptList"), needs=Role.READ),
    Route("GET", "/v1/jobs/{job_id}/steps", list_steps, "The steps of its handler that are done (context.once).", gives("stepList"), needs=Role.READ),
    Route("GET", "/v1/jobs/{job_id}/attempts/{lease_token}/log", show_output, "What an attempt printed and logged.", NO_JSON, needs=Role.READ),
    Route("GET", "/v1/events", list_events, "Events, newest first.", gives("eventPage"), query=(EVENT_TYPE, SUBJECT, LIMIT, POSITION, BEFORE), needs=Role.READ),
    Route("GET", "/v1/stream", stream, "Live events (Server-Sent Events), resumed by Last-Event-ID.", {200: Answer(None, "text/event-stream")},
          query=(AFTER, STREAM_Q, EVENT_TYPE, QUEUE, JOB), headers=(LAST_EVENT_ID,), needs=Role.READ),
    Route("GET", "/v1/stats", show_stats, "Counts, throughput, failure rate and percentiles.", gives("stats"), needs=Role.READ),
    Route("GET", "/v1/stores", list_stores, "The stores, whether they answer, and what is wrong with them.", gives("storeList"), needs=Role.READ),
    Route("GET", "/v1/queues", list_queues, "Queues as they stand.", gives("queueList"), needs=Role.READ),
    Route("GET", "/v1/schedules", list_schedules, "Schedules by name, with their last and next runs.", gives("scheduleList"), query=PAGE, needs=Role.READ),
    Route("GET", "/v1/schedules/{name}", show_schedule, "One schedule.", {200: Answer("schedule")}, needs=Role.READ),
    Route("GET", "/v1/alerts", list_alerts, "What deserves attention.", gives("alertList"), needs=Role.READ),
    Route("GET", "/v1/tasks", list_tasks, "Task types with their schemas.", gives("taskList"), needs=Role.READ),
    Route("GET", "/v1/functions", list_functions, "The functions, and their instances that are known.", gives("functionList"), needs=Role.READ),
    Route("GET", "/v1/contracts", list_contracts, "Contracts, their versions and differences, and refusals with samples.", gives("contractList"),
          query=(REFUSED_TYPE,), needs=Role.READ),
    Route("POST", "/v1/contracts/check", check_contract, "How many of the last documents of a contract a proposed schema would refuse, and why.",
          gives("contractChecked"), body=Body("wishes#contractCheck"), needs=Role.READ),
    Route("GET", "/v1/contracts/{name}", show_contract, "The schema of a contract.", {200: Answer("answers#schema", SCHEMA)}, needs=Role.READ),
    Route("GET", "/v1/audit", show_audit, "The last audit: the log against table, timelines, counts and statistics.", gives("audit"), needs=Role.READ),
    Route("POST", "/v1/audit", begin_audit, "Fold the log and compare what is stored with it.", {202: Answer("answers#audit")}, needs=Role.OPERATE),
    Route("GET", "/v1/bulk", list_bulks, "Bulk operations, newest first.", gives("bulkList"), needs=Role.READ),
    Route("GET", "/v1/bulk/{bulk_id}", show_bulk, "How far a bulk operation is, and its outcomes.", gives("bulk"), needs=Role.READ),
    Route("GET", "/v1/dead-letters", list_dead_letters, "Events that no function could handle, newest first.", gives("deadLetterList"),
          query=(LETTER_Q, LETTER_STATE, *PAGE), needs=Role.READ),
    Route("GET", "/v1/dead-letters/{letter_id}", show_dead_letter, "One dead letter with what was kept.", gives("deadLetterShown"), needs=Role.READ),
)  # fmt: skip
