"""A line that a person types into. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from console.text import clean, width

BREAK = "⏎"  # a line break, where it is shown


@dataclass(frozen=True, slots=True)
class Line:
    """The text and the caret, counted in characters from 0. A text that was not typed may hold line breaks."""

    text: str = ""
    caret: int = 0

    @classmethod
    def of(cls, text: str) -> "Line":
        return cls(text, len(text))

    def insert(self, text: str, *, lines: bool = False) -> "Line":
        """Harmless text at the caret; with `lines` its line breaks stay."""
        text = clean(text, lines=lines)
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
        """The part that fits into `columns` around the caret, and the caret's column in it. Only that part is looked at."""
        start, used = self.caret, 0
        while start > 0 and (step := width(_visible(self.text[start - 1]))) + used <= max(columns - 1, 0):
            start, used = start - 1, used + step
        caret, said = used, _visible(self.text[start : self.caret])
        for character in self.text[self.caret : self.caret + columns]:
            used += width(_visible(character))
            if used > columns:
                break
            said += _visible(character)
        return said, caret


def _visible(text: str) -> str:
    return text if text.isprintable() else clean(text.replace("\n", BREAK))


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
