"""A healthy client beside a crowd: 200 stalled clients, 200 live streams, and a flood of refused requests, all at once.

A trickle of jobs gives the streams something to tell, in calm, too. Calm and crowded phases take turns, so that what else
the machine does falls on both; what counts is their ratio.
"""

import contextlib
import json
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from tests.bench.figures import Figure
from tests.bench.watching import percentile
from tests.support.system import ROOT, System

Say = Callable[[str], None]
STALLED, STREAMS, FLOODING = 200, 200, 8
ROUNDS, REQUESTS = 5, 400
HEAD = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
STREAM = b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
ASKED = {
    "a query": b"GET /v1/jobs?q=state%3Asucceeded&limit=50 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a submission": HEAD + b"Content-Length: 33\r\n\r\n" + b'{"type":"demo.noop","payload":{}}',
}
REFUSED = (
    HEAD + b"Content-Length: 1\r\n\r\n{",
    HEAD + b"Content-Length: 27\r\n\r\n" + b'{"type":"no","payload":[1]}',
    b"GET /v1/jobs/none HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/jobs?q=sate:failed HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/jobs?limit=x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PATCH /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n",
)


def connected(system: System) -> socket.socket:
    address = urlsplit(system.url)
    made = socket.create_connection((address.hostname or "", address.port or 80), timeout=60)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def answered(connection: socket.socket) -> int:
    """Reads one answer; its status."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    at = head.lower().index(b"content-length:") + 15
    left = int(head[at : head.find(b"\r", at) if b"\r" in head[at:] else None]) - len(body)
    while left > 0:
        left -= len(_more(connection))
    return int(head[9:12])


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 20)
    if not data:
        raise ConnectionError("the server closed the connection")
    return data


def waits(system: System, request: bytes, requests: int) -> list[float]:
    """Milliseconds of one request after the other, sorted."""
    found = []
    with connected(system) as connection:
        for _ in range(requests):
            began = time.perf_counter()
            connection.sendall(request)
            status = answered(connection)
            found.append((time.perf_counter() - began) * 1e3)
            assert status in (200, 202), status
    return sorted(found)


@contextlib.contextmanager
def trickle(system: System, a_second: float = 20.0) -> Iterator[None]:
    """So many jobs a second meanwhile."""
    ended = threading.Event()

    def submit() -> None:
        with connected(system) as connection:
            while not ended.wait(1 / a_second):
                connection.sendall(ASKED["a submission"])
                answered(connection)

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def crowd(system: System) -> Iterator[subprocess.Popen[bytes]]:
    """Stalled clients, half in the headers and half in the body; streams that are read; the flood is a process of its own."""
    port = urlsplit(system.url).port
    flood = subprocess.Popen([sys.executable, "-m", "tests.bench.crowd", str(port)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(connected(system)) for _ in range(STALLED)]
        for number, connection in enumerate(stalled):
            connection.sendall(HEAD if number % 2 else HEAD + b"Content-Length: 1000\r\n\r\n{")
        assert flood.stdout is not None
        flood.stdout.readline()
        try:
            yield flood
        finally:
            flood.communicate(timeout=60)


def measured(system: System, say: Say, rounds: int = ROUNDS, requests: int = REQUESTS) -> dict[str, dict[str, Any]]:
    """For each kind of request: p99 calm, p99 in the crowd (medians over the rounds), and what the flood did."""
    with trickle(system):
        return {words: _compared(system, say, words, request, rounds, requests) for words, request in ASKED.items()}


def _compared(system: System, say: Say, words: str, request: bytes, rounds: int, requests: int) -> dict[str, Any]:
    waits(system, request, 50)
    calm: list[float] = []
    crowded: list[float] = []
    refused: list[float] = []
    for _ in range(rounds):
        calm.append(percentile(waits(system, request, requests), 99))
        with crowd(system) as flood:
            crowded.append(percentile(waits(system, request, requests), 99))
            told, _ = flood.communicate(timeout=60)
            refused.append(json.loads(told)["refused_a_second"])
    say(f"  {words}: p99 {median(calm):.1f} ms calm, {median(crowded):.1f} ms in the crowd ({median(refused):,.0f} refusals a second)")
    return {"calm_p99_ms": median(calm), "crowded_p99_ms": median(crowded), "refused_a_second": median(refused), "calm": calm, "crowded": crowded}


def figures(found: dict[str, dict[str, Any]]) -> list[Figure]:
    return [
        Figure(f"{words} in a crowd, p99 against calm", each["crowded_p99_ms"] / each["calm_p99_ms"], "times", 2.0,
               note=f"{each['calm_p99_ms']:.1f} ms calm, {each['crowded_p99_ms']:.1f} ms beside {STALLED} stalled clients, {STREAMS} streams and "
                    f"{each['refused_a_second']:,.0f} refusals a second")
        for words, each in found.items()
    ]  # fmt: skip


# ---- the flood: a process of its own ----------------------------------------------------------------------------


def flood(port: int) -> None:
    """Holds the streams and refuses itself to silence: until its input ends, every connection sends what is refused, at once after each answer."""
    system = System.__new__(System)
    system.url = f"http://127.0.0.1:{port}"
    streams = [connected(system) for _ in range(STREAMS)]
    for stream in streams:
        stream.sendall(STREAM)
    poll, sent = select.epoll(), 0
    waiting: dict[int, socket.socket] = {}
    for number in range(FLOODING):
        connection = connected(system)
        waiting[connection.fileno()] = connection
        poll.register(connection.fileno(), select.EPOLLIN)
        connection.sendall(REFUSED[number % len(REFUSED)])
    for stream in streams:
        poll.register(stream.fileno(), select.EPOLLIN)
    reading = {stream.fileno(): stream for stream in streams}
    poll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
    print("ready", flush=True)
    began = time.monotonic()
    while True:
        for descriptor, _ in poll.poll(10):
            if descriptor == sys.stdin.fileno():
                print(json.dumps({"refused_a_second": sent / (time.monotonic() - began)}))
                return
            if descriptor in reading:
                reading[descriptor].recv(1 << 20)
                continue
            assert 400 <= answered(waiting[descriptor]) < 500
            sent += 1
            waiting[descriptor].sendall(REFUSED[sent % len(REFUSED)])


if __name__ == "__main__":
    flood(int(sys.argv[1]))
