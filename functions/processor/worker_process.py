"""The processes that run handlers: `python -m functions.processor.worker_process FD PARENT_PID`.

One starter process imports the task modules once and then forks a worker whenever the function asks for one; a worker
costs a few milliseconds and shares the starter's memory. The starter runs no handler, so it is always there to notice
the end of a worker or of the function: in either case it kills the worker's whole process group, so that programs which
a handler started end too.
"""

import ctypes
import faulthandler
import gc
import logging
import os
import select
import signal
import socket
import struct
import sys
from collections import deque
from typing import Any, NoReturn

from contracts.errors import ConfigurationError, LeaseLost
from functions.processor.attempt import Body, Runner
from functions.processor.channel import PING, TICKET, Frames, Page, WorkerEnds, frame, frame_of, pack, unpack
from functions.processor.output import Capture

ORDER = struct.Struct("<Q")  # fork a worker with this number; its descriptors come along
TRACE_SIGNAL = signal.SIGUSR2  # makes a worker write where it is, even inside C code
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_LONG_MICROS = 5_000
_RING = frame(0, b"")


def prctl(option: int, value: int) -> None:
    """Linux's prctl; elsewhere nothing (the channel's end is then the only sign that the parent died)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def die_with_parent(parent: int, sign: int) -> None:
    """Has the kernel send `sign` when the parent ends; ends at once where that has happened already."""
    prctl(_SET_PDEATHSIG, sign)
    if os.getppid() != parent:
        os._exit(1)


# ---- the starter ------------------------------------------------------------------------------------------------


class Starter:
    """Forks workers and reports their ends, until the function goes away."""

    def __init__(self, control: socket.socket, parent: int) -> None:
        self._control = control
        self._parent = parent
        self._pid = os.getpid()
        self._workers: dict[int, int] = {}  # pid -> number
        self._wake, self._woken = os.pipe()
        for fd in (self._wake, self._woken):
            os.set_blocking(fd, False)

    def serve(self) -> NoReturn:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while os.getppid() == self._parent:
            for fd, _ in poll.poll(1000):
                if fd == self._wake:
                    os.read(self._wake, 4096)
                    self._bury()
                else:
                    self._obey()
        self._end()

    def _obey(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._control, ORDER.size, 5)
        except OSError:  # reset: it went away with words of ours unread
            self._end()
        if len(data) < ORDER.size or len(fds) < 5:
            self._end()
        (number,) = ORDER.unpack(data)
        pid = os.fork()
        if pid == 0:
            become_worker(number, WorkerEnds(*fds), self._pid, (self._control.fileno(), self._wake, self._woken))
        for fd in fds:
            os.close(fd)
        self._workers[pid] = number
        self._tell("forked", number, pid)

    def _bury(self) -> None:
        """Reaps whatever ended. A worker's group is killed before its id is given free, so no other can be hit."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            number = self._workers.pop(found.si_pid, None)
            if number is not None:
                kill_group(found.si_pid)
            _, status = os.waitpid(found.si_pid, 0)
            if number is not None:
                self._tell("ended", number, status)

    def _tell(self, *what: Any) -> None:
        try:
            self._control.sendall(frame_of(what))
        except OSError:
            self._end()

    def _end(self) -> NoReturn:
        for pid in self._workers:
            kill_group(pid)
        os._exit(0)


def kill_group(pid: int) -> None:
    """Kills a worker and every process of its group that is left."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def import_tasks(control: socket.socket, modules: list[str]) -> None:
    """Imports the task modules and answers with their catalogue, or with what is wrong with them, and the files they are."""
    from functions.processor.tasks.collect import collect
    from functions.processor.tasks.registry import REGISTRY
    from functions.processor.tasks.sources import sources

    try:
        catalogue = collect(modules)
    except ConfigurationError as error:
        control.sendall(frame_of(("broken", error.message, sources(error))))
        os._exit(1)
    if any(task.is_async for task in REGISTRY.tasks.values()):
        import asyncio  # noqa: F401  # once here, instead of once a worker
    try:
        control.sendall(frame_of(("ready", catalogue.as_json(), sources())))
    except ConnectionError:  # whoever started this has ended meanwhile
        sys.exit(0)


def main(arguments: list[str]) -> NoReturn:
    descriptor, parent = int(arguments[0]), int(arguments[1])
    die_with_parent(parent, signal.SIGKILL)
    prctl(_SET_CHILD_SUBREAPER, 1)  # what a handler left behind is reaped here
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    frames = Frames()
    while not (first := frames.feed(_received(control))):
        continue
    modules, path, environment = unpack(first[0][1])
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(environment)
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    import_tasks(control, modules)
    _prepare_logging()
    gc.collect()
    gc.freeze()  # workers then share this memory for good
    # From here on the control socket tells the parent's end, and there may be process groups to kill before this ends.
    # SIGCONT wakes a stopped starter and does nothing else.
    prctl(_SET_PDEATHSIG, signal.SIGCONT)
    Starter(control, parent).serve()


def _received(control: socket.socket) -> bytes:
    data = control.recv(1 << 16)
    if not data:
        os._exit(0)
    return data


def _prepare_logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logger = logging.getLogger("observatory.task")
    logger.setLevel(logging.DEBUG)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.propagate = False


# ---- the worker -------------------------------------------------------------------------------------------------


def become_worker(number: int, ends: WorkerEnds, starter: int, foreign: tuple[int, ...]) -> NoReturn:
    """The rest of the life of a forked process."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgid(0, 0)
        die_with_parent(starter, signal.SIGKILL)
        for fd in foreign:
            os.close(fd)
        Worker(ends).serve()
    except BaseException as error:
        os.write(2, f"the worker process ended: {type(error).__name__}: {error}\n".encode("utf-8", "replace"))
    finally:
        os._exit(1)


