"""Bad input never hurts: a clear 4xx with the fault named, nothing stored, no stack trace, and the system as it was."""

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
from tests.support.system import System, running_system


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
    address = urlsplit(system.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    return answer


HEAD = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
FRAMING = {
    "length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a bad length": HEAD + b"Content-Length: five\r\n\r\nhello",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "a bad chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "a folded header": HEAD + b"X-A: 1\r\n  folded\r\nContent-Length: 2\r\n\r\n{}",
    "a header with a space": HEAD + b"X A: 1\r\nContent-Length: 2\r\n\r\n{}",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 64,
    "garbage": b"hello\r\n\r\n",
}


@pytest.mark.parametrize("name", sorted(FRAMING))
def test_broken_framing_never_becomes_a_job(target: System, name: str) -> None:
    """What the HTTP server itself refuses (400, in its own words) or closes; never a 2xx, never a 5xx."""
    before = stored(target)
    answer = raw(target, FRAMING[name])
    assert answer == b"" or answer.split(b" ", 2)[1].startswith(b"4"), answer[:200]
    assert stored(target) == before


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


def test_a_body_that_never_comes_is_given_up(tmp_path: Path) -> None:
    with running_system(tmp_path / "data", OBSERVATORY_BODY_SECONDS="0.3") as system:
        address = urlsplit(system.url)
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
            assert connection.recv(65_536).split(b" ", 2)[1] == b"408"


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
