"""What people may ask of dead letters: replay one, discard one. (The read model lists them.)"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from contracts import strict_json
from contracts.access import Role
from contracts.errors import ContractViolation, Fault
from functions.dead_letter.service import DeadLetterKeeper
from functions.runtime.http import Route, json_response, read_body, refuse_unknown_query, require_json


async def _wish(request: Request, known: tuple[str, ...]) -> dict[str, Any]:
    """The body's object, {} without one; unknown fields and odd reasons are faults."""
    refuse_unknown_query(request, ())
    body = await read_body(request)
    if not body:
        return {}
    require_json(request)
    document = strict_json.loads(body)
    if not isinstance(document, dict):
        raise ContractViolation(faults=[Fault("", "send a JSON object")])
    faults = [Fault(f"/{name}", f"unknown; known are {', '.join(known)}") for name in document if name not in known]
    reason = document.get("reason")
    if not isinstance(reason, str | None) or len(reason or "") > 1_000:
        faults.append(Fault("/reason", "a text of at most 1000 characters"))
    if faults:
        raise ContractViolation(faults=faults)
    return document


def _actor(request: Request) -> str:
    return str(request.scope.get("observatory.actor", "anonymous"))


async def replay(keeper: DeadLetterKeeper, request: Request, letter_id: str) -> Response:
    wish = await _wish(request, ("reason", "event"))
    return json_response((await keeper.replay(letter_id, _actor(request), wish.get("reason"), wish.get("event"))).as_json(), 202)


async def discard(keeper: DeadLetterKeeper, request: Request, letter_id: str) -> Response:
    wish = await _wish(request, ("reason",))
    if not wish.get("reason"):
        raise ContractViolation(faults=[Fault("/reason", 'say why: {"reason": "..."}')])
    return json_response((await keeper.discard(letter_id, _actor(request), wish["reason"])).as_json(), 202)


REFUSALS = (400, 404, 413, 415, 422, 503)
ROUTES = (
    Route("POST", "/v1/dead-letters/{letter_id}/replay", replay, "Send a dead letter to its subscriber again.", (202, 409, *REFUSALS), needs=Role.OPERATE),
    Route("POST", "/v1/dead-letters/{letter_id}/discard", discard, "Put a dead letter aside for good.", (202, *REFUSALS), needs=Role.OPERATE),
)
