"""Keys, clicks and pastes, as the terminal sends them. The only file that imports blessed."""

import signal
import time
from collections.abc import Iterator
from typing import Any

import blessed
from blessed._capabilities import TermcapResponse
from blessed.dec_modes import DecModeResponse

from console.messages import Clicked, Message, Pasted, Pressed

MOUSE, MOUSE_SGR, PASTE = 1000, 1006, 2004
ESCAPE, CSI = "\x1b", "\x1b["
PASTE_BEGIN, PASTE_END = "\x1b[200~", "\x1b[201~"  # of a paste that arrives in pieces
ESCAPE_SECONDS = 0.04
DOUBLE_SECONDS = 0.4
GROUND_SECONDS = 0.2  # how long a terminal may take to say what its ground is
MOST_AT_ONCE = 200  # keys between two frames

NAMES = {
    "KEY_ENTER": "enter", "KEY_ESCAPE": "esc", "KEY_TAB": "tab", "KEY_BTAB": "shift-tab", "KEY_UP": "up", "KEY_DOWN": "down", "KEY_LEFT": "left",
    "KEY_RIGHT": "right", "KEY_PGUP": "pgup", "KEY_PGDOWN": "pgdn", "KEY_HOME": "home", "KEY_END": "end", "KEY_BACKSPACE": "backspace",
    "KEY_DELETE": "delete", "KEY_INSERT": "insert", "KEY_CTRL_LEFT": "ctrl-left", "KEY_CTRL_RIGHT": "ctrl-right", "KEY_SHIFT_TAB": "shift-tab",
}  # fmt: skip
ALONE = {"\x1b": "esc", "\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\t": "tab", " ": "space"}


class _Silent(blessed.Terminal):
    """Asks the terminal nothing on its own: by itself blessed waits up to 5 s for terminals that do not answer."""

    def __init__(self) -> None:
        super().__init__(_xtgettcap_data=TermcapResponse(supported=False))
        # it looks for mouse events and pastes only where it switched these on itself, after asking whether the terminal can
        self._dec_mode_cache.update(dict.fromkeys((MOUSE, MOUSE_SGR, PASTE), DecModeResponse.SET))

    def detect_term_program(self, timeout: float = 0.0, force: bool = False) -> bool | str:
        return True


class _Plain(str):
    """A character as blessed gives keys."""

    name = None


class Keyboard:
    def __init__(self) -> None:
        self._terminal = _Silent()
        self._pressed: tuple[float, int, int] = (0.0, -1, -1)
        self._pasted: list[str] | None = None  # what came so far of a paste in pieces
        self._sequence = ""  # and of a control sequence

    def ground_is_light(self) -> bool | None:
        """What the terminal says of its ground (OSC 11); None when it says nothing, or nothing in time."""
        red, green, blue = self._terminal.get_bgcolor(timeout=GROUND_SECONDS, bits=8)
        return None if red < 0 else 0.299 * red + 0.587 * green + 0.114 * blue > 128

    def messages(self) -> Iterator[Message]:
        """What was pressed, clicked or pasted up to now. Raises SystemExit when the terminal is gone."""
        for _ in range(MOST_AT_ONCE):
            key = self._key()
            if not key:
                return
            text = str(key)
            if len(text) == 2 and text[0] == ESCAPE and text != CSI and self._pasted is None:  # escape, and a key soon after it
                yield Pressed("esc")
                key = _Plain(text[1])
            if (message := self._message(key)) is not None:
                yield message

    def _key(self) -> Any:
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


def pressed(text: str, name: str) -> Pressed | None:
    """A key by the console's names (see keys.py); None for what it does not know."""
    known = NAMES.get(name) or ALONE.get(text)
    if known is not None:
        return Pressed(known)
    if len(text) == 1 and "\x01" <= text <= "\x1a":
        return Pressed(f"ctrl-{chr(ord(text) + 96)}")
    if name.startswith("KEY_F") and name[5:].isdigit():
        return Pressed(f"f{name[5:]}")
    return Pressed(text) if text and text.isprintable() else None
