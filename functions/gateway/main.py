"""Gateway: takes jobs in."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions.gateway.web import ROUTES
from functions.runtime import entrypoint, wiring

app = entrypoint.http_function("gateway", wiring.gateway, ROUTES, wiring.door, life=wiring.life)


@functions_framework.aio.http
async def gateway(request: Request) -> Response:
    return await app(request)
