"""The load client, as a process of its own: HTTP/1.1 over keep-alive connections, and hardly any work besides.

It answers on standard output, as one JSON object. It imports little and parses of an answer only the status, the length
and the number of accepted items, so that the machine's time goes to the system under test.
"""

import argparse
import json
import select
import socket
import sys
import time
from collections import Counter, deque
from typing import Any

ITEM_ACCEPTED = b'"status":202'
NOOP = b'{"type":"demo.noop","payload":{}}'
HEAD_END = b"\r\n\r\n"
ANSWER_SECONDS = 120.0


def post(path: str, body: bytes, port: int) -> bytes:
    """The bytes of a request."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self._read = b""

    def send(self, request: bytes) -> None:
        self.sent_at = time.monotonic()
        self.socket.sendall(request)

    def receive(self) -> tuple[int, bytes] | None:
        """Status and body once the answer is complete. Raises ConnectionError when the server hangs up."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionError("the server closed the connection")
        data = self._read + data if self._read else data
        end = data.find(HEAD_END)
        if end >= 0:
            length = data.lower().find(b"content-length:", 0, end)
            size = int(data[length + 15 : data.find(b"\r", length)])
            if len(data) >= end + 4 + size:
                self._read = b""
                return int(data[9:12]), data[end + 4 :]
        self._read = data
        return None


class Tally:
    """What came back."""

    def __init__(self) -> None:
        self.accepted = 0
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []

    def add(self, status: int, body: bytes, seconds: float, batch: int) -> None:
        self.statuses[status] += 1
        self.seconds.append(seconds)
        if batch > 1:
            self.accepted += body.count(ITEM_ACCEPTED)
        elif status in (200, 202):
            self.accepted += 1


def flood(port: int, jobs: int, batch: int, connections: int) -> dict[str, Any]:
    """Submits `jobs` no-op jobs, `batch` a request; each connection sends its next request when it has its answer."""
    body = NOOP if batch == 1 else b'{"jobs":[' + b",".join([NOOP] * batch) + b"]}"
    request = post("/v1/jobs" if batch == 1 else "/v1/jobs/batch", body, port)
    left = jobs // batch
    tally, poll = Tally(), select.epoll()
    open_: dict[int, Connection] = {}
    for connection in (Connection(port) for _ in range(min(connections, left))):
        open_[connection.socket.fileno()] = connection
        poll.register(connection.socket.fileno(), select.EPOLLIN)
    began = time.monotonic()
    for connection in open_.values():
        connection.send(request)
        left -= 1
    under_way = len(open_)
    while under_way:
        ready = poll.poll(ANSWER_SECONDS)
        if not ready:
            raise TimeoutError(f"no answer in {ANSWER_SECONDS:g} s")
        for descriptor, _ in ready:
            connection = open_[descriptor]
            answer = connection.receive()
            if answer is None:
                continue
            tally.add(*answer, time.monotonic() - connection.sent_at, batch)
            if left:
                left -= 1
                connection.send(request)
            else:
                under_way -= 1
    return _report(tally, began)


def paced(port: int, rate: float, seconds: float) -> dict[str, Any]:
    """Submits jobs at a steady rate and waits for each one's end; a time counts from when the job was due to be sent."""
    request = post("/v1/jobs?wait=30", NOOP, port)
    tally, poll = Tally(), select.epoll()
    open_: dict[int, Connection] = {}
    idle: list[Connection] = []
    total = int(rate * seconds)
    began = time.monotonic() + 0.05
    due = deque(began + number / rate for number in range(total))
    while due or len(idle) < len(open_):
        now = time.monotonic()
        while due and due[0] <= now:
            moment = due.popleft()
            connection = idle.pop() if idle else _opened(port, poll, open_)
            connection.send(request)
            connection.sent_at = moment
        pause = max(due[0] - time.monotonic(), 0.0) if due else ANSWER_SECONDS
        for descriptor, _ in poll.poll(pause):
            connection = open_[descriptor]
            answer = connection.receive()
            if answer is not None:
                tally.add(*answer, time.monotonic() - connection.sent_at, 1)
                idle.append(connection)
    return _report(tally, began)


def _opened(port: int, poll: select.epoll, open_: dict[int, Connection]) -> Connection:
    connection = Connection(port)
    open_[connection.socket.fileno()] = connection
    poll.register(connection.socket.fileno(), select.EPOLLIN)
    return connection


def _report(tally: Tally, began: float) -> dict[str, Any]:
    ended, cost = time.monotonic(), time.process_time()
    return {
        "began": began,  # CLOCK_MONOTONIC: the same for all processes of a machine
        "ended": ended,
        "accepted": tally.accepted,
        "statuses": dict(tally.statuses),
        "processor_seconds": cost,
        "answer_seconds": sorted(tally.seconds),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="The load client of the benchmark.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--rate", type=float, default=0.0, help="jobs a second, each waited for; 0: as fast as it goes")
    parser.add_argument("--seconds", type=float, default=0.0)
    given = parser.parse_args()
    report = paced(given.port, given.rate, given.seconds) if given.rate else flood(given.port, given.jobs, given.batch, given.connections)
    json.dump(report, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
