"""The Python client: sync and async alike, patient with a server that cannot now, never twice."""

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from console.api import async_client, sync_client
from console.client import (
    AsyncClient,
    AsyncJobHandle,
    CannotSend,
    Client,
    JobFailed,
    JobHandle,
    JobNotEnded,
    ObservatoryApiError,
    Patience,
    ServerUnreachable,
    WaitTimedOut,
)
from tests.support.system import System

ONLY_SYNC = {"submit_request", "probe"}  # for the command line


def public(kind: type) -> dict[str, inspect.Signature]:
    return {name: inspect.signature(member) for name, member in vars(kind).items() if not name.startswith("_") and callable(member)}


@pytest.mark.parametrize(("sync", "other"), [(Client, AsyncClient), (JobHandle, AsyncJobHandle)])
def test_both_have_the_same_methods_with_the_same_arguments(sync: type, other: type) -> None:
    mine, theirs = public(sync), public(other)
    assert set(mine) - ONLY_SYNC == set(theirs)
    for name, signature in theirs.items():
        assert list(signature.parameters.values()) == list(mine[name].parameters.values()), name
    untyped = [name for name, signature in mine.items() if signature.return_annotation is inspect.Signature.empty and name != "close"]
    assert not untyped


def test_everything_public_of_the_sync_side_says_what_it_does() -> None:
    for name, member in vars(Client).items():
        if name in ("submit", "submit_many", "cancel", "retry", "rerun", "stream", "jobs", "job", "events", "put_schedule", "bulk"):
            assert inspect.getdoc(member), name


# ---- with a running system --------------------------------------------------------------------------------------


def test_a_job_from_its_submission_to_its_result(system: System) -> None:
    with Client(system.url) as client:
        job = client.submit("text.statistics", {"text": "to be"}, tags=["client"], priority=7)
        assert not job.ended or job.status == "succeeded"
        assert job.wait(30).result["words"] == 2
        assert [event["type"].split(".")[3] for event in job.events()] == ["accepted", "queued", "started", "succeeded"]
        assert [attempt["outcome"] for attempt in job.attempts()] == ["succeeded"] and job.log() == ""
        assert job.id in [found["id"] for found in client.jobs("tag:client state:succeeded")]
        failed = client.submit("demo.fail", {"times": 1, "permanent": True, "message": "as asked"}, wait=20)
        with pytest.raises(JobFailed, match="as asked"):
            _ = failed.result
        assert failed.log() == "as asked\n"
        waiting = client.submit("demo.noop", delay_seconds=3600)
        with pytest.raises(JobNotEnded):
            _ = waiting.result
        with pytest.raises(WaitTimedOut):
            waiting.wait(0.05)
        assert waiting.cancel("tests").status == "cancelled"
        assert waiting.retry().status in ("queued", "running", "succeeded") and client.rerun(job.id)["id"] != job.id
        with pytest.raises(ObservatoryApiError) as refused:
            client.submit("text.statistics", {"txt": 1})
        assert refused.value.status == 422 and refused.value.kind == "contract-violation" and refused.value.faults
        with pytest.raises(CannotSend):
            client.submit("demo.noop", {"echo": float("nan")})
        with pytest.raises(ObservatoryApiError, match="x"):
            client.job("x")


def test_many_and_their_chain_over_batches(system: System) -> None:
    with Client(system.url) as client:
        earlier: list[str | None] = []
        requests: list[dict[str, Any]] = [{"type": "demo.noop", "payload": {"echo": n}} for n in range(1_200)]
        requests[1_100] |= {"depends_on": ["#5", "#1050"]}
        requests[7] = {"type": "demo.noop", "payload": {"odd": 1}}
        requests[1_150] |= {"depends_on": ["#7"]}
        answers = client.submit_many(requests, earlier=earlier)
        refused = [index for index, answer in enumerate(answers) if isinstance(answer, ObservatoryApiError)]
        assert refused == [7, 1_150] and [index for index, job_id in enumerate(earlier) if job_id is None] == refused
        assert client.job_document(earlier[1_100] or "")["depends_on"] == [earlier[5], earlier[1_050]]
        (child,) = client.submit_many([{"type": "demo.noop", "payload": {}, "depends_on": ["#1199"]}], earlier=earlier)
        assert isinstance(child, JobHandle) and child.refresh().document["depends_on"] == [earlier[1_199]]
        for answer in answers:
            if isinstance(answer, JobHandle):
                answer.wait(60)
                break


