"""What lies between the function and a worker process: a queue of tickets, a stream, a pipe of results, a shared page.

Tickets. The numbers of a worker's assignments lie in a pipe of which both sides hold the reading end. The worker reads
one number when it begins that job; the parent reads the rest to take them back. The kernel hands each number out once,
so a job that waits behind a hung one is moved without asking the hung worker, and can never run twice.

Stream. The bodies of the assignments and the answers to `context.once` go down a socket; the requests come up it, and
an empty frame, which says "look into your pipe".

Results. Each record is written to a pipe the moment its handler ends, so a worker that is killed afterwards takes no
result with it; the parent reads them in bulk.

Page. Memory that both map: which job runs since when, whether it is to be cancelled, and its last progress.
"""

import marshal
import mmap
import os
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

HEADER = struct.Struct("<IQ")  # length of what follows, number of the assignment (0: not about one)
TICKET = struct.Struct("<Q")
PING = 0  # a ticket that asks an idle worker to ring
PAGE_BYTES = 4096
MAX_FRAME_BYTES = 8 << 20
_TEXT_AT = 64
_NUMBER_BITS = 16
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1


pack = marshal.dumps
unpack = marshal.loads  # what our own processes packed; never anything from elsewhere


def frame(number: int, body: bytes) -> bytes:
    return HEADER.pack(len(body), number) + body


def frame_of(value: Any) -> bytes:
    """A frame about no assignment, holding a plain value."""
    return frame(0, pack(value))


class Frames:
    """Cuts what arrives into frames."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that are complete with these bytes: number and body. Raises ValueError for what is no frame."""
        buffer = self._buffer
        buffer += data
        frames, at, size = [], 0, len(buffer)
        while size - at >= HEADER.size:
            length, number = HEADER.unpack_from(buffer, at)
            if length > MAX_FRAME_BYTES:
                raise ValueError(f"a frame of {length} bytes")
            end = at + HEADER.size + length
            if end > size:
                break
            frames.append((number, bytes(buffer[at + HEADER.size : end])))
            at = end
        if at:
            del buffer[:at]
        return frames


class Page:
    """One page of memory that parent and worker share. Each field is one aligned word, so none is ever seen half."""

    __slots__ = ("_map", "_words")

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, PAGE_BYTES)
        self._words = memoryview(self._map).cast("Q")

    def close(self) -> None:
        self._words.release()
        self._map.close()

    def begin(self, number: int) -> None:
        """The worker begins an assignment now: its number and the instant share one word."""
        self._words[0] = (time.monotonic_ns() // 1000) << _NUMBER_BITS | number & _NUMBER_MASK

    def begun(self, number: int) -> int | None:
        """When (monotonic microseconds) the worker began this assignment, if it was the last one that it began."""
        word: int = self._words[0]
        return word >> _NUMBER_BITS if word & _NUMBER_MASK == number & _NUMBER_MASK else None

    @property
    def written(self) -> int:
        """How many records the worker has written to its pipe."""
        count: int = self._words[1]
        return count

    @written.setter
    def written(self, count: int) -> None:
        self._words[1] = count

    @property
    def cancelling(self) -> int:
        """The number of the assignment that is to be cancelled; 0 for none."""
        number: int = self._words[2]
        return number

    @cancelling.setter
    def cancelling(self, number: int) -> None:
        self._words[2] = number

    @property
    def pid(self) -> int:
        """The worker's process id, from before it begins anything; 0 until then."""
        pid: int = self._words[5]
        return pid

    @pid.setter
    def pid(self, pid: int) -> None:
        self._words[5] = pid

    @property
    def progress_count(self) -> int:
        """Grows by two with each progress; odd while one is being written."""
        count: int = self._words[3]
        return count

    def put_progress(self, number: int, fraction: float | None, message: str | None) -> None:
        text = pack((number, fraction, message))
        words = self._words
        words[3] += 1
        words[4] = len(text)
        self._map[_TEXT_AT : _TEXT_AT + len(text)] = text
        words[3] += 1

    def progress(self) -> tuple[int, float | None, str | None] | None:
        """The last progress (number, fraction, message); None when there is none or it is just being written."""
        count = self._words[3]
        if count == 0 or count & 1:
            return None
        text = self._map[_TEXT_AT : _TEXT_AT + self._words[4]]
        if self._words[3] != count:
            return None
        number, fraction, message = unpack(text)
        return number, fraction, message


@dataclass(slots=True)
class WorkerEnds:
    """The descriptors that a worker gets, in the order in which they are passed."""

    tickets: int
    stream: int
    results: int
    page: int
    output: int

    def all(self) -> list[int]:
        return [self.tickets, self.stream, self.results, self.page, self.output]


@dataclass(slots=True)
class ParentEnds:
    """What the parent keeps of a worker's channel; `tickets` is shared with the worker."""

    tickets: int
    give: int
    stream: socket.socket
    results: int
    page: Page
    output: int

    def close(self) -> None:
        for fd in (self.tickets, self.give, self.results, self.output):
            os.close(fd)
        self.stream.close()
        self.page.close()


def open_channel() -> tuple[ParentEnds, WorkerEnds]:
    """A fresh channel: the parent's ends (none of them blocks) and the worker's."""
    tickets, give = os.pipe()
    results, write = os.pipe()
    ours, theirs = socket.socketpair()
    page, output = anonymous_file("page"), anonymous_file("output")
    os.ftruncate(page, PAGE_BYTES)
    for fd in (tickets, give, results, write):
        os.set_blocking(fd, False)
    ours.setblocking(False)
    parent = ParentEnds(tickets, give, ours, results, Page(page), os.dup(output))
    return parent, WorkerEnds(os.dup(tickets), theirs.detach(), write, page, output)


def anonymous_file(name: str) -> int:
    """A descriptor of a file in memory that has no name in any folder."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(f"observatory-{name}")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
