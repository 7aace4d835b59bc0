"""The terminal: frames out, keys in, and everything put back at the end. Keys are read from the first frame on."""

import base64
import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from console import environment
from console.messages import Message
from console.theme import Theme
from console.widgets.canvas import Canvas

if TYPE_CHECKING:
    from console.keyboard import Keyboard

# alternate screen, cursor away, mouse presses in SGR form, bracketed paste, no wrapping; and the same backwards (xterm control sequences)
ENTER = "\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[?7l"
LEAVE = "\x1b[?2026l\x1b[0m\x1b[?7h\x1b[?2004l\x1b[?1006l\x1b[?1000l\x1b[?25h\x1b[?1049l"
BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"  # synchronized output: terminals without it ignore both
# Latin letters, dashes and dots, arrows, boxes and blocks, braille: every terminal shows these in one column
NARROW = (("\x00", "\u02ff"), ("\u2010", "\u2027"), ("\u2190", "\u21ff"), ("\u2500", "\u25ff"), ("\u2800", "\u28ff"))
UNKNOWN_SIZE = os.terminal_size((80, 24))


class Screen:
    """Use as a context: the terminal is restored on any way out, a crash and SIGTERM included."""

    def __init__(self) -> None:
        self._drawn: Canvas | None = None
        self._theme: Theme | None = None
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)

    @cached_property
    def keyboard(self) -> "Keyboard":
        """Made after the first frame, for its import takes as long as all the rest."""
        from console.keyboard import Keyboard

        return Keyboard()

    @property
    def size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            size = UNKNOWN_SIZE
        return (size.columns, size.lines) if size.columns and size.lines else (UNKNOWN_SIZE.columns, UNKNOWN_SIZE.lines)

    @property
    def colours(self) -> int:
        """256, 16 or 0 (no-color.org, and terminals without)."""
        if not environment.wants_colour():
            return 0
        number = _colours_by_terminfo()
        return 256 if number >= 256 or environment.promises_true_colour() else 16 if number >= 8 else 0

    def ground_is_light(self) -> bool | None:
        """What the terminal says of its ground; None when it says nothing in time."""
        return self.keyboard.ground_is_light()

    # ---- taken and given back -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._left) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
        before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: self.wake())
        self._cooked = termios.tcgetattr(sys.stdin.fileno())
        try:
            self._take()
            yield
        finally:
            self._give_back()
            for number, handler in before.items():
                signal.signal(number, handler)

    @staticmethod
    def _left(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    def _take(self) -> None:
        tty.setraw(sys.stdin.fileno(), termios.TCSADRAIN)  # what was typed before is kept
        self._write(ENTER)

    def _give_back(self) -> None:
        self._write(LEAVE)
        with contextlib.suppress(termios.error, OSError):  # it may be gone
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._cooked)

    def suspend(self) -> None:
        """Gives the terminal back and stops, as programs do on Ctrl-Z; goes on when the shell continues it."""
        self._give_back()
        os.kill(0, signal.SIGSTOP)
        self._take()
        self.forget()

    # ---- in -----------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Ends a wait for keys; from any thread."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"!")

    def messages(self, seconds: float) -> list[Message]:
        """What comes within `seconds` from keyboard and mouse: at once when something is there, or after a wake-up."""
        found = list(self.keyboard.messages())
        if not found and seconds > 0:
            with contextlib.suppress(InterruptedError):
                select.select([self._wake_read, sys.stdin], [], [], seconds)
            found = list(self.keyboard.messages())
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        return found

    # ---- out ----------------------------------------------------------------------------------------------------

    def draw(self, canvas: Canvas, theme: Theme) -> bool:
        """Writes the lines that differ from those on the terminal, in one go; False when nothing differs."""
        drawn = self._drawn if theme == self._theme else None
        if drawn is not None and (drawn.columns, drawn.lines) != (canvas.columns, canvas.lines):
            drawn = None
        lines = [
            y for y in range(canvas.lines)
            if drawn is None or canvas.cells[y] != drawn.cells[y] or canvas.styles[y] != drawn.styles[y]
        ]  # fmt: skip
        self._drawn, self._theme = canvas, theme
        if not lines:
            return False
        clear = "\x1b[0m\x1b[2J" if drawn is None else ""
        self._write(BEGIN + clear + "".join(f"\x1b[{y + 1};1H{line_sequence(canvas, y, theme)}" for y in lines) + "\x1b[0m" + END)
        return True

    def forget(self) -> None:
        """The next frame is drawn whole."""
        self._drawn = None

    def copy(self, text: str) -> None:
        """Puts text on the clipboard (OSC 52), where the terminal allows it."""
        self._write(f"\x1b]52;c;{base64.b64encode(text.encode('utf-8', 'replace')).decode()}\x07")

    @staticmethod
    def _write(text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(text)
            sys.stdout.flush()


def _colours_by_terminfo() -> int:
    """How many colours the terminal's description promises; 8 where there is no description of it."""
    try:
        import curses
    except ImportError:  # a Python that was built without
        return 8
    try:
        curses.setupterm(fd=sys.stdout.fileno())
        return curses.tigetnum("colors")
    except curses.error:
        return 8


def line_sequence(canvas: Canvas, y: int, theme: Theme) -> str:
    """A line of the canvas with its colours.

    After a character whose width terminals may see otherwise, the column is said anew, so that nothing behind it moves.
    """
    parts: list[str] = []
    last = None
    unsure = False
    for x, (cell, style) in enumerate(zip(canvas.cells[y], canvas.styles[y], strict=True)):
        if unsure and cell:
            parts.append(f"\x1b[{x + 1}G")
            unsure = False
        if style != last:
            parts.append(theme.sequence(style))
            last = style
        parts.append(cell)
        unsure = unsure or (not cell.isascii() and not _is_narrow(cell))
    return "".join(parts)


def _is_narrow(cell: str) -> bool:
    return len(cell) == 1 and any(first <= cell <= last for first, last in NARROW)
