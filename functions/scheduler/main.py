"""Scheduler: keeps time."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions.runtime import entrypoint, wiring

app = entrypoint.event_function("scheduler", wiring.scheduler, wiring.door, life=wiring.life)


@functions_framework.aio.http
async def scheduler(request: Request) -> Response:
    return await app(request)
