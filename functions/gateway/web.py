"""The gateway's HTTP: what comes in, what goes out."""

import math
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from contracts import strict_json, validation
from contracts.access import Role
from contracts.errors import ContractViolation, Fault, MalformedRequest, ObservatoryError, UnsupportedMediaType
from contracts.job import Job, JobStatus
from eventing import codec
from functions.gateway.service import Gateway, Origin
from functions.runtime.http import Route, header, json_response, limits_of, problem, read_body, refuse_unknown_query, require_json
from functions.stores.job_store import Submitted

KEY_CHARACTERS = 256


def job_url(job_id: str) -> str:
    return f"/v1/jobs/{job_id}"


def _submitted(answer: Submitted) -> Response:
    body: dict[str, Any] = {"id": answer.id, "status": answer.status, "url": job_url(answer.id)}
    if answer.deduplicated:
        body["deduplicated"] = True
    return json_response(body, 202 if answer.created else 200, {"location": job_url(answer.id)})


def actor_of(request: Request) -> str:
    """The name under which the request is written to the log."""
    return str(request.scope.get("observatory.actor", "anonymous"))


def _origin(request: Request) -> Origin:
    key = header(request, b"idempotency-key")
    if key is not None and not (0 < len(key) <= KEY_CHARACTERS and key.isprintable()):
        raise MalformedRequest(f"Idempotency-Key takes 1 to {KEY_CHARACTERS} printable characters")
    return Origin(actor_of(request), header(request, b"traceparent"), idempotency_key=key)


async def submit_job(gateway: Gateway, request: Request) -> Response:
    refuse_unknown_query(request, ("wait",))
    require_json(request)
    seconds = _wait_seconds(request, gateway.bounds.wait_seconds)
    document = strict_json.loads(await read_body(request))
    answer = await gateway.submit(document, _origin(request))
    return await _answer(gateway, answer, seconds)


async def _answer(gateway: Gateway, answer: Submitted, seconds: float | None) -> Response:
    if seconds is None:
        return _submitted(answer)
    job = await gateway.wait_for(answer.id, seconds)
    status = 200 if JobStatus(job.status).is_terminal or not answer.created else 202
    body = {"id": job.id, "status": job.status, "url": job_url(job.id), "result": job.result, "error": job.error}
    if answer.deduplicated:
        body["deduplicated"] = True
    return json_response(body, status, {"location": job_url(job.id)})


def _wait_seconds(request: Request, most: float) -> float | None:
    text = request.query_params.get("wait") if request.scope["query_string"] else None
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= most:
        raise MalformedRequest(f"wait={text[:40]} is not usable", faults=[Fault("/wait", f"a number of seconds from 0 to {most:g}")])
    return seconds


async def submit_batch(gateway: Gateway, request: Request) -> Response:
    refuse_unknown_query(request, ())
    require_json(request)
    document = strict_json.loads(await read_body(request, limits_of(request).batch_bytes))
    validation.validate_job_batch(document)
    origin = Origin(actor_of(request), header(request, b"traceparent"))
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
    refuse_unknown_query(request, ("wait",))
    headers = request.scope["headers"]
    mode = codec.mode(headers)
    if mode is None:
        raise UnsupportedMediaType("POST / takes CloudEvents (ce- headers, or Content-Type: application/cloudevents+json); "
                                   "plain JSON goes to POST /v1/jobs")  # fmt: skip
    seconds = _wait_seconds(request, gateway.bounds.wait_seconds)
    events = codec.decode(headers, await read_body(request))
    if mode == "batched":
        return await _submit_items(gateway, [gateway.event_item(event, actor_of(request)) for event in events])
    return await _answer(gateway, await gateway.submit_event(events[0], actor_of(request)), seconds)


# ---- wishes -----------------------------------------------------------------------------------------------------


async def _reason(request: Request) -> str | None:
    """The optional `{"reason": "..."}` of a wish."""
    body = await read_body(request, 65_536)
    if not body:
        return None
    require_json(request)
    document = strict_json.loads(body)
    reason = document.get("reason") if isinstance(document, dict) else None
    if not isinstance(document, dict) or set(document) - {"reason"} or not isinstance(reason, str | None) or len(reason or "") > 1_000:
        raise ContractViolation(faults=[Fault("", 'send {"reason": "at most 1000 characters"} or nothing')])
    return reason


def _wished(job: Job) -> Response:
    return json_response({"id": job.id, "status": job.status, "url": job_url(job.id)}, 202)


async def cancel_job(gateway: Gateway, request: Request, job_id: str) -> Response:
    return _wished(await gateway.cancel(job_id, actor_of(request), await _reason(request)))


async def retry_job(gateway: Gateway, request: Request, job_id: str) -> Response:
    return _wished(await gateway.retry(job_id, actor_of(request), await _reason(request)))


async def rerun_job(gateway: Gateway, request: Request, job_id: str) -> Response:
    await _reason(request)
    return _submitted(await gateway.rerun(job_id, actor_of(request)))


async def pause_queue(gateway: Gateway, request: Request, name: str) -> Response:
    return await _set_paused(gateway, request, name, True)


async def resume_queue(gateway: Gateway, request: Request, name: str) -> Response:
    return await _set_paused(gateway, request, name, False)


async def _set_paused(gateway: Gateway, request: Request, name: str, paused: bool) -> Response:
    state = await gateway.set_paused(name, paused, actor_of(request), await _reason(request))
    return json_response({"name": state.name, "paused": state.paused}, 202)


REFUSALS = (400, 413, 415, 422, 503)
ROUTES = (
    Route("POST", "/", receive_event, "Submit jobs as CloudEvents, in any of the three modes.", (200, 202, 409, *REFUSALS), needs=Role.SUBMIT),
    Route("POST", "/v1/jobs", submit_job, "Submit a job.", (200, 202, 409, *REFUSALS), needs=Role.SUBMIT),
    Route("POST", "/v1/jobs/batch", submit_batch, "Submit up to 1,000 jobs in one transaction.", (200, *REFUSALS), needs=Role.SUBMIT),
    Route("POST", "/v1/jobs/{job_id}/cancel", cancel_job, "Cancel a job, or ask its running attempt to stop.", (202, 404, 409, *REFUSALS), needs=Role.OPERATE),
    Route("POST", "/v1/jobs/{job_id}/retry", retry_job, "Give a failed or cancelled job new attempts.", (202, 404, 409, *REFUSALS), needs=Role.OPERATE),
    Route("POST", "/v1/jobs/{job_id}/rerun", rerun_job, "Make a new job from an ended one.", (202, 403, 404, *REFUSALS), needs=Role.SUBMIT),
    Route("POST", "/v1/queues/{name}/pause", pause_queue, "Hand out no more jobs of a queue.", (202, 422, *REFUSALS), needs=Role.OPERATE),
    Route("POST", "/v1/queues/{name}/resume", resume_queue, "Hand out a queue's jobs again.", (202, 422, *REFUSALS), needs=Role.OPERATE),
)