class Worker:
    """Takes tickets, runs their handlers, writes the records. Is the handlers' link to the function, too."""

    def __init__(self, ends: WorkerEnds) -> None:
        from functions.processor.tasks.registry import REGISTRY

        self._tickets = ends.tickets
        self._results = ends.results
        self._stream = socket.socket(fileno=ends.stream)
        self._page = Page(ends.page)
        os.close(ends.page)
        self._capture = Capture(ends.output)
        faulthandler.enable(file=ends.output)
        faulthandler.register(TRACE_SIGNAL, file=ends.output, all_threads=True)
        self._runner = Runner(REGISTRY, self)
        self._frames = Frames()
        self._bodies: deque[tuple[int, bytes]] = deque()
        self._answers: deque[tuple[Any, ...]] = deque()
        self._pid = self._page.pid = os.getpid()
        self._number = 0
        self._written = self._rung = 0
        self._progress: tuple[float | None, str | None] | None = None
        self._outs = sys.stdout, sys.stderr
        self._idle = select.poll()
        self._idle.register(self._tickets, select.POLLIN)
        self._idle.register(self._stream, 0)  # its end alone

    def serve(self) -> NoReturn:
        while True:
            try:
                ticket = os.read(self._tickets, TICKET.size)
            except BlockingIOError:
                self._rest()
                continue
            if not ticket:
                os._exit(0)
            (number,) = TICKET.unpack(ticket)
            if number == PING:
                self._ring()
            else:
                self._work(number)

    def _rest(self) -> None:
        if self._rung != self._written:
            self._ring()
        for fd, _ in self._idle.poll():
            if fd != self._tickets:
                os._exit(0)

    def _work(self, number: int) -> None:
        body = Body._make(unpack(self._body(number)))
        self._number, self._progress = number, None
        self._page.begin(number)
        if body.traceparent is not None:  # whom the handler starts or calls goes on with its trace
            os.environ["TRACEPARENT"] = body.traceparent
        ending = self._runner.run(body)
        if os.getpid() != self._pid:  # the handler forked, and its child came back here
            os._exit(0)
        sys.stdout, sys.stderr = self._outs
        self._number = 0
        self._write(number, pack((*ending, self._capture.take(), self._progress)))
        if ending.ran_micros > _LONG_MICROS:
            self._ring()

    def _write(self, number: int, record: bytes) -> None:
        rest = memoryview(frame(number, record))
        while rest:
            try:
                rest = rest[os.write(self._results, rest) :]
            except BlockingIOError:
                self._page.written = self._written + 1
                self._ring()
                full = select.poll()
                full.register(self._results, select.POLLOUT)
                full.poll()
        self._written += 1
        self._page.written = self._written

    def _ring(self) -> None:
        self._rung = self._written
        try:
            self._stream.sendall(_RING)
        except OSError:  # the function is gone
            os._exit(0)

    def _body(self, number: int) -> bytes:
        """The body of an assignment; those before it were taken back."""
        while True:
            while self._bodies:
                found, body = self._bodies.popleft()
                if found == number:
                    return body
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._stream.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            os._exit(0)
        for number, body in self._frames.feed(data):
            if number:
                self._bodies.append((number, body))
            else:
                self._answers.append(unpack(body))

    # ---- the link of the running handler

    def cancelled(self) -> bool:
        return self._number != 0 and self._page.cancelling == self._number

    def progress(self, fraction: float | None, message: str | None) -> None:
        if self._number:
            self._progress = fraction, message
            self._page.put_progress(self._number, fraction, message)

    def store(self, step: str, value: bytes) -> bytes:
        number = self._number
        self._stream.sendall(frame(number, pack((step, value))))
        while True:
            while not self._answers:
                self._receive()
            about, verdict, answer = self._answers.popleft()
            if about != (number, step):
                continue
            if verdict == "stored":
                return bytes(answer)
            raise LeaseLost(answer) if verdict == "lost" else EffectNotStored(answer)


class EffectNotStored(Exception):
    """The value of a `context.once` step could not be stored."""


if __name__ == "__main__":
    main(sys.argv[1:])
