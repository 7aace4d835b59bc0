"""Runs the command line for tests: by a process that has imported it and forks for each call, where nothing needs a fresh one."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping

from tests.support.command_line_server import ANSWER
from tests.support.system import ROOT

SECONDS = 60.0


class CommandLine:
    """One helper process, started with the first call; calls take turns."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def run(self, arguments: tuple[str, ...], environment: Mapping[str, str], stdin: str) -> subprocess.CompletedProcess[str]:
        """What the call printed, and its exit code. Raises TimeoutExpired."""
        with self._turn, tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin.encode())
            given.seek(0)
            control = self._started()
            asked = {"arguments": arguments, "environment": dict(environment), "folder": str(ROOT)}
            socket.send_fds(control, [json.dumps(asked).encode()], [given.fileno(), out.fileno(), err.fileno()])
            child, _ = ANSWER.unpack(control.recv(ANSWER.size))
            try:
                _, code = ANSWER.unpack(control.recv(ANSWER.size))
            except TimeoutError:
                os.kill(child, signal.SIGKILL)
                self.close()
                raise subprocess.TimeoutExpired(["console", *arguments], SECONDS) from None
            return subprocess.CompletedProcess(["console", *arguments], code, _text(out), _text(err))

    def _started(self) -> socket.socket:
        if self._control is None:
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._control.settimeout(SECONDS)
            command = [sys.executable, "-m", "tests.support.command_line_server", str(theirs.fileno())]
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
            theirs.close()
            atexit.register(self.close)
        return self._control

    def close(self) -> None:
        """The helper ends with its socket."""
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.wait(10)
            self._control = self._process = None


def _text(file: "tempfile._TemporaryFileWrapper[bytes]") -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")


_command_line = CommandLine()


def run_console(arguments: tuple[str, ...], environment: Mapping[str, str], stdin: str) -> subprocess.CompletedProcess[str]:
    """One call of the command line, in a process of its own. A fresh interpreter, where the interpreter itself is to be set up."""
    if any(name.startswith("PYTHON") and os.environ.get(name) != value for name, value in environment.items()):
        command = [sys.executable, "-m", "console", *arguments]
        return subprocess.run(command, cwd=ROOT, env=dict(environment), input=stdin, capture_output=True, text=True, timeout=SECONDS)
    return _command_line.run(arguments, environment, stdin)
