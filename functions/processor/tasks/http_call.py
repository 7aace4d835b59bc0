"""http.call: an HTTP request to any container; its answer is the result."""

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from contracts import strict_json
from contracts.errors import MalformedJson
from functions.processor.tasks.context import MAX_RESULT_BYTES, Permanent, Retry, TaskContext
from functions.processor.tasks.registry import task
from functions.processor.tasks.settings import task_settings

DEFAULT_TIMEOUT_SECONDS = 3600.0  # the attempt's own timeout comes first
MOST_REDIRECTS = 5
MAY_PASS = frozenset({408, 409, 425, 429})  # 409: at work on the first request with this key
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Call(NamedTuple):
    """One request, ready to be sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


class Answer(NamedTuple):
    status: int
    reason: str
    headers: Any
    body: bytes


@task("http.call", schema="http-call.v1.json", queue="io", timeout_seconds=60)
def http_call(payload: dict[str, Any], context: TaskContext) -> Any:
    """Sends an HTTP request to an allowed host; its answer is the result."""
    call = _call(payload, context)
    timeout = float(payload.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))
    for _ in range(MOST_REDIRECTS + 1):
        answer = _send(call, timeout)
        if answer.status not in REDIRECTS:
            return _result(answer)
        call = _redirected(call, answer)
    raise Permanent(f"{payload['url']} redirects more than {MOST_REDIRECTS} times")


def _call(payload: dict[str, Any], context: TaskContext) -> Call:
    method = payload.get("method", "POST")
    body = json.dumps(payload.get("body"), ensure_ascii=False).encode() if "body" in payload and method != "GET" else None
    headers = {"accept": "application/json, text/*;q=0.9, */*;q=0.1", "user-agent": "observatory-http-call/1"}
    if body is not None:
        headers["content-type"] = "application/json"
    headers.update({name.lower(): value for name, value in payload.get("headers", {}).items()})
    if "authorization" in payload:
        headers["authorization"] = payload["authorization"]
    headers["idempotency-key"] = context.job_id
    if context.traceparent is not None:
        headers["traceparent"] = context.traceparent
    for name in ("host", "content-length", "transfer-encoding", "connection"):
        headers.pop(name, None)  # the connection's own
    return Call(method, payload["url"], headers, body)


def _send(call: Call, timeout: float) -> Answer:
    url = _allowed(call.url)
    connection = (HTTPSConnection if url.scheme == "https" else HTTPConnection)(str(url.hostname), url.port, timeout=timeout)
    try:
        connection.request(call.method, _target(url), call.body, _latin(call.headers))
        response = connection.getresponse()
        return Answer(response.status, response.reason, response.headers, _body(response))
    except TimeoutError:
        raise TimeoutError(f"{call.url} did not answer within {timeout:g} s") from None
    except HTTPException as error:
        raise ConnectionError(f"{call.url} answered what is no HTTP: {type(error).__name__} {error}") from error
    except OSError as error:
        raise ConnectionError(f"{call.url} cannot be reached: {error}") from error
    finally:
        connection.close()


def _latin(headers: dict[str, str]) -> dict[str, bytes | str]:
    return {name: value.encode("latin-1", "replace") for name, value in headers.items()}


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _allowed(text: str) -> SplitResult:
    """The URL in its parts. Raises Permanent for a host that OBSERVATORY_HTTP_ALLOW does not name."""
    try:
        url = urlsplit(text)
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError as error:
        raise Permanent(f"{text!r} is no URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.hostname or url.username is not None or not text.isascii():
        raise Permanent(f"{text!r} must be an http or https URL with a host, in ASCII, without a user name")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    allowed = task_settings().http_allow
    if not {host, url.hostname, f"{host}:{port}"} & allowed:
        known = ", ".join(sorted(allowed)) or "none is"
        raise Permanent(f"http.call may not reach {host}:{port}; OBSERVATORY_HTTP_ALLOW names the hosts that it may ({known})")
    return url


def _body(response: HTTPResponse) -> bytes:
    body = response.read(MAX_RESULT_BYTES + 1)
    if len(body) > MAX_RESULT_BYTES:
        raise Permanent(f"the answer has more than {MAX_RESULT_BYTES:,} bytes, which is the most that a result may have")
    return body


def _redirected(call: Call, answer: Answer) -> Call:
    """The next request. It goes to allowed hosts only (see `_allowed`), and takes no secret to another host."""
    location = answer.headers.get("location")
    if not location:
        raise Permanent(f"{call.url} answered {answer.status} without a Location")
    target = urljoin(call.url, location)
    headers, method, body = dict(call.headers), call.method, call.body
    if urlsplit(target)[:2] != urlsplit(call.url)[:2]:
        headers.pop("authorization", None)
        headers.pop("cookie", None)
    if answer.status == 303 or (answer.status in (301, 302) and method == "POST"):
        method, body = "GET", None
        headers.pop("content-type", None)
    return Call(method, target, headers, body)


def _result(answer: Answer) -> Any:
    if answer.status >= 400:
        raise _failure(answer)
    if not answer.body:
        return None
    kind = answer.headers.get_content_type()
    if kind == "application/json" or kind.endswith("+json"):
        return _json(answer.body)
    charset = answer.headers.get_content_charset() or "utf-8"
    try:
        return answer.body.decode(charset)
    except (UnicodeDecodeError, LookupError):
        raise Permanent(f"the answer ({kind}, {len(answer.body):,} bytes) is neither JSON nor text") from None


def _json(body: bytes) -> Any:
    try:
        return strict_json.loads(body)
    except MalformedJson as error:
        raise ValueError(f"the answer says that it is JSON and is not: {error.faults[0].message}") from None


def _failure(answer: Answer) -> Exception:
    text = answer.body[:1000].decode("utf-8", "replace").strip()
    message = f"the answer was {answer.status} {answer.reason}{': ' if text else ''}{text}"
    if answer.status < 500 and answer.status not in MAY_PASS:
        return Permanent(message)
    return Retry(_retry_after(answer.headers.get("retry-after")), message)


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110 section 10.2.3), a day at most; None without one that can be read."""
    if not value:
        return None
    try:
        seconds = float(int(value))
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), 86_400.0)
