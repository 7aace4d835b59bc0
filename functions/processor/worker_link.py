"""The function's side of its worker processes: the starter, and one link a worker."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from functions.processor.assignments import Assignment
from functions.processor.channel import PING, TICKET, Frames, ParentEnds, WorkerEnds, frame, open_channel, pack, unpack
from functions.processor.output import read_output, trim

PROGRAM = "functions.processor.worker_process"
_READ_BYTES = 1 << 18
_ORDER_BYTES = 8


class Held:
    """One assignment in the pool: waiting (`worker` is None), or given to a worker under a number."""

    __slots__ = ("assignment", "cancelled", "dropped", "number", "suspect", "told", "told_at", "worker")

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.worker: WorkerLink | None = None
        self.number = 0
        self.suspect = False
        self.cancelled = False
        self.dropped = False
        self.told: tuple[float | None, str | None] | None = None
        self.told_at = float("-inf")


class Record(NamedTuple):
    """What a worker wrote about one ended attempt; see attempt.Ending."""

    kind: str
    result: Any
    error: dict[str, Any] | None
    after_seconds: float | None
    begun_micros: int
    ran_micros: int
    output: str | None
    progress: tuple[float | None, str | None] | None


class WorkerLink:
    """The parent's end of one worker."""

    def __init__(self, number: int, starter: "StarterLink", ends: ParentEnds) -> None:
        self.number = number
        self.starter = starter
        self.pid: int | None = None
        self.pidfd: int | None = None
        self.outstanding: dict[int, Held] = {}
        self.load_seconds = 0.0
        self.alone = False  # with a slow job, or a suspect one: nothing else goes here
        self.retiring = False
        self.killing: str | None = None  # why
        self.kill_number = 0
        self.trace_from: int | None = None
        self.closed = False
        self.stalled = False
        self.progress_seen = 0
        self.looked_at: tuple[int, float] = (0, 0.0)
        self._ends = ends
        self._next = 1
        self._read = 0
        self._records = Frames()
        self._requests = Frames()
        self._unsent = bytearray()

    @property
    def name(self) -> str:
        """By its process id: the starter tells it, but what the worker says of a job may come before that."""
        pid = self.pid or (0 if self.closed else self._ends.page.pid)
        return f"worker-{pid or f'n{self.number}'}"

    @property
    def stream(self) -> socket.socket:
        return self._ends.stream

    @property
    def usable(self) -> bool:
        return not (self.closed or self.retiring or self.killing or self.stalled)

    # ---- giving and taking back

    def give(self, batch: Sequence[Held]) -> bool:
        """Hands assignments over; False when some bytes have to wait until the stream takes more (see `send_rest`)."""
        bodies, tickets = [], []
        for held in batch:
            number = self._next
            self._next += 1
            held.worker, held.number = self, number
            self.outstanding[number] = held
            bodies.append(frame(number, pack(_body(held.assignment))))
            tickets.append(TICKET.pack(number))
        done = self.send(b"".join(bodies))
        os.write(self._ends.give, b"".join(tickets))
        return done

    def take_back(self) -> list[Held]:
        """The assignments that the worker holds and has not begun; it can begin them no more."""
        back = []
        try:
            while data := os.read(self._ends.tickets, 1 << 16):
                for (number,) in TICKET.iter_unpack(data):
                    held = self.outstanding.pop(number, None)
                    if held is not None:
                        held.worker, held.number = None, 0
                        back.append(held)
        except BlockingIOError:
            pass
        return back

    def ping(self) -> None:
        """Asks for a sign of life."""
        os.write(self._ends.give, TICKET.pack(PING))

    def send(self, data: bytes) -> bool:
        """Sends bytes down the stream; False when some wait."""
        if self._unsent:
            self._unsent += data
            return False
        try:
            sent = self._ends.stream.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError:  # it is dead; its end will be told
            return True
        if sent < len(data):
            self._unsent += memoryview(data)[sent:]
        return not self._unsent

    def send_rest(self) -> bool:
        """Goes on with what waited; True when everything is sent."""
        rest, self._unsent = self._unsent, bytearray()
        return self.send(bytes(rest))

    # ---- what comes back

    def has_records(self) -> bool:
        return self._ends.page.written != self._read

    def records(self) -> list[tuple[Held, Record]]:
        """The attempts that ended since the last call, in order."""
        ended = []
        try:
            while data := os.read(self._ends.results, _READ_BYTES):
                for number, body in self._records.feed(data):
                    self._read += 1
                    held = self.outstanding.pop(number, None)
                    if held is not None:
                        ended.append((held, Record._make(unpack(body))))
        except BlockingIOError:
            pass
        return ended

    def requests(self) -> list[tuple[Held, int, str, bytes]] | None:
        """The `context.once` values to be stored: held, number, step, JSON text. None at the stream's end."""
        try:
            data = self._ends.stream.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        wanted = []
        for number, body in self._requests.feed(data):
            held = self.outstanding.get(number) if number else None
            if held is not None:
                step, text = unpack(body)
                wanted.append((held, number, step, text))
        return wanted

    def answer(self, number: int, step: str, verdict: str, text: str | bytes) -> bool:
        return self.send(frame(0, pack(((number, step), verdict, text))))

    # ---- what it is doing

    def running(self) -> Held | None:
        """The job that it works at, or the next one that it will."""
        return next(iter(self.outstanding.values()), None)

    def begun_micros(self, held: Held) -> int | None:
        return self._ends.page.begun(held.number)

    def ask_to_cancel(self, held: Held) -> None:
        self._ends.page.cancelling = held.number

    def progress(self) -> tuple[Held, tuple[float | None, str | None], int] | None:
        """The last progress of the running handler, when it is a new one, and its count for `progress_seen`."""
        page = self._ends.page
        count = page.progress_count
        if count == self.progress_seen or (said := page.progress()) is None:
            return None
        held = self.outstanding.get(said[0])
        return None if held is None else (held, said[1:], count)

    def output(self) -> tuple[str | None, str | None]:
        """What the running handler printed, and the trace that `ask_where` made it write."""
        return read_output(self._ends.output, 0, self.trace_from), (
            None if self.trace_from is None else read_output(self._ends.output, self.trace_from)
        )

    def trim_output(self) -> None:
        trim(self._ends.output)

    # ---- its end

    def ask_where(self, sign: int) -> None:
        """Makes the worker write where it is into its output (faulthandler does that inside C code, too)."""
        self.trace_from = os.fstat(self._ends.output).st_size
        self.signal(sign)

    def signal(self, sign: int) -> None:
        try:
            if self.pidfd is not None:
                signal.pidfd_send_signal(self.pidfd, sign)
            elif self.pid is not None:
                os.kill(self.pid, sign)
        except ProcessLookupError:
            pass

    def forked(self, pid: int) -> None:
        self.pid = pid
        if hasattr(os, "pidfd_open"):
            try:
                self.pidfd = os.pidfd_open(pid)
            except OSError:
                self.pidfd = None

    def close(self) -> None:
        """Closes every descriptor; a worker that is still there ends by that when it is idle."""
        if self.closed:
            return
        self.closed = True
        self._ends.close()
        if self.pidfd is not None:
            os.close(self.pidfd)


