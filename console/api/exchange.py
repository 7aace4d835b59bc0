"""One call and its answer, with the patience to repeat it.

Nothing here touches a socket: a step is a generator that yields a `Call` or a `Pause` and is sent an `Answer` or an
`Unreached`. The sync and the async client drive the same generators, so they cannot differ.
"""

import json
import random
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from console.api.errors import CannotSend, NotAnObservatory, ObservatoryApiError, ServerUnreachable

Value = TypeVar("Value")
PASSING = frozenset({429, 502, 503, 504})
JSON_HEADERS = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a call goes on trying: while no server answers, and while one answers that it cannot now."""

    unreachable_seconds: float = 10.0
    unavailable_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `hold_seconds` is how long the server may rightly keep it; `repeatable` says that sending it twice
    does no more than sending it once."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hold_seconds: float = 0.0
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` have lower-case names; `url` is the server's."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""


@dataclass(frozen=True, slots=True)
class Unreached:
    """No answer came. `sent` says whether the request may have arrived all the same."""

    url: str
    reason: str
    sent: bool


Steps = Generator[Call | Pause, Any, Value]


def exchange(call: Call, patience: Patience) -> Steps[Answer]:
    """The answer to a call, repeated while that may help and patience lasts.

    Raises ServerUnreachable, and ObservatoryApiError for every status of 400 and more.
    """
    begun, paused, tries = time.monotonic(), 0.0, 0
    while True:
        got = yield call
        if isinstance(got, Answer) and got.status < 400:
            return got
        pause = pause_before_next(got, tries)
        limit = patience.unreachable_seconds if isinstance(got, Unreached) else patience.unavailable_seconds
        if not _may_repeat(call, got) or max(paused, time.monotonic() - begun) + pause > limit:
            raise _error(got)
        yield Pause(pause)
        paused += pause
        tries += 1


def _may_repeat(call: Call, got: Answer | Unreached) -> bool:
    if isinstance(got, Unreached):
        return call.repeatable or not got.sent
    return got.status in PASSING and (call.repeatable or got.status in (429, 503))


def pause_before_next(got: Answer | Unreached, tries: int) -> float:
    """Seconds to wait: what Retry-After says, else 0.1 x 2^n up to 2 s, of which a random half."""
    asked = retry_after(got) if isinstance(got, Answer) else None
    if asked is not None:
        return asked
    bound = min(0.1 * 2.0 ** min(tries, 8), 2.0)
    return bound * (0.5 + random.random() / 2)


def retry_after(answer: Answer) -> float | None:
    """Seconds of the Retry-After header: a number or an HTTP date (RFC 9110 section 10.2.3); None without one."""
    text = answer.headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return None


def _error(got: Answer | Unreached) -> Exception:
    if isinstance(got, Unreached):
        return ServerUnreachable(got.url, got.reason)
    return ObservatoryApiError(got.status, problem_of(got), retry_after(got))


def problem_of(answer: Answer) -> dict[str, Any]:
    """The problem document of an answer; one made up from status and text when it has none."""
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if isinstance(document, dict) and ("detail" in document or "title" in document):
        return document
    kind = answer.headers.get("content-type", "")
    if "html" in kind:  # a page for browsers: another program's, or a proxy's
        return {"title": f"HTTP {answer.status}", "status": answer.status,
                "detail": f"what answers at {answer.url} is not this system, or stands before it (it answered {answer.status} with {kind})"}  # fmt: skip
    text = answer.body[:200].decode("utf-8", "replace").strip()
    detail = f"the server answered {answer.status}{': ' if text else ''}{text}"
    return {"title": f"HTTP {answer.status}", "status": answer.status, "detail": detail}


def json_of(answer: Answer) -> Any:
    """The JSON value of an answer. Raises NotAnObservatory when it is none."""
    try:
        return json.loads(answer.body)
    except ValueError:
        kind = answer.headers.get("content-type", "no content type")
        raise NotAnObservatory(answer.url, f"it answered {answer.status} with {kind}") from None


def json_exchange(call: Call, patience: Patience) -> Steps[Any]:
    """As exchange; the JSON value of the answer. Raises NotAnObservatory when it is none."""
    return json_of((yield from exchange(call, patience)))


def to_json(value: Any) -> bytes:
    """Compact JSON of a request. Raises CannotSend for what JSON cannot say, NaN and lone surrogates included."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CannotSend(f"the request cannot be written as JSON: {error}") from None
