"""The terminal: keys and clicks in, frames out, and everything put back at the end. The only file that imports blessed."""

import base64
import contextlib
import os
import select
import signal
import sys
import termios
import time
from collections.abc import Iterator
from typing import Any

import blessed
from blessed._capabilities import TermcapResponse
from blessed.dec_modes import DecModeResponse

from console.messages import Clicked, Message, Pasted, Pressed, Resized
from console.theme import Theme
from console.widgets.canvas import Canvas

# alternate screen, cursor away, mouse presses in SGR form, bracketed paste, no wrapping; and the same backwards (xterm control sequences)
ENTER = "\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[?7l"
LEAVE = "\x1b[?2026l\x1b[0m\x1b[?7h\x1b[?2004l\x1b[?1006l\x1b[?1000l\x1b[?25h\x1b[?1049l"
BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"  # synchronized output: terminals without it ignore both
MOUSE, MOUSE_SGR, PASTE = 1000, 1006, 2004
CSI = "\x1b["
PASTE_BEGIN, PASTE_END = "\x1b[200~", "\x1b[201~"  # of a paste that arrives in pieces
ESCAPE_SECONDS = 0.04
DOUBLE_SECONDS = 0.4
GROUND_SECONDS = 0.2  # how long a terminal may take to say what its ground is
MOST_AT_ONCE = 200  # keys between two frames

# Latin letters, dashes and dots, arrows, boxes and blocks, braille: every terminal shows these in one column
NARROW = (("\x00", "\u02ff"), ("\u2010", "\u2027"), ("\u2190", "\u21ff"), ("\u2500", "\u25ff"), ("\u2800", "\u28ff"))
NAMES = {
    "KEY_ENTER": "enter", "KEY_ESCAPE": "esc", "KEY_TAB": "tab", "KEY_BTAB": "shift-tab", "KEY_UP": "up", "KEY_DOWN": "down", "KEY_LEFT": "left",
    "KEY_RIGHT": "right", "KEY_PGUP": "pgup", "KEY_PGDOWN": "pgdn", "KEY_HOME": "home", "KEY_END": "end", "KEY_BACKSPACE": "backspace",
    "KEY_DELETE": "delete", "KEY_INSERT": "insert", "KEY_CTRL_LEFT": "ctrl-left", "KEY_CTRL_RIGHT": "ctrl-right", "KEY_SHIFT_TAB": "shift-tab",
}  # fmt: skip


class _Silent(blessed.Terminal):
    """Asks the terminal nothing on its own: by itself blessed waits up to 5 s for terminals that do not answer."""

    def __init__(self) -> None:
        super().__init__(_xtgettcap_data=TermcapResponse(supported=False))
        # it looks for mouse events and pastes only where it switched these on itself, after asking whether the terminal can
        self._dec_mode_cache.update(dict.fromkeys((MOUSE, MOUSE_SGR, PASTE), DecModeResponse.SET))

    def detect_term_program(self, timeout: float = 0.0, force: bool = False) -> bool | str:
        return True


