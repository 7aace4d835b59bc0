"""The dead-letter function as a process of its own over a PostgreSQL that is away and comes back: no letter is lost, none is there twice."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psycopg
import pytest

from functions.runtime.servers.servers import Servers
from tests.functions.test_standalone import Alone, alone, framework, image
from tests.support.processes import descendants
from tests.support.servers import own_servers
from tests.support.waiting import wait_until

pytestmark = pytest.mark.servers


@pytest.fixture
def servers() -> Iterator[Servers]:
    with own_servers("postgres") as started:
        yield started


def stop(servers: Servers) -> None:
    process = servers.running("postgres")
    assert process is not None and process.stop(signal.SIGQUIT)


def send(one: Alone, number: int) -> int:
    """An event in binary mode, as a Broker's dead-letter leg brings it; its body is no text."""
    told = {"specversion": "1.0", "id": str(number), "source": "/test", "type": "a.b", "attempts": "4", "knativeerrorcode": "503"}
    headers = {f"ce-{name}": value for name, value in told.items()} | {"content-type": "application/octet-stream"}
    return post(one, headers, body(number))


def body(number: int) -> bytes:
    return b"\x00\xff\n" * number


def post(one: Alone, headers: dict[str, str], content: bytes) -> int:
    try:
        with urlopen(Request(f"http://127.0.0.1:{one.port}/triggers/engine", content, headers), timeout=30) as response:
            return response.status
    except HTTPError as error:
        with error:
            return error.code


def kill(one: Alone) -> None:
    os.killpg(one.process.pid, signal.SIGKILL)
    one.process.wait(10)


def letters(servers: Servers) -> list[tuple[str, bytes, int, str]]:
    with psycopg.connect(servers.url("postgres")) as connection:
        return connection.execute("SELECT event_id, body, attempts, reason FROM observatory.dead_letters ORDER BY length(event_id), event_id").fetchall()


def expected(*numbers: int) -> list[tuple[str, bytes, int, str]]:
    return [(str(number), body(number), 4, "the subscriber answered 503") for number in numbers]


def waiting(folder: Path) -> int:
    return len(list(folder.glob("*.letter")))


def figures(one: Alone) -> str:
    status, text = one.request("GET", "/metrics")
    assert status == 200
    return bytes(text).decode()


def test_letters_outlive_the_store_s_absence_and_kills_of_their_function_each_once(servers: Servers, tmp_path: Path) -> None:
    folder, settings = tmp_path / "spool", {"OBSERVATORY_POSTGRES_URL": servers.url("postgres"), "OBSERVATORY_SPOOL": str(tmp_path / "spool")}
    with alone("dead_letter", tmp_path / "data", image, settings=settings) as one:
        wait_until(lambda: "observatory_feed_head" in figures(one))
        assert send(one, 1) == 200
        assert letters(servers) == expected(1) and waiting(folder) == 0
        stop(servers)
        assert [send(one, number) for number in (2, 3, 3, 4)] == [200] * 4
        assert post(one, {"content-type": "application/cloudevents+json"}, b"{no event") == 200
        assert one.request("GET", "/health/readiness")[0] == 200
        assert 'observatory_dead_letters_spooled{state="waiting"} 4.0' in figures(one)
        assert one.request("POST", "/v1/dead-letters/x/discard", {"reason": "x"})[0] == 503
        kill(one)
    assert waiting(folder) == 4
    with alone("dead_letter", tmp_path / "data", framework, settings=settings) as one:  # ready, though its store has never answered
        assert [send(one, number) for number in (4, 5, 6)] == [200] * 3
        assert waiting(folder) == 6
        kill(one)
    servers.start(["postgres"])
    one = Alone("dead_letter", tmp_path / "data", framework, settings | {"OBSERVATORY_TEST_KILL": "carried:2"})
    killed_between_commit_and_file(one)
    assert len(letters(servers)) == 3 and waiting(folder) == 5  # one is in both
    with alone("dead_letter", tmp_path / "data", image, settings=settings) as one:
        wait_until(lambda: waiting(folder) == 0)
        assert send(one, 7) == 200
        wait_until(lambda: 'observatory_dead_letters{status="kept"} 8.0' in figures(one))
    found = letters(servers)
    assert found[:7] == expected(1, 2, 3, 4, 5, 6, 7)
    assert [(each[1], each[2]) for each in found[7:]] == [(b"{no event", 1)]
    assert not list(folder.iterdir())


def killed_between_commit_and_file(one: Alone) -> None:
    """The process kills itself; if that is a child of its server's, its server is killed before it starts another."""
    deadline = time.monotonic() + 60
    try:
        while one.process.poll() is None and "SIGKILL" not in one.log.read_text():
            assert time.monotonic() < deadline, one.log.read_text()
            try:
                one.request("GET", "/health/readiness")
            except OSError:
                time.sleep(0.02)
    finally:
        if one.process.poll() is None:
            kill(one)


def test_a_store_that_hangs_holds_no_letter_up(servers: Servers, tmp_path: Path) -> None:
    folder, settings = tmp_path / "spool", {"OBSERVATORY_POSTGRES_URL": servers.url("postgres"), "OBSERVATORY_SPOOL": str(tmp_path / "spool")}
    server = servers.running("postgres")
    assert server is not None
    with alone("dead_letter", tmp_path / "data", image, settings=settings) as one:
        wait_until(lambda: "observatory_feed_head" in figures(one))
        stopped = [server.pid, *(each.pid for each in descendants(server.pid))]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            assert one.request("GET", "/health/readiness")[0] == 200
            assert time.monotonic() - begun < 4  # the probe waits for 5 s
            assert [send(one, number) for number in (1, 2)] == [200] * 2
            assert time.monotonic() - begun < 30  # a request may take 60 s on the cluster
            assert waiting(folder) == 2
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        wait_until(lambda: waiting(folder) == 0, 60)
    assert letters(servers) == expected(1, 2)


def test_a_function_that_is_told_to_stop_says_what_it_leaves(servers: Servers, tmp_path: Path) -> None:
    folder, settings = tmp_path / "spool", {"OBSERVATORY_POSTGRES_URL": servers.url("postgres"), "OBSERVATORY_SPOOL": str(tmp_path / "spool")}
    stop(servers)
    with alone("dead_letter", tmp_path / "data", image, settings=settings) as one:
        assert send(one, 1) == 200
    assert waiting(folder) == 1
    assert "1 dead letters stay in the spool" in one.log.read_text()
