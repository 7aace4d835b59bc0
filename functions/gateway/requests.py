"""What the gateway's operations share: who asks, for how long they wait, and how a submission is answered."""

import math
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from contracts.errors import Fault, MalformedRequest
from contracts.job import JobStatus
from functions.gateway.service import Gateway, Origin
from functions.runtime.http import header, json_response, read_wish, trace_of
from functions.stores.job_store import Submitted

KEY_CHARACTERS = 256


def job_url(job_id: str) -> str:
    return f"/v1/jobs/{job_id}"


def submitted(answer: Submitted) -> Response:
    """The answer to a submission: 202, or 200 for what was there."""
    body: dict[str, Any] = {"id": answer.id, "status": answer.status, "url": job_url(answer.id)}
    if answer.deduplicated:
        body["deduplicated"] = True
    return json_response(body, 202 if answer.created else 200, {"location": job_url(answer.id)})


def actor_of(request: Request) -> str:
    """The name under which the request is written to the log."""
    return str(request.scope.get("observatory.actor", "anonymous"))


def origin_of_request(request: Request) -> Origin:
    """Who asks, and under which Idempotency-Key. Raises MalformedRequest."""
    key = header(request, b"idempotency-key")
    if key is not None and not (0 < len(key) <= KEY_CHARACTERS and key.isprintable()):
        raise MalformedRequest(f"Idempotency-Key takes 1 to {KEY_CHARACTERS} printable characters")
    return Origin(actor_of(request), trace_of(request), idempotency_key=key)


async def answer_submitted(gateway: Gateway, answer: Submitted, seconds: float | None) -> Response:
    """At once, or (with `seconds`) when the job ended or the time is up."""
    if seconds is None:
        return submitted(answer)
    job = await gateway.wait_for(answer.id, seconds)
    status = 200 if JobStatus(job.status).is_terminal or not answer.created else 202
    body = {"id": job.id, "status": job.status, "url": job_url(job.id), "result": job.result, "error": job.error}
    if answer.deduplicated:
        body["deduplicated"] = True
    return json_response(body, status, {"location": job_url(job.id)})


def wait_seconds(request: Request, most: float) -> float | None:
    """`?wait=`; None without it. Raises MalformedRequest."""
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


async def reason_of(request: Request) -> str | None:
    """The optional `{"reason": "..."}` of a wish."""
    reason: str | None = (await read_wish(request, "reason")).get("reason")
    return reason