def _body(assignment: Assignment) -> tuple[Any, ...]:
    return (
        assignment.job_id,
        assignment.lease_token,
        assignment.attempt,
        assignment.attempts_allowed,
        assignment.type,
        assignment.queue,
        assignment.payload,
        assignment.traceparent,
        assignment.effects,
    )


class StarterLink:
    """The parent's end of the starter process. Bytecode is known by its source's second and size, so what is imported in the
    middle of editing must keep none."""

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str], *, keeps_bytecode: bool = True) -> None:
        ours, theirs = socket.socketpair()
        self.control = ours
        self.frames = Frames()
        self.workers: dict[int, WorkerLink] = {}
        here = Path.cwd()
        path = list(dict.fromkeys(str(here / entry) for entry in (*sys.path, "")))
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-u", *(() if keeps_bytecode else ("-B",)), "-m", PROGRAM, str(theirs.fileno()), str(os.getpid())],
                env={**environment, "PYTHONPATH": os.pathsep.join(path)},
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        ours.sendall(frame(0, pack((list(modules), path, dict(environment)))))
        ours.setblocking(False)

    def order(self, number: int) -> WorkerLink:
        """Has a worker forked. Assignments may be given to it at once."""
        ends, theirs = open_channel()
        worker = self.workers[number] = WorkerLink(number, self, ends)
        self._pass_on(number, theirs)
        return worker

    def _pass_on(self, number: int, ends: WorkerEnds) -> None:
        try:
            socket.send_fds(self.control, [number.to_bytes(_ORDER_BYTES, "little")], ends.all())
        except OSError:  # it is dead; that will be told
            pass
        for fd in ends.all():
            os.close(fd)

    def messages(self) -> list[tuple[Any, ...]] | None:
        """What the starter said; None when it is gone."""
        try:
            data = self.control.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        return [unpack(body) for _, body in self.frames.feed(data)] if data else None

    def close(self) -> None:
        """Ends the starter, and with it its workers and their process groups."""
        self.control.close()


def parse(text: bytes) -> Any:
    """The value of JSON that a worker's strict writer made."""
    return json.loads(text.decode())
