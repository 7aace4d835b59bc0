"""Metrics engine: brings statistics and event log up to the head of the feed."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions.runtime import entrypoint, wiring

app = entrypoint.event_function("metrics-engine", wiring.metrics_engine, wiring.door, life=wiring.life)


@functions_framework.aio.http
async def metrics_engine(request: Request) -> Response:
    return await app(request)
