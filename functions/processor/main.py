"""Processor: runs queued jobs and commits their outcomes."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions.runtime import entrypoint, wiring

app = entrypoint.event_function("processor", wiring.processor, wiring.door, life=wiring.life)


@functions_framework.aio.http
async def processor(request: Request) -> Response:
    return await app(request)
