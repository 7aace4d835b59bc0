"""gunicorn's worker for a function alone: uvicorn, as strict on the wire as `make run`."""

from typing import Any, ClassVar

from uvicorn_worker import UvicornWorker

from functions.runtime import settings
from functions.runtime.wire import bounds_of, strict_protocol


class Worker(UvicornWorker):  # type: ignore[misc]  # it comes without types
    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"loop": "auto", "http": strict_protocol(bounds_of(settings.load()))}
