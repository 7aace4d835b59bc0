"""A program in a pseudo-terminal, with a model of the screen: what a person would see and type."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyte

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"enter": "\r", "esc": "\x1b", "tab": "\t", "shift-tab": "\x1b[Z", "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D",
        "pgdn": "\x1b[6~", "pgup": "\x1b[5~", "home": "\x1b[H", "end": "\x1b[F", "ctrl-s": "\x13", "ctrl-c": "\x03", "backspace": "\x7f"}  # fmt: skip


class Terminal:
    """`sent` is all that the program wrote; `screen` is what a terminal of that size shows of it."""

    def __init__(self, command: list[str], columns: int = 100, lines: int = 30, **environment: str) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._unseen: list[bytes] = []  # what the model was not yet given: it takes longer than the program
        self.sent = b""
        self.code: int | None = None
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OBSERVATORY_", "NO_COLOR", "COLORFGBG"))}
        variables = {**inherited, "TERM": "xterm-256color", "LANG": "C.UTF-8", "COLORFGBG": "15;0", **environment}
        self.started_at = time.monotonic()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:  # the program: nothing of the test may go on here
            try:
                os.chdir(ROOT)
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
                os.execve(command[0], command, variables)
            finally:
                os._exit(127)

    # ---- what a person sees -------------------------------------------------------------------------------------

    @property
    def screen(self) -> pyte.Screen:
        """What a terminal shows of all that was written. pyte knows no synchronized output, and takes the end of one for text."""
        if self._unseen:
            self._stream.feed(b"".join(self._unseen).replace(b"\x1b[?2026h", b"").replace(b"\x1b[?2026l", b""))
            self._unseen.clear()
        return self._screen

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def line(self, words: str) -> str:
        """The first line that has these words."""
        return next((line for line in self.text.split("\n") if words in line), "")

    def pump(self, seconds: float = 0.0) -> bool:
        """Takes what the program wrote; False when there was nothing within `seconds`."""
        if self._fd < 0 or not select.select([self._fd], [], [], seconds)[0]:
            return False
        try:
            chunk = os.read(self._fd, 65_536)
        except OSError:  # the program has ended
            return False
        self.sent += chunk
        self._unseen.append(chunk)
        return bool(chunk)

    def until(self, condition: "str | Callable[[], Any]", seconds: float = 30.0) -> Any:
        """Returns when the words stand on the screen, or the condition holds; fails with the screen when they never do."""
        deadline = time.monotonic() + seconds
        holds = (lambda: condition in self.text) if isinstance(condition, str) else condition
        while not (found := holds()):
            assert time.monotonic() < deadline, f"never came: {condition!r}; the screen:\n{self.text}"
            self.pump(0.05)
        return found

    # ---- what a person does -------------------------------------------------------------------------------------

    def press(self, *keys: str) -> None:
        """Keys by their name, or texts as they are typed."""
        for key in keys:
            os.write(self._fd, KEYS.get(key, key).encode())
            if key == "esc":
                time.sleep(0.1)  # an escape key is told from an escape sequence by the time after it

    def click(self, x: int, y: int) -> None:
        os.write(self._fd, f"\x1b[<0;{x + 1};{y + 1}M\x1b[<0;{x + 1};{y + 1}m".encode())

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        """The terminal goes away, as when its window is closed."""
        os.close(self._fd)
        self._fd = -1

    # ---- the end ------------------------------------------------------------------------------------------------

    def ended(self, seconds: float = 20.0) -> int:
        """The exit code, once it has ended; what it wrote last is taken."""
        deadline = time.monotonic() + seconds
        while self.code is None:
            while self.pump(0.02):
                pass
            time.sleep(0.01)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, f"it goes on; the screen:\n{self.text}"
        while self.pump():
            pass
        return self.code

    def close(self) -> None:
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(AssertionError, ChildProcessError):
                self.ended()
        if self._fd >= 0:
            self.hang_up()

    def modes(self) -> set[str]:
        """The private modes that are on, by what the program sent (of ?1049, ?25 ...)."""
        on = {"25", "7"}
        for part in self.sent.split(b"\x1b[?")[1:]:
            numbers, letter = part[:-1], b""
            for index in range(len(part)):
                if part[index : index + 1] in (b"h", b"l"):
                    numbers, letter = part[:index], part[index : index + 1]
                    break
            for number in numbers.decode("ascii", "replace").split(";"):
                (on.add if letter == b"h" else on.discard)(number)
        return on


@contextlib.contextmanager
def terminal(command: list[str], columns: int = 100, lines: int = 30, **environment: str) -> Iterator[Terminal]:
    opened = Terminal(command, columns, lines, **environment)
    try:
        yield opened
    finally:
        opened.close()
