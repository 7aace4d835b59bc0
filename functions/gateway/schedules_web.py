"""The gateway's HTTP for schedules: put, delete, run, pause, resume. (The read model lists them.)"""

from starlette.requests import Request
from starlette.responses import Response

from contracts import strict_json
from contracts.access import Role
from contracts.errors import ContractViolation, Fault
from contracts.schedule import Schedule
from functions.gateway.requests import actor_of, answer_submitted, origin_of_request, reason_of, wait_seconds
from functions.gateway.service import Gateway
from functions.runtime.http import Route, json_response, read_body, refuse_unknown_query, require_json


def url(name: str) -> str:
    return f"/v1/schedules/{name}"


async def put_schedule(gateway: Gateway, request: Request, name: str) -> Response:
    refuse_unknown_query(request, ())
    require_json(request)
    document = strict_json.loads(await read_body(request))
    schedule, outcome = await gateway.schedules.put(name, document, actor_of(request))
    shown = gateway.redactor.schedule(schedule.as_json())
    return json_response({**shown, "outcome": outcome}, 201 if outcome == "created" else 200, {"location": url(name)})


async def delete_schedule(gateway: Gateway, request: Request, name: str) -> Response:
    refuse_unknown_query(request, ())
    await gateway.schedules.delete(name, actor_of(request), await reason_of(request))
    return json_response({"name": name, "deleted": True})


async def run_schedule(gateway: Gateway, request: Request, name: str) -> Response:
    refuse_unknown_query(request, ("wait",))
    seconds = wait_seconds(request, gateway.bounds.wait_seconds)
    if await reason_of(request) is not None:
        raise ContractViolation(faults=[Fault("/reason", "a run takes no reason")])
    answer = await gateway.schedules.run(name, actor_of(request), origin_of_request(request).idempotency_key)
    return await answer_submitted(gateway, answer, seconds)


async def pause_schedule(gateway: Gateway, request: Request, name: str) -> Response:
    return await _set_paused(gateway, request, name, True)


async def resume_schedule(gateway: Gateway, request: Request, name: str) -> Response:
    return await _set_paused(gateway, request, name, False)


async def _set_paused(gateway: Gateway, request: Request, name: str, paused: bool) -> Response:
    refuse_unknown_query(request, ())
    return _paused(await gateway.schedules.pause(name, paused, actor_of(request), await reason_of(request)))


def _paused(schedule: Schedule) -> Response:
    shown = schedule.as_json()
    return json_response({name: shown[name] for name in ("name", "paused", "paused_by", "pause_reason", "next_at")}, 202)


WRONG = (400, 404, 413, 415, 422, 503)
ROUTES = (
    Route("PUT", "/v1/schedules/{name}", put_schedule, "Make or change a schedule.", (200, 201, 400, 409, 413, 415, 422, 503), needs=Role.OPERATE),
    Route("DELETE", "/v1/schedules/{name}", delete_schedule, "Delete a schedule.", (200, 409, *WRONG), needs=Role.OPERATE),
    Route("POST", "/v1/schedules/{name}/run", run_schedule, "Submit a schedule's job now.", (200, 202, 409, *WRONG), needs=Role.SUBMIT),
    Route("POST", "/v1/schedules/{name}/pause", pause_schedule, "Let a schedule fire no more.", (202, *WRONG), needs=Role.OPERATE),
    Route("POST", "/v1/schedules/{name}/resume", resume_schedule, "Let a schedule fire again.", (202, *WRONG), needs=Role.OPERATE),
)  # fmt: skip
