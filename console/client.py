"""The Python client: `from console.client import Client`, and the same for asyncio, `AsyncClient`.

    with Client() as client:
        job = client.submit("text.statistics", {"path": "README.md"})
        print(job.wait(30).result["words"])

Every submission carries an idempotency key, made for the call unless given, so that a call repeated after a 503 or a
lost connection is still one job. Faults are ObservatoryApiError (with the problem document) and ServerUnreachable.
"""

from console.api.async_client import AsyncClient, AsyncJobHandle
from console.api.errors import (
    CannotSend,
    JobFailed,
    JobNotEnded,
    NotAnObservatory,
    ObservatoryApiError,
    ServerUnreachable,
    WaitTimedOut,
)
from console.api.exchange import Patience
from console.api.stream import StreamItem
from console.api.sync_client import Client, JobHandle

__all__ = [
    "AsyncClient",
    "AsyncJobHandle",
    "CannotSend",
    "Client",
    "JobFailed",
    "JobHandle",
    "JobNotEnded",
    "NotAnObservatory",
    "ObservatoryApiError",
    "Patience",
    "ServerUnreachable",
    "StreamItem",
    "WaitTimedOut",
]
