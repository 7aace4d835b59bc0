"""What people may ask of dead letters: replay one, discard one. (The read model lists them.)"""

from starlette.requests import Request
from starlette.responses import Response

from contracts.access import Role
from functions.dead_letter.service import DeadLetterKeeper
from functions.runtime.description import Answer, Body
from functions.runtime.http import Route, json_response, limits_of, read_wish


def _actor(request: Request) -> str:
    return str(request.scope.get("observatory.actor", "anonymous"))


async def replay(keeper: DeadLetterKeeper, request: Request, letter_id: str) -> Response:
    wish = await read_wish(request, "replay", limits_of(request).body_bytes)
    return json_response((await keeper.replay(letter_id, _actor(request), wish.get("reason"), wish.get("event"))).as_json(), 202)


async def discard(keeper: DeadLetterKeeper, request: Request, letter_id: str) -> Response:
    wish = await read_wish(request, "discard")
    return json_response((await keeper.discard(letter_id, _actor(request), wish["reason"])).as_json(), 202)


LETTER = {202: Answer("answers#deadLetter")}
ROUTES = (
    Route("POST", "/v1/dead-letters/{letter_id}/replay", replay, "Send a dead letter to its subscriber again.", LETTER, (409,),
          body=Body("wishes#replay", required=False), needs=Role.OPERATE),
    Route("POST", "/v1/dead-letters/{letter_id}/discard", discard, "Put a dead letter aside for good.", LETTER, body=Body("wishes#discard"),
          needs=Role.OPERATE),
)  # fmt: skip
