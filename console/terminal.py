"""The terminal: keys and clicks in, frames out, and everything put back at the end. The only file that imports blessed."""

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator
from typing import Any

import blessed
from blessed._capabilities import TermcapResponse

from console.state import Clicked, Message, Pasted, Pressed, Resized
from console.theme import Theme
from console.widgets.canvas import Canvas

# alternate screen, cursor away, mouse presses in SGR form, bracketed paste; and the same backwards (xterm control sequences)
ENTER = "\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[?7l"
LEAVE = "\x1b[?2026l\x1b[0m\x1b[?7h\x1b[?2004l\x1b[?1006l\x1b[?1000l\x1b[?25h\x1b[?1049l"
BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"  # synchronized output: terminals without it ignore both
ESCAPE_SECONDS = 0.04
DOUBLE_SECONDS = 0.4

NAMES = {
    "KEY_ENTER": "enter", "KEY_ESCAPE": "esc", "KEY_TAB": "tab", "KEY_BTAB": "shift-tab", "KEY_UP": "up", "KEY_DOWN": "down", "KEY_LEFT": "left",
    "KEY_RIGHT": "right", "KEY_PGUP": "pgup", "KEY_PGDOWN": "pgdn", "KEY_HOME": "home", "KEY_END": "end", "KEY_BACKSPACE": "backspace",
    "KEY_DELETE": "delete", "KEY_INSERT": "insert", "KEY_CTRL_LEFT": "ctrl-left", "KEY_CTRL_RIGHT": "ctrl-right", "KEY_SHIFT_TAB": "shift-tab",
}  # fmt: skip


class _Silent(blessed.Terminal):
    """Asks the terminal nothing on its own: by itself blessed waits up to 5 s for terminals that do not answer."""

    def __init__(self) -> None:
        super().__init__(_xtgettcap_data=TermcapResponse(supported=False))

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

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._left) for number in (signal.SIGTERM, signal.SIGHUP)}
        signal.signal(signal.SIGWINCH, lambda *_: self.wake())
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

    def wake(self) -> None:
        """Ends a wait for keys; from any thread."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"!")

    # ---- in -----------------------------------------------------------------------------------------------------

    def messages(self, seconds: float) -> Iterator[Message]:
        """What comes within `seconds` from keyboard and mouse: at once when something is there, or after a wake-up."""
        if not self._terminal.kbhit(timeout=0):
            with contextlib.suppress(InterruptedError):
                select.select([self._wake_read, sys.stdin], [], [], seconds)
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
        for _ in range(200):  # what was typed or pasted at once; then a frame is due
            key = self._terminal.inkey(timeout=0, esc_delay=ESCAPE_SECONDS)
            if not key:
                return
            message = self._message(key)
            if message is not None:
                yield message

    def _message(self, key: Any) -> Message | None:
        name = key.name or ""
        if name.startswith("MOUSE"):
            return self._click(key, name)
        if name == "BRACKETED_PASTE":
            return Pasted(key.text)
        if name == "RESIZE_EVENT":
            return Resized(*self.size)
        return pressed(str(key), name)

    def _click(self, key: Any, name: str) -> Clicked | None:
        import time

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
        self._terminal.clipboard_copy(text)
        sys.stdout.flush()

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
    """A line of the canvas with its colours."""
    parts: list[str] = []
    last = None
    for cell, style in zip(canvas.cells[y], canvas.styles[y], strict=True):
        if style != last:
            parts.append(theme.sequence(style))
            last = style
        parts.append(cell)
    return "".join(parts)
