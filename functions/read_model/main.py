"""Read model: answers queries, serves the live stream and the index page."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions.read_model.web import ROUTES
from functions.runtime import entrypoint, wiring

app = entrypoint.http_function("read-model", wiring.read_model, ROUTES, wiring.door, life=wiring.life)


@functions_framework.aio.http
async def read_model(request: Request) -> Response:
    return await app(request)