class Screen:
    """Use as a context: the terminal is restored on any way out, a crash and SIGTERM included."""

    def __init__(self) -> None:
        self._terminal = _Silent()
        self._drawn: Canvas | None = None
        self._theme: Theme | None = None
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._pressed: tuple[float, int, int] = (0.0, -1, -1)
        self._pasted: list[str] | None = None  # what came so far of a paste in pieces
        self._sequence = ""  # and of a control sequence

    @property
    def size(self) -> tuple[int, int]:
        return self._terminal.width, self._terminal.height

    @property
    def colours(self) -> int:
        """256, 16 or 0 (no-color.org, and dumb terminals)."""
        if os.environ.get("NO_COLOR"):
            return 0
        number = self._terminal.number_of_colors
        return 256 if number >= 256 else 16 if number >= 8 else 0

    def ground_is_light(self) -> bool | None:
        """What the terminal says of its ground (OSC 11); None when it says nothing, or nothing in time."""
        red, green, blue = self._terminal.get_bgcolor(timeout=GROUND_SECONDS, bits=8)
        return None if red < 0 else 0.299 * red + 0.587 * green + 0.114 * blue > 128

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._left) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
        before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: self.wake())
        try:
            with self._terminal.raw():
                self._write(ENTER)
                try:
                    yield
                finally:
                    self._write(LEAVE)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @staticmethod
    def _left(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    def suspend(self) -> None:
        """Gives the terminal back and stops, as a program does on Ctrl-Z; goes on when the shell continues it."""
        descriptor = sys.stdin.fileno()
        ours = termios.tcgetattr(descriptor)
        self._write(LEAVE)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, self._cooked(ours))
        os.kill(0, signal.SIGSTOP)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, ours)
        self._write(ENTER)
        self.forget()

    @staticmethod
    def _cooked(attributes: list[Any]) -> list[Any]:
        changed = list(attributes)
        changed[0] |= termios.ICRNL | termios.IXON
        changed[1] |= termios.OPOST
        changed[3] |= termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN
        return changed

    def wake(self) -> None:
        """Ends a wait for keys; from any thread."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"!")

    # ---- in -----------------------------------------------------------------------------------------------------

    def messages(self, seconds: float) -> Iterator[Message]:
        """What comes within `seconds` from keyboard and mouse: at once when something is there, or after a wake-up."""
        key = self._key()
        if not key and seconds > 0:
            with contextlib.suppress(InterruptedError):
                select.select([self._wake_read, sys.stdin], [], [], seconds)
            key = self._key()
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        for _ in range(MOST_AT_ONCE):
            if not key:
                return
            if (message := self._message(key)) is not None:
                yield message
            key = self._key()

    def _key(self) -> Any:
        """The next key; SystemExit when the terminal is gone."""
        try:
            return self._terminal.inkey(timeout=0, esc_delay=ESCAPE_SECONDS)
        except EOFError:
            raise SystemExit(128 + signal.SIGHUP) from None

    def _message(self, key: Any) -> Message | None:
        text, name = str(key), key.name or ""
        if self._sequence or text == CSI:
            return self._piece(text)
        if self._pasted is not None:
            self._pasted.append(text)
            return None
        if name.startswith("MOUSE"):
            return self._click(key, name)
        if name == "BRACKETED_PASTE":
            return Pasted(key.text)
        if name == "RESIZE_EVENT":
            return Resized(*self.size)
        return pressed(text, name)

    def _piece(self, text: str) -> Pasted | None:
        """The next piece of a control sequence that arrived in pieces. But for the marks of a paste it means nothing here;
        between those, text is text, whatever keys it looks like."""
        self._sequence += text
        if self._sequence == CSI or not "@" <= text[-1:] <= "~":
            return None
        sequence, self._sequence = self._sequence, ""
        if sequence == PASTE_BEGIN:
            self._pasted = []
        elif sequence == PASTE_END and self._pasted is not None:
            whole, self._pasted = "".join(self._pasted), None
            return Pasted(whole)
        return None

    def _click(self, key: Any, name: str) -> Clicked | None:
        y, x = key.mouse_yx
        if "SCROLL" in name or "WHEEL" in name:
            return Clicked("wheel-up" if "UP" in name else "wheel-down", x, y)
        if "RELEASE" in name or "MOTION" in name or "LEFT" not in name:
            return None
        now, before = time.monotonic(), self._pressed
        self._pressed = (now, x, y)
        return Clicked("double" if now - before[0] < DOUBLE_SECONDS and before[1:] == (x, y) else "press", x, y)

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


def pressed(text: str, name: str) -> Pressed | None:
    """A key by the console's names (see keys.py); None for what it does not know."""
    if name in NAMES:
        return Pressed(NAMES[name])
    if text in ("\r", "\n"):
        return Pressed("enter")
    if text in ("\x7f", "\x08"):
        return Pressed("backspace")
    if text == "\t":
        return Pressed("tab")
    if text == " ":
        return Pressed("space")
    if len(text) == 1 and "\x01" <= text <= "\x1a":
        return Pressed(f"ctrl-{chr(ord(text) + 96)}")
    if name.startswith("KEY_F") and name[5:].isdigit():
        return Pressed(f"f{name[5:]}")
    return Pressed(text) if text and text.isprintable() else None


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
