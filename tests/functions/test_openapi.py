"""The OpenAPI document and the code, held against each other both ways.

Every operation of the code is in the document and the other way round; each status that the document tells of is reached
here, for each operation. (That no other is ever answered is held by every request of every test: `tests/support/system.py`.)
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from contracts.access import Role
from contracts.errors import StoreUnavailable
from contracts.event import Event
from functions.dead_letter.main import app as dead_letter
from functions.gateway.main import app as gateway
from functions.read_model.main import app as read_model
from functions.runtime import openapi
from functions.runtime.dead_letters import STRUCTURED, letter_of
from functions.runtime.entrypoint import Function
from functions.runtime.hosting import Host
from functions.runtime.http import Route
from tests.support.description import check_answer, description
from tests.support.keys import SETTING, bearer
from tests.support.stores import sqlite_store
from tests.support.system import Answer, System, running_system
from tests.support.waiting import wait_until
from tests.support.wire import connected, exchanged, first_answer, laid_out

ROUTES = {(route.method, route.path): route for _, route in openapi.routes()}
NOBODY = "01943a9e-1f2c-7a6b-8d3e-5f4c3b2a1d0e"
NOOP = {"type": "demo.noop", "payload": {}}
SCHEDULE = {"every_seconds": 3_600, "template": NOOP}
LIMIT_BYTES = 100_000


# ---- what there is ----------------------------------------------------------------------------------------------


def test_every_operation_of_the_code_is_in_the_document_under_its_owner() -> None:
    host = Host([gateway, read_model, dead_letter], read_model)
    served = {(route.method, route.path): host._owners.get((route.method, route.path)) for route in host._router.routes}
    described = {key: operation["x-function"] for key, operation in description().operations.items()}
    assert described.keys() == served.keys()
    assert all(owner is None or described[key] == owner.name for key, owner in served.items())


def test_names_of_operations_are_unique_and_references_lead_somewhere() -> None:
    document = description().document
    names = [operation["operationId"] for operation in description().operations.values()]
    assert len(set(names)) == len(names)
    text = json.dumps(document)
    assert "urn:observatory:schema" not in text
    components = document["components"]["schemas"]
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in components


def test_the_running_system_serves_this_document(system: System) -> None:
    assert system.request("GET", "/openapi.json").json() == description().document


def test_the_document_is_held_against_answers() -> None:
    """It would tell: an unknown status, a missing field, a further one, another content type, a missing header."""
    faults, json_type = description().faults, {"content-type": "application/json"}
    problem = {"type": "urn:x", "title": "t", "status": 404, "detail": "d"}
    assert faults("GET", "/v1/jobs/x", 404, {"content-type": "application/problem+json"}, json.dumps(problem).encode()) == []
    assert faults("GET", "/v1/jobs/x", 500, {"content-type": "application/problem+json"}, json.dumps(problem).encode())
    assert faults("GET", "/v1/jobs/x", 404, json_type, json.dumps(problem).encode())
    assert faults("GET", "/v1/jobs/x", 503, {"content-type": "application/problem+json"}, json.dumps(problem).encode()) == ["no header retry-after"]
    wished = {"id": NOBODY, "status": "queued", "url": "/v1/jobs/x"}
    assert faults("POST", "/v1/jobs/x/cancel", 202, json_type, json.dumps(wished).encode()) == []
    assert faults("POST", "/v1/jobs/x/cancel", 202, json_type, json.dumps(wished | {"odd": 1}).encode())
    assert faults("POST", "/v1/jobs/x/cancel", 202, json_type, json.dumps(wished | {"status": "odd"}).encode())
    assert faults("GET", "/nowhere", 200, json_type, b"{}")


# ---- each status of each operation ------------------------------------------------------------------------------

Recipe = Callable[["Place"], Answer]


class Place:
    """A running system with something of everything in it."""

    def __init__(self, system: System, keyed: System, letter: str, discarded: str) -> None:
        self.system, self.keyed, self.letter, self.discarded = system, keyed, letter, discarded
        self.done = self._ended("demo.noop")
        self.failed = self._ended("demo.fail", {"times": 9}, max_attempts=1)
        self.later = system.submit("demo.noop", delay_seconds=3_600)
        self.bulk = system.request("POST", "/v1/bulk", {"action": "cancel", "q": "tag:none"}).json()["id"]
        assert system.request("PUT", "/v1/schedules/mine", SCHEDULE).status == 201
        wait_until(lambda: system.request("GET", "/v1/schedules/scheduled.secret").status == 200)

    def _ended(self, job_type: str, payload: Any = None, **options: Any) -> str:
        return str(self.system.ended(self.system.submit(job_type, payload, **options))["id"])

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        return self.system.request(method, path, body, headers)

    def filled(self, path: str) -> str:
        """The path with what is there."""
        found = {"job_id": self.done, "lease_token": "1", "name": "mine", "bulk_id": self.bulk, "letter_id": self.letter}
        if path.startswith("/v1/queues"):
            found["name"] = "bulk"
        if path.startswith("/v1/contracts"):
            found["name"] = "job"
        return path.format(**found)


async def _prepared(data: Path) -> tuple[str, str]:
    """Two dead letters, one of them discarded."""
    data.mkdir()
    async with sqlite_store(data) as store:
        letters = []
        for number in range(2):
            event = Event({"specversion": "1.0", "id": f"e{number}", "source": "/elsewhere", "type": "com.example.odd", "data": {"a": 1}})
            letter = letter_of("processor-default", "nobody could", {"content-type": STRUCTURED}, event.canonical(), event, store.now())
            await store.keep_dead_letter(letter)
            letters.append(letter)
        about = {"id": letters[1].id, "trigger": letters[1].trigger, "event_source": "/elsewhere", "event_id": "e1", "event_type": "com.example.odd"}
        await store.tell_of_dead_letter(letters[1].id, "discarded", about | {"reason": "odd"}, "anna")
    return letters[0].id, letters[1].id


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("openapi")
    letter, discarded = asyncio.run(_prepared(folder / "open"))
    limits = {"OBSERVATORY_BODY_SECONDS": "0.3", "OBSERVATORY_BODY_BYTES": str(LIMIT_BYTES), "OBSERVATORY_BATCH_BYTES": str(LIMIT_BYTES)}
    tasks = {"OBSERVATORY_TASKS": "tests.functions.scheduled_tasks"}
    with running_system(folder / "open", **limits, **tasks) as system, running_system(folder / "keyed", OBSERVATORY_API_KEYS=SETTING) as keyed:
        yield Place(system, keyed, letter, discarded)


def _sent(place: Place, route: Route, headers: dict[str, str] | None = None, body: Any = None, path: str | None = None) -> Answer:
    """The operation asked on the wire, with a body that it would take at least as JSON."""
    data = body if body is not None else {} if route.body is not None else None
    return exchanged(place.system, laid_out(route.method, path or place.filled(route.path), headers, data), route.method)


def kind_of(route: Route) -> str:
    return "application/cloudevents+json" if route.path == "/" else "application/json"


def _missing(place: Place, route: Route) -> Answer:
    path = route.path.format(job_id=NOBODY, lease_token="99", name="no-such", bulk_id=NOBODY, letter_id=NOBODY)
    if route.path.startswith("/v1/queues"):
        path = route.path.format(name="a/b")  # an undeclared queue is 422
    body = {"reason": "x"} if route.path.endswith("/discard") else None
    if route.path == "/v1/schedules/{name}" and route.method == "PUT":
        path = "/v1/schedules/a/b"
    return _sent(place, route, body=body, path=path)


def _slow(place: Place, route: Route) -> Answer:
    with connected(place.system) as connection:
        head = laid_out(route.method, place.filled(route.path), {"Content-Type": kind_of(route), "Content-Length": "1000"})
        connection.sendall(head + b"{")
        return first_answer(connection)


def _away(place: Place, route: Route) -> Answer:
    """On a function whose store cannot be opened."""

    async def build() -> Any:
        raise StoreUnavailable

    sent: list[Any] = []
    owner = Function("away", build, [route])
    scope = {"type": "http", "method": route.method, "path": place.filled(route.path), "query_string": b"", "http_version": "1.1",
             "headers": [(b"host", b"localhost")], "server": ("127.0.0.1", 80)}  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        await Host([owner], owner)(scope, receive, send)

    asyncio.run(ask())
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


GENERAL: dict[int, Callable[[Place, Route], Answer]] = {
    400: lambda place, route: exchanged(place.system, laid_out(route.method, place.filled(route.path)).replace(b"Host: localhost", b"Host: a\r\nHost: b")),
    401: lambda place, route: exchanged(place.keyed, laid_out(route.method, place.filled(route.path))),
    403: lambda place, route: _sent(place, route, {"Host": "evil.example"}),
    404: _missing,
    408: _slow,
    413: lambda place, route: _sent(place, route, {"Content-Type": kind_of(route)}, b'"' + b"x" * (LIMIT_BYTES + 1) + b'"'),
    415: lambda place, route: _sent(place, route, {"Content-Type": "text/plain"}, b"hello"),
    422: lambda place, route: _sent(place, route, body={"odd": 1}),
    431: lambda place, route: _sent(place, route, {f"x-{number}": "y" for number in range(101)}),
    503: _away,
}

KEY = {"idempotency-key": "openapi-1"}
EVENT = {"specversion": "1.0", "id": "openapi-1", "source": "/openapi", "type": "dev.observatory.job.requested.v1", "data": NOOP}


def _twice(place: Place, path: str, first: Any, second: Any, headers: dict[str, str]) -> Answer:
    """Of two requests the second one's answer."""
    place.ask("POST", path, first, headers)
    return place.ask("POST", path, second, headers)


