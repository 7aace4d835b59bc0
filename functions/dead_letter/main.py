"""Dead letter: keeps what nobody could handle."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions.dead_letter.web import ROUTES
from functions.runtime import entrypoint, wiring

app = entrypoint.event_function("dead-letter", wiring.dead_letter, wiring.door, ROUTES, life=wiring.life)


@functions_framework.aio.http
async def dead_letter(request: Request) -> Response:
    return await app(request)