async def test_the_async_client_does_the_same(system: System) -> None:
    async with AsyncClient(system.url) as client:
        after = await client.head()
        jobs = await asyncio.gather(*(client.submit("text.statistics", {"text": "to be"}, tags=["async"]) for _ in range(5)))
        assert [(await job.wait(30)).result["words"] for job in jobs] == [2] * 5
        assert {job["id"] async for job in client.jobs("tag:async")} >= {job.id for job in jobs}
        seen: list[str] = []
        async for item in client.stream("tag:async", after=after):
            assert item.event is not None
            seen.append(item.event["subject"])
            if len(seen) == 20:
                break
        assert {seen.count(f"job/{job.id}") for job in jobs} == {4}


# ---- with a server that cannot now ------------------------------------------------------------------------------


class Moody:
    """A server that answers what is planned, in order (the last for ever), and remembers the requests."""

    def __init__(self) -> None:
        self.plan: list[tuple[int, dict[str, str], Any]] = [(202, {}, {"id": "1", "status": "queued"})]
        self.asked: list[tuple[str, str | None, float]] = []
        moody = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                moody.asked.append((self.path, self.headers.get("idempotency-key"), time.monotonic()))
                status, headers, document = moody.plan.pop(0) if len(moody.plan) > 1 else moody.plan[0]
                if status == 0:  # takes the request and hangs up
                    self.close_connection = True
                    return
                body = json.dumps(document).encode()
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), "content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def moody() -> Iterator[Moody]:
    server = Moody()
    yield server
    server.server.shutdown()
    server.server.server_close()


AWAY = {"title": "Unavailable", "detail": "the store is away"}


def test_a_503_is_asked_again_after_what_it_says_under_the_same_key(moody: Moody) -> None:
    moody.plan[:0] = [(503, {"retry-after": "1"}, AWAY), (0, {}, None), (429, {}, AWAY)]
    with Client(moody.url) as client:
        assert client.submit("demo.noop").id == "1"
    keys = {key for _, key, _ in moody.asked}
    assert len(moody.asked) == 4 and len(keys) == 1 and None not in keys
    assert moody.asked[1][2] - moody.asked[0][2] >= 0.99
    with Client(moody.url) as client:
        client.submit("demo.noop")
        client.submit("demo.noop", idempotency_key="mine")
    assert len({key for _, key, _ in moody.asked}) == 3 and moody.asked[-1][1] == "mine"


async def test_the_async_client_has_the_same_patience(moody: Moody) -> None:
    moody.plan[:0] = [(503, {"retry-after": "1"}, AWAY), (0, {}, None)]
    async with AsyncClient(moody.url) as client:
        assert (await client.submit("demo.noop")).id == "1"
    assert len(moody.asked) == 3 and len({key for _, key, _ in moody.asked}) == 1


def test_patience_has_an_end_and_says_what_the_server_said(moody: Moody) -> None:
    moody.plan = [(503, {"retry-after": "60"}, AWAY)]
    with Client(moody.url, patience=Patience(0.1, 1.0)) as client, pytest.raises(ObservatoryApiError, match="the store is away") as away:
        client.submit("demo.noop")
    assert (away.value.status, away.value.retry_after_seconds, len(moody.asked)) == (503, 60.0, 1)
    moody.plan = [(500, {}, {"detail": "odd"})]
    with Client(moody.url) as client, pytest.raises(ObservatoryApiError):
        client.submit("demo.noop")
    assert len(moody.asked) == 2  # what is broken is not asked again
    with Client("http://127.0.0.1:9", patience=Patience(0.05, 0.05)) as client, pytest.raises(ServerUnreachable, match="make run"):
        client.submit("demo.noop")


def test_the_key_is_in_a_header_and_nowhere_else(moody: Moody) -> None:
    with Client(moody.url, "very-secret") as client:
        client.submit("demo.noop")
        assert "very-secret" not in repr(client) and client._http.headers["authorization"] == "Bearer very-secret"
    assert all("very-secret" not in path for path, _, _ in moody.asked)


def test_a_page_for_browsers_is_named_and_not_quoted(moody: Moody) -> None:
    moody.plan = [(501, {"content-type": "text/html"}, "<html><h1>Error response</h1>")]
    said = rf"^what answers at {moody.url} is not this system.*501 with text/html\)$"
    with Client(moody.url) as client, pytest.raises(ObservatoryApiError, match=said) as caught:
        client.submit("a.b", {})
    assert caught.value.status == 501


def test_the_modules_drive_the_same_steps() -> None:
    """What is sent and how to go on is written once; the two clients differ in await alone."""
    plain = inspect.getsource(sync_client.Client._run)
    awaited = inspect.getsource(async_client.AsyncClient._run)
    for old, new in (("async def", "def"), ("await ", ""), ("asyncio.sleep", "time.sleep")):
        awaited = awaited.replace(old, new)
    assert awaited == plain
