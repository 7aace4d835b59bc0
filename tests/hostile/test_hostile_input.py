"""Bad input never hurts: a clear 4xx with the fault named, nothing stored, no stack trace, and the system as it was."""

import contextlib
import http.client
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.hostile.corpus import CASES, JSON, NOOP, Case, body
from tests.hostile.framing import BODY, CHUNKED, CHUNKS, HEAD, LENGTH, OTHERS, SMUGGLING, WHOLE
from tests.support.system import System, running_system
from tests.support.waiting import wait_until
from tests.support.wire import connected


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("hostile") / "data") as system:
        yield system


def stored(system: System) -> tuple[int, int]:
    """How many jobs and job events there are, by SQL from outside."""
    with sqlite3.connect(f"file:{system.data / 'observatory.db'}?mode=ro", uri=True) as connection:
        (jobs,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
        (events,) = connection.execute("SELECT count(*) FROM events WHERE stream LIKE 'job/%'").fetchone()
    connection.close()
    return jobs, events


def send(system: System, case: Case) -> tuple[int, dict[str, str], bytes]:
    """Sends the request as it stands, path and all."""
    address = urlsplit(system.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    try:
        connection.putrequest(case.method, case.path, skip_accept_encoding=True)
        for name, value in case.headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(case.body or b"")))
        connection.endheaders(case.body)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_input_gets_a_clear_answer_and_leaves_nothing(target: System, case: Case) -> None:
    before = stored(target)
    status, headers, text = send(target, case)
    assert status == case.status, text[:500]
    assert headers["content-type"] == "application/problem+json"
    assert b'"detail":' in text and b"Traceback" not in text and b'File "' not in text
    if status == 405:
        assert headers["allow"]
    assert stored(target) == before


def test_the_system_is_well_afterwards(target: System) -> None:
    answer = target.request("POST", "/v1/jobs?wait=20", NOOP)
    assert answer.json()["status"] == "succeeded"
    assert "Traceback" not in target.said()


