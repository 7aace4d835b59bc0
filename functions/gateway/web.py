"""The gateway's HTTP: what comes in, what goes out."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from contracts import strict_json, validation
from contracts.access import Role
from contracts.errors import ContractViolation, Fault, ObservatoryError, UnsupportedMediaType
from contracts.event_types import JOB_REQUESTED
from contracts.job import Job
from eventing import codec
from functions.gateway.requests import actor_of, answer_submitted, job_url, origin_of_request, reason_of, submitted, wait_seconds
from functions.gateway.schedules_web import ROUTES as SCHEDULES
from functions.gateway.service import Gateway, Origin
from functions.runtime.description import IDEMPOTENCY_KEY, TRACEPARENT, WAIT, Answer, Body, named, text
from functions.runtime.http import Route, json_response, limits_of, problem, read_body, read_wish, require_json, trace_of
from functions.stores.job_store import Submitted


async def submit_job(gateway: Gateway, request: Request) -> Response:
    require_json(request)
    seconds = wait_seconds(request, gateway.bounds.wait_seconds)
    document = strict_json.loads(await read_body(request))
    answer = await gateway.submit(document, origin_of_request(request))
    return await answer_submitted(gateway, answer, seconds)


async def submit_batch(gateway: Gateway, request: Request) -> Response:
    require_json(request)
    document = strict_json.loads(await read_body(request, limits_of(request).batch_bytes))
    validation.validate_job_batch(document)
    origin = Origin(actor_of(request), trace_of(request))
    return await _submit_items(gateway, [(item, origin) for item in document["jobs"]])


async def _submit_items(gateway: Gateway, items: list[Any]) -> Response:
    if len(items) > gateway.bounds.batch_items:
        raise ContractViolation(faults=[Fault("/jobs", f"at most {gateway.bounds.batch_items} items; got {len(items)}")])
    answers = await gateway.submit_many(items)
    return json_response({"items": [_item(answer) for answer in answers]})


def _item(answer: Submitted | ObservatoryError) -> dict[str, Any]:
    if isinstance(answer, ObservatoryError):
        import orjson

        return {"status": answer.status, "problem": orjson.loads(problem(answer).body)}
    status = 202 if answer.created else 200
    item: dict[str, Any] = {"status": status, "id": answer.id, "url": job_url(answer.id), "job_status": answer.status}
    if answer.deduplicated:
        item["deduplicated"] = True
    return item


async def receive_event(gateway: Gateway, request: Request) -> Response:
    """POST /: CloudEvents in binary, structured or batched mode (CloudEvents HTTP binding 1.0.2, section 3)."""
    headers = request.scope["headers"]
    mode = codec.mode(headers)
    if mode is None:
        raise UnsupportedMediaType("POST / takes CloudEvents (ce- headers, or Content-Type: application/cloudevents+json); "
                                   "plain JSON goes to POST /v1/jobs")  # fmt: skip
    seconds = wait_seconds(request, gateway.bounds.wait_seconds)
    events = codec.decode(headers, await read_body(request))
    if mode == "batched":
        return await _submit_items(gateway, [gateway.event_item(event, actor_of(request), trace_of(request)) for event in events])
    answer = await gateway.submit_event(events[0], actor_of(request), trace_of(request))
    return await answer_submitted(gateway, answer, seconds)


# ---- wishes -----------------------------------------------------------------------------------------------------


def _wished(job: Job) -> Response:
    return json_response({"id": job.id, "status": job.status, "url": job_url(job.id)}, 202)


async def cancel_job(gateway: Gateway, request: Request, job_id: str) -> Response:
    return _wished(await gateway.cancel(job_id, actor_of(request), await reason_of(request)))


async def retry_job(gateway: Gateway, request: Request, job_id: str) -> Response:
    return _wished(await gateway.retry(job_id, actor_of(request), await reason_of(request)))


async def rerun_job(gateway: Gateway, request: Request, job_id: str) -> Response:
    await reason_of(request)
    return submitted(await gateway.rerun(job_id, origin_of_request(request)))


async def pause_queue(gateway: Gateway, request: Request, name: str) -> Response:
    return await _set_paused(gateway, request, name, True)


async def resume_queue(gateway: Gateway, request: Request, name: str) -> Response:
    return await _set_paused(gateway, request, name, False)


async def _set_paused(gateway: Gateway, request: Request, name: str, paused: bool) -> Response:
    state = await gateway.set_paused(name, paused, actor_of(request), await reason_of(request))
    return json_response({"name": state.name, "paused": state.paused}, 202)


async def begin_bulk(gateway: Gateway, request: Request) -> Response:
    wish = await read_wish(request, "bulk")
    if wish.get("dry_run"):
        return json_response(await gateway.bulk.rehearse(wish["action"], wish["q"]))
    operation = await gateway.bulk.begin(wish["action"], wish["q"], actor_of(request), wish.get("reason"))
    return json_response(operation.as_json(), 202, {"location": f"/v1/bulk/{operation.id}"})


SUBMITTED = Answer("answers#submitted", located=True)
SUBMISSION = {200: SUBMITTED, 202: SUBMITTED}
REQUESTED = {"allOf": [named("event-envelope")], "required": ["data"], "properties": {"type": {"const": JOB_REQUESTED}, "data": named("job-request")}}
EVENTS = Body("job-request", media=(
    ("application/cloudevents+json", REQUESTED), ("application/cloudevents-batch+json", {"type": "array", "items": named("event-envelope")}),
))  # fmt: skip
CE = (
    text("ce-specversion", "In binary mode: the version of CloudEvents.", "header", const="1.0"),
    text("ce-id", "In binary mode: identifies the event within its source.", "header", minLength=1, maxLength=1024),
    text("ce-source", "In binary mode: where it comes from.", "header", format="uri-reference", minLength=1, maxLength=2048),
    text("ce-type", "In binary mode: what it asks for.", "header", const=JOB_REQUESTED),
    TRACEPARENT,
)
WISHED, REASON = {202: Answer("answers#wished")}, Body("wishes#reason", required=False)
PAUSED = {202: Answer("answers#queuePaused")}
BULK = {200: Answer("answers#bulkRehearsed"), 202: Answer("answers#bulk", located=True)}
ROUTES = (
    Route("POST", "/", receive_event, "Submit jobs as CloudEvents, in any of the three modes.",
          {200: Answer("answers#eventsSubmitted"), 202: SUBMITTED}, (409,), query=(WAIT,), headers=CE, body=EVENTS, needs=Role.SUBMIT),
    Route("POST", "/v1/jobs", submit_job, "Submit a job.", SUBMISSION, (409,), query=(WAIT,), headers=(IDEMPOTENCY_KEY, TRACEPARENT),
          body=Body("job-request"), needs=Role.SUBMIT),
    Route("POST", "/v1/jobs/batch", submit_batch, "Submit up to 1,000 jobs in one transaction.", {200: Answer("answers#batchSubmitted")},
          headers=(TRACEPARENT,), body=Body("job-batch"), needs=Role.SUBMIT),
    Route("POST", "/v1/jobs/{job_id}/cancel", cancel_job, "Cancel a job, or ask its running attempt to stop.", WISHED, (409,), body=REASON, needs=Role.OPERATE),
    Route("POST", "/v1/jobs/{job_id}/retry", retry_job, "Give a failed or cancelled job new attempts.", WISHED, (409,), body=REASON, needs=Role.OPERATE),
    Route("POST", "/v1/jobs/{job_id}/rerun", rerun_job, "Make a new job from an ended one.", SUBMISSION, (409,),
          headers=(IDEMPOTENCY_KEY, TRACEPARENT), body=REASON, needs=Role.SUBMIT),
    Route("POST", "/v1/bulk", begin_bulk, "Cancel, retry or rerun every job, or replay or discard every dead letter, that a query finds.", BULK,
          body=Body("wishes#bulk"), needs=Role.OPERATE),
    Route("POST", "/v1/queues/{name}/pause", pause_queue, "Hand out no more jobs of a queue.", PAUSED, body=REASON, needs=Role.OPERATE),
    Route("POST", "/v1/queues/{name}/resume", resume_queue, "Hand out a queue's jobs again.", PAUSED, body=REASON, needs=Role.OPERATE),
    *SCHEDULES,
)  # fmt: skip
