"""A line that a person types into. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from console.text import clean, width


@dataclass(frozen=True, slots=True)
class Line:
    """The text and the caret, counted in characters from 0."""

    text: str = ""
    caret: int = 0

    @classmethod
    def of(cls, text: str) -> "Line":
        return cls(text, len(text))

    def insert(self, text: str) -> "Line":
        text = clean(text)
        return Line(self.text[: self.caret] + text + self.text[self.caret :], self.caret + len(text))

    def press(self, key: str) -> "Line | None":
        """The line after an editing key; None for a key that edits nothing."""
        if len(key) == 1 and key.isprintable():
            return self.insert(key)
        if key == "space":
            return self.insert(" ")
        edit = _EDITS.get(key)
        return edit(self) if edit else None

    def shown(self, columns: int) -> tuple[str, int]:
        """The part that fits into `columns` around the caret, and the caret's column in it."""
        start = 0
        while width(self.text[start : self.caret]) > max(columns - 1, 0):
            start += 1
        text = self.text[start:]
        while width(text) > columns:
            text = text[:-1]
        return text, width(self.text[start : self.caret])


def _word_left(line: Line) -> int:
    head = line.text[: line.caret].rstrip()
    return len(head) - len(head.split(" ")[-1]) if head else 0


def _word_right(line: Line) -> int:
    tail = line.text[line.caret :]
    gap = len(tail) - len(tail.lstrip())
    return line.caret + gap + len(tail.lstrip().split(" ")[0])


_EDITS: dict[str, Callable[[Line], Line]] = {
    "left": lambda s: replace(s, caret=max(s.caret - 1, 0)),
    "right": lambda s: replace(s, caret=min(s.caret + 1, len(s.text))),
    "home": lambda s: replace(s, caret=0),
    "end": lambda s: replace(s, caret=len(s.text)),
    "ctrl-a": lambda s: replace(s, caret=0),
    "ctrl-e": lambda s: replace(s, caret=len(s.text)),
    "ctrl-left": lambda s: replace(s, caret=_word_left(s)),
    "ctrl-right": lambda s: replace(s, caret=_word_right(s)),
    "backspace": lambda s: Line(s.text[: max(s.caret - 1, 0)] + s.text[s.caret :], max(s.caret - 1, 0)),
    "delete": lambda s: Line(s.text[: s.caret] + s.text[s.caret + 1 :], s.caret),
    "ctrl-w": lambda s: Line(s.text[: _word_left(s)] + s.text[s.caret :], _word_left(s)),
    "ctrl-u": lambda s: Line(s.text[s.caret :], 0),
    "ctrl-k": lambda s: Line(s.text[: s.caret], s.caret),
}