def _event(place: Place, body: Any, path: str = "/") -> Answer:
    return place.ask("POST", path, json.dumps(body).encode(), {"content-type": "application/cloudevents+json"})


def _conflicting_event(place: Place) -> Answer:
    _event(place, EVENT)
    return _event(place, EVENT | {"data": {**NOOP, "priority": 9}})


SPECIAL: dict[tuple[str, str, int], Recipe] = {
    ("POST", "/", 200): lambda p: _event(p, EVENT | {"id": "waited"}, "/?wait=20"),
    ("POST", "/", 202): lambda p: _event(p, EVENT | {"id": "new"}),
    ("POST", "/", 409): _conflicting_event,
    ("POST", "/", 422): lambda p: _event(p, EVENT | {"data": {}}),
    ("POST", "/v1/jobs", 200): lambda p: p.ask("POST", "/v1/jobs?wait=20", NOOP),
    ("POST", "/v1/jobs", 202): lambda p: p.ask("POST", "/v1/jobs", NOOP),
    ("POST", "/v1/jobs", 409): lambda p: _twice(p, "/v1/jobs", NOOP, {**NOOP, "priority": 9}, KEY),
    ("POST", "/v1/jobs/batch", 200): lambda p: p.ask("POST", "/v1/jobs/batch", {"jobs": [NOOP, {"type": "no.such", "payload": {}}]}),
    ("POST", "/v1/jobs/{job_id}/cancel", 202): lambda p: p.ask("POST", f"/v1/jobs/{p.later}/cancel"),
    ("POST", "/v1/jobs/{job_id}/cancel", 409): lambda p: p.ask("POST", f"/v1/jobs/{p.done}/cancel"),
    ("POST", "/v1/jobs/{job_id}/retry", 202): lambda p: p.ask("POST", f"/v1/jobs/{p.failed}/retry", {"reason": "again"}),
    ("POST", "/v1/jobs/{job_id}/retry", 409): lambda p: p.ask("POST", f"/v1/jobs/{p.done}/retry"),
    ("POST", "/v1/jobs/{job_id}/rerun", 202): lambda p: p.ask("POST", f"/v1/jobs/{p.done}/rerun"),
    ("POST", "/v1/jobs/{job_id}/rerun", 200): lambda p: _twice(p, f"/v1/jobs/{p.done}/rerun", None, None, {"idempotency-key": "rerun-1"}),
    ("POST", "/v1/jobs/{job_id}/rerun", 409): lambda p: (
        p.ask("POST", "/v1/jobs", NOOP, {"idempotency-key": "rerun-2"}), p.ask("POST", f"/v1/jobs/{p.done}/rerun", None, {"idempotency-key": "rerun-2"}))[1],
    ("POST", "/v1/bulk", 200): lambda p: p.ask("POST", "/v1/bulk", {"action": "cancel", "q": "state:succeeded", "dry_run": True}),
    ("POST", "/v1/bulk", 202): lambda p: p.ask("POST", "/v1/bulk", {"action": "retry", "q": "state:succeeded"}),
    ("PUT", "/v1/schedules/{name}", 200): lambda p: p.ask("PUT", "/v1/schedules/mine", SCHEDULE),
    ("PUT", "/v1/schedules/{name}", 201): lambda p: p.ask("PUT", "/v1/schedules/new", SCHEDULE),
    ("PUT", "/v1/schedules/{name}", 409): lambda p: p.ask("PUT", "/v1/schedules/scheduled.secret", SCHEDULE),
    ("DELETE", "/v1/schedules/{name}", 200): lambda p: (p.ask("PUT", "/v1/schedules/gone", SCHEDULE), p.ask("DELETE", "/v1/schedules/gone"))[1],
    ("DELETE", "/v1/schedules/{name}", 409): lambda p: p.ask("DELETE", "/v1/schedules/scheduled.secret"),
    ("POST", "/v1/schedules/{name}/run", 200): lambda p: p.ask("POST", "/v1/schedules/mine/run?wait=20"),
    ("POST", "/v1/schedules/{name}/run", 202): lambda p: p.ask("POST", "/v1/schedules/mine/run"),
    ("POST", "/v1/schedules/{name}/run", 409): lambda p: (
        p.ask("POST", "/v1/jobs", NOOP, {"idempotency-key": "run"}), p.ask("POST", "/v1/schedules/mine/run", None, {"idempotency-key": "run"}))[1],
    ("POST", "/v1/dead-letters/{letter_id}/replay", 202): lambda p: p.ask("POST", f"/v1/dead-letters/{p.letter}/replay"),
    ("POST", "/v1/dead-letters/{letter_id}/replay", 409): lambda p: p.ask("POST", f"/v1/dead-letters/{p.discarded}/replay"),
    ("POST", "/v1/dead-letters/{letter_id}/discard", 202): lambda p: p.ask("POST", f"/v1/dead-letters/{p.discarded}/discard", {"reason": "odd"}),
    ("POST", "/v1/contracts/check", 200): lambda p: p.ask("POST", "/v1/contracts/check", {"name": "demo.noop", "schema": {"maxProperties": 0}}),
    ("GET", "/v1/stream", 200): lambda p: p.ask("HEAD", "/v1/stream"),
}  # fmt: skip

