"""The gateway's HTTP for schedules: put, delete, run, pause, resume. (The read model lists them.)"""

from starlette.requests import Request
from starlette.responses import Response

from contracts import strict_json
from contracts.access import Role
from contracts.schedule import Schedule
from functions.gateway.requests import actor_of, answer_submitted, origin_of_request, reason_of, wait_seconds
from functions.gateway.service import Gateway
from functions.runtime.description import IDEMPOTENCY_KEY, TRACEPARENT, WAIT, Answer, Body
from functions.runtime.http import Route, json_response, read_body, read_wish, require_json


def url(name: str) -> str:
    return f"/v1/schedules/{name}"


async def put_schedule(gateway: Gateway, request: Request, name: str) -> Response:
    require_json(request)
    document = strict_json.loads(await read_body(request))
    schedule, outcome = await gateway.schedules.put(name, document, actor_of(request))
    (shown,) = await gateway.redactor.schedules([schedule.as_json()])
    return json_response({**shown, "outcome": outcome}, 201 if outcome == "created" else 200, {"location": url(name)})


async def delete_schedule(gateway: Gateway, request: Request, name: str) -> Response:
    await gateway.schedules.delete(name, actor_of(request), await reason_of(request))
    return json_response({"name": name, "deleted": True})


async def run_schedule(gateway: Gateway, request: Request, name: str) -> Response:
    seconds = wait_seconds(request, gateway.bounds.wait_seconds)
    await read_wish(request, "nothing")
    origin = origin_of_request(request)
    answer = await gateway.schedules.run(name, origin.actor, origin.idempotency_key, origin.traceparent)
    return await answer_submitted(gateway, answer, seconds)


async def pause_schedule(gateway: Gateway, request: Request, name: str) -> Response:
    return await _set_paused(gateway, request, name, True)


async def resume_schedule(gateway: Gateway, request: Request, name: str) -> Response:
    return await _set_paused(gateway, request, name, False)


async def _set_paused(gateway: Gateway, request: Request, name: str, paused: bool) -> Response:
    return _paused(await gateway.schedules.pause(name, paused, actor_of(request), await reason_of(request)))


def _paused(schedule: Schedule) -> Response:
    shown = schedule.as_json()
    return json_response({name: shown[name] for name in ("name", "paused", "paused_by", "pause_reason", "next_at")}, 202)


STORED, PAUSED = Answer("answers#scheduleStored", located=True), {202: Answer("answers#schedulePaused")}
SUBMITTED = Answer("answers#submitted", located=True)
REASON, NOTHING = Body("wishes#reason", required=False), Body("wishes#nothing", required=False)
ROUTES = (
    Route("PUT", "/v1/schedules/{name}", put_schedule, "Make or change a schedule.", {200: STORED, 201: STORED}, (409,), body=Body("schedule-request"),
          needs=Role.OPERATE),
    Route("DELETE", "/v1/schedules/{name}", delete_schedule, "Delete a schedule.", {200: Answer("answers#scheduleDeleted")}, (409,), body=REASON,
          needs=Role.OPERATE),
    Route("POST", "/v1/schedules/{name}/run", run_schedule, "Submit a schedule's job now.", {200: SUBMITTED, 202: SUBMITTED}, (409,), query=(WAIT,),
          headers=(IDEMPOTENCY_KEY, TRACEPARENT), body=NOTHING, needs=Role.SUBMIT),
    Route("POST", "/v1/schedules/{name}/pause", pause_schedule, "Let a schedule fire no more.", PAUSED, body=REASON, needs=Role.OPERATE),
    Route("POST", "/v1/schedules/{name}/resume", resume_schedule, "Let a schedule fire again.", PAUSED, body=REASON, needs=Role.OPERATE),
)  # fmt: skip