def test_refusals_are_counted_and_told_once_a_minute(target: System) -> None:
    deadline = time.monotonic() + 10
    while not (refusals := target.request("GET", "/v1/contracts").json()["refusals"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert sum(refusal["count"] for refusal in refusals) > 10
    assert sum(len(refusal["samples"]) for refusal in refusals) <= 10 * len({refusal["minute"] for refusal in refusals})


# ---- framing ----------------------------------------------------------------------------------------------------


def raw(system: System, request: bytes) -> bytes:
    """What is answered until the server closes, or the first answer is there."""
    with connected(system) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while b"\r\n\r\n" not in answer and (chunk := connection.recv(65_536)):
                answer += chunk
    return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.mark.parametrize("name", SMUGGLING)
def test_a_message_that_can_be_read_in_two_ways_is_refused_whole(target: System, name: str) -> None:
    """400, then the connection ends, so that nothing behind it is taken for a request."""
    before = stored(target)
    with connected(target) as connection:
        connection.sendall(SMUGGLING[name] + WHOLE)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65_536):
                answer += chunk
    assert status_of(answer) == 400 and answer.count(b"HTTP/1.1 ") == 1, answer[:300]
    assert stored(target) == before


@pytest.mark.parametrize("name", OTHERS)
def test_odd_targets_hosts_and_endless_heads_get_their_status(target: System, name: str) -> None:
    before = stored(target)
    status, request = OTHERS[name]
    answer = raw(target, request)
    assert status_of(answer) in (status, 0 if status == 431 else status), answer[:300]  # a reset may overtake the words
    assert stored(target) == before


def test_what_is_plain_is_taken(target: System) -> None:
    for request in (WHOLE, HEAD + CHUNKED + b"\r\n" + CHUNKS, HEAD.replace(b"/v1/jobs", b"http://localhost/v1/jobs") + LENGTH + b"\r\n" + BODY):
        assert status_of(raw(target, request)) == 202


def test_a_whole_request_is_answered_before_a_broken_one_behind_it_closes(target: System) -> None:
    answer = b""
    with connected(target) as connection:
        connection.sendall(WHOLE + b"\x00\x00\r\n\r\n" + WHOLE)
        while chunk := connection.recv(65_536):
            answer += chunk
    assert status_of(answer) == 202 and answer.count(b"HTTP/1.1 ") == 1


def test_nothing_is_upgraded_to(target: System) -> None:
    """What asks for another protocol is answered in this one, and the connection ends."""
    for protocol in (b"websocket", b"h2c"):
        request = b"GET /health/liveness HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
        with connected(target) as connection:
            connection.sendall(request)
            answer = b""
            while chunk := connection.recv(65_536):
                answer += chunk
        assert status_of(answer) == 200 and answer.count(b"HTTP/1.1 ") == 1


# ---- stalled clients --------------------------------------------------------------------------------------------


def healthy_times(system: System, requests: int = 60) -> list[float]:
    address = urlsplit(system.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    times = []
    for _ in range(requests):
        began = time.perf_counter()
        connection.request("POST", "/v1/jobs", body(NOOP), JSON)
        response = connection.getresponse()
        response.read()
        assert response.status == 202
        times.append(time.perf_counter() - began)
    connection.close()
    return sorted(times)


def test_200_stalled_clients_do_not_stop_a_healthy_one(target: System) -> None:
    calm = healthy_times(target)
    address = urlsplit(target.url)
    stalled = []
    for number in range(200):
        connection = socket.create_connection((address.hostname or "", address.port or 0), timeout=10)
        connection.sendall(HEAD if number % 2 else HEAD + b"Content-Length: 1000\r\n\r\n{")
        stalled.append(connection)
    try:
        beside = healthy_times(target)
    finally:
        for connection in stalled:
            connection.close()
    median = len(calm) // 2
    assert beside[median] < 10 * calm[median] + 0.1  # generous: it must be alive, its speed is measured elsewhere


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that waits for nobody."""
    short = {f"OBSERVATORY_{name}_SECONDS": "0.3" for name in ("HEADER", "BODY", "READER")}
    with running_system(tmp_path_factory.mktemp("hasty") / "data", **short, OBSERVATORY_CONNECTIONS_MAX="300") as system:
        yield system


@pytest.mark.parametrize(("words", "begin"), [
    ("nothing", b""), ("half a head", HEAD), ("half a line", HEAD[:9]), ("half a body", HEAD + b"Content-Length: 1000\r\n\r\n{"),
    ("half a chunk", HEAD + CHUNKED + b"\r\n5\r\nab"),
])  # fmt: skip
def test_what_never_comes_is_given_up(hasty: System, words: str, begin: bytes) -> None:
    with connected(hasty) as connection:
        connection.sendall(begin)
        assert status_of(connection.recv(65_536)) == 408, words


def test_slow_heads_slow_bodies_and_slow_readers_at_once_leave_nothing_behind(hasty: System) -> None:
    """Some 200 of all kinds; each is ended, the system answers meanwhile, and descriptors come back to what they were."""
    assert hasty.process is not None
    job_id = hasty.submit("text.statistics", {"text": "x" * 200_000}, delay_seconds=3_600)
    files, _ = resources(hasty.process.pid)
    slow = [HEAD, HEAD + b"Content-Length: 1000\r\n\r\n{", b"GET /v1/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            (b"GET /v1/jobs/" + job_id.encode() + b" HTTP/1.1\r\nHost: localhost\r\n\r\n") * 40]  # fmt: skip
    with contextlib.ExitStack() as stack:
        for number in range(200):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            address = urlsplit(hasty.url)
            connection.connect((address.hostname or "", address.port or 0))
            connection.sendall(slow[number % len(slow)])
        assert hasty.ended(hasty.submit("demo.noop"))["status"] == "succeeded"
        streams = 200 // len(slow)  # those that are told nothing stay
        wait_until(lambda: resources(hasty.process.pid)[0] <= files + streams + 5, 30)  # type: ignore[union-attr]
    wait_until(lambda: resources(hasty.process.pid)[0] <= files + 5, 30)  # type: ignore[union-attr]
    assert hasty.ended(hasty.submit("demo.noop"))["status"] == "succeeded"


def test_connections_are_bounded_and_come_free_again(hasty: System) -> None:
    with contextlib.ExitStack() as stack:
        answers = []
        for _ in range(330):
            connection = stack.enter_context(connected(hasty))
            connection.setblocking(False)
            answers.append(connection)
        wait_until(lambda: any(_refused(connection) for connection in answers[-30:]))
    wait_until(lambda: hasty.request("GET", "/health/liveness").status == 200)


def _refused(connection: socket.socket) -> bool:
    try:
        return status_of(connection.recv(1_024, socket.MSG_PEEK)) == 503
    except (BlockingIOError, ConnectionError):
        return False


def test_descriptors_and_memory_stay_flat_under_refusals(target: System) -> None:
    assert target.process is not None
    refused = [case for case in CASES if case.body is not None and len(case.body) < 10_000]

    def flood() -> None:
        for case in refused[:60]:
            send(target, case)

    flood()
    files, memory = resources(target.process.pid)
    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + 10
    while (now := resources(target.process.pid))[0] > files + 5:
        assert time.monotonic() < deadline, (files, now)
        time.sleep(0.05)
    assert now[1] < memory + 40_000_000


def resources(pid: int) -> tuple[int, int]:
    """Open descriptors and resident bytes."""
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return files, pages * 4096