STATUSES = [(*key, int(status)) for key, operation in sorted(description().operations.items()) for status in operation["responses"]]


def _reached(place: Place, method: str, path: str, status: int) -> str:
    """What was answered instead; "" when it was this status."""
    route = ROUTES[method, path]
    recipe = SPECIAL.get((method, path, status))
    if recipe is not None:
        answer = recipe(place)
    elif status in GENERAL:
        answer = GENERAL[status](place, route)
    else:
        answer = place.ask(method, place.filled(path))
    try:
        check_answer("HEAD" if path == "/v1/stream" and status == 200 else method, path, answer.status, answer.headers, answer.body)
    except AssertionError as fault:
        return f"{method} {path} {status}: {fault}"
    return "" if answer.status == status else f"{method} {path}: {answer.status} instead of {status}: {answer.body[:200]!r}"


def test_each_status_of_each_operation_is_reached(place: Place) -> None:
    alone = [item for item in STATUSES if item[2] < 400 or item[2] in (404, 409, 503)]
    together = [item for item in STATUSES if item not in alone]
    found = [_reached(place, *item) for item in alone]
    with ThreadPoolExecutor(8) as pool:
        found += pool.map(lambda item: _reached(place, *item), together)
    assert [words for words in found if words] == []


def test_roles_are_asked_for_where_the_document_says_so(place: Place) -> None:
    for (method, path), operation in description().operations.items():
        needs = ROUTES[method, path].needs
        assert operation["security"] == ([] if needs is None else [{"key": [needs.word]}])
        if needs is not None and needs > Role.READ:
            answer = exchanged(place.keyed, laid_out(method, place.filled(path), bearer("read")))
            assert answer.status == 403, (method, path)
            check_answer(method, path, answer.status, answer.headers, answer.body)
