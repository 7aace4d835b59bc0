"""text.statistics: what `wc` says, and a little more."""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Any

from functions.processor.tasks.context import TaskContext
from functions.processor.tasks.reading import chunks, open_allowed
from functions.processor.tasks.registry import task

# What separates words for GNU wc in a UTF-8 locale: the spaces of the C library, and those that do not break a line
_SPACES = " \t\n\v\f\r\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u2060\u3000"
_WORD = re.compile(f"[^{_SPACES}]+")
_SPACE_AT = re.compile(f"[{_SPACES}]")


@task("text.statistics", schema="text-statistics.v1.json", timeout_seconds=60)
def text_statistics(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """Counts lines, words, characters and bytes of a text, as wc does."""
    if "text" in payload:
        return count([payload["text"].encode()])
    with open_allowed(payload["path"]) as file:
        return count(chunks(file, context))


def count(pieces: Iterable[bytes]) -> dict[str, int]:
    """Lines (newlines), words (runs of what is no space), characters (of UTF-8; bytes that are none do not count),
    bytes, and the characters of the longest line."""
    tally = _Tally()
    for piece, text in _decoded(pieces):
        tally.add(piece, text)
    return tally.result()


def _decoded(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, str]]:
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    for piece in pieces:
        yield piece, decoder.decode(piece)
    yield b"", decoder.decode(b"", final=True)


class _Tally:
    def __init__(self) -> None:
        self.lines = self.words = self.characters = self.bytes = self.longest = 0
        self._line = 0  # characters of the line that goes on in the next piece
        self._in_word = False

    def add(self, piece: bytes, text: str) -> None:
        self.bytes += len(piece)
        if not text:
            return
        self.characters += len(text)
        self.lines += text.count("\n")
        self.words += len(text.split()) if text.isascii() and not _ODD.search(text) else len(_WORD.findall(text))
        starts_in_word = not _SPACE_AT.match(text[0])
        self.words -= self._in_word and starts_in_word
        self._in_word = not _SPACE_AT.match(text[-1])
        self._measure(text)

    def _measure(self, text: str) -> None:
        first, *others = text.split("\n")
        self._line += len(first)
        self.longest = max(self.longest, self._line)
        if others:
            self._line = len(others[-1])
            self.longest = max(self.longest, *map(len, others))

    def result(self) -> dict[str, int]:
        return {"lines": self.lines, "words": self.words, "characters": self.characters, "bytes": self.bytes, "longest_line": self.longest}


_ODD = re.compile("[\x1c-\x1f]")  # spaces for str.split, but not for wc
