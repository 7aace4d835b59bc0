"""JSON from files and standard input: one document, a list, or one a line, which may go on and on."""

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from console.payloads import BadArgument, parse_json
from contracts import strict_json
from contracts.errors import MalformedJson

IDLE_SECONDS = 0.2
LINES_AHEAD = 4_000


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is no JSON object, and why."""

    line: int
    why: str


Item = dict[str, Any] | Unreadable | None
"""A document of a stream; None where the next one keeps one waiting."""


@dataclass(frozen=True, slots=True)
class Source:
    """`one` document, or the `stream` of many."""

    one: dict[str, Any] | None
    stream: Iterator[Item]


def read(name: str) -> Source:
    """The documents of `@file`, or of standard input for `-` and `@-`. One JSON value over many lines is read whole: an
    object, a list of them, or {"jobs": [...]}; where each line is an object they come as they are read. Raises BadArgument."""
    where = "standard input" if is_standard_input(name) else name[1:]
    lines = _lines(_opened(name), is_standard_input(name) and not sys.stdin.isatty())
    for _, line in lines:
        if line is None or not line.strip():
            continue
        first = _value(line)
        if not isinstance(first, dict):
            return _whole(parse_json(line + b"".join(text for _, text in lines if text), where), where)
        following = _next_line(lines)  # whether it is one or many stays open until then
        return _whole(first, where) if following is None else Source(None, _stream(first, following, lines))
    raise BadArgument(f"{where} is empty; it must hold JSON")


def read_bytes(name: str) -> bytes:
    """All of `@file`, or of standard input for `-` and `@-`. Raises BadArgument when the file cannot be read."""
    with _opened(name) as stream:
        return stream.read()


def is_standard_input(name: str) -> bool:
    return name in ("-", "@-")


def _opened(name: str) -> BinaryIO:
    if is_standard_input(name):
        if sys.stdin.isatty():
            sys.stderr.write("reading JSON from the terminal; end it with Ctrl-D\n")
        return sys.stdin.buffer
    try:
        return Path(name[1:]).expanduser().open("rb")
    except OSError as error:
        raise BadArgument(f"{name[1:] or name}: {error.strerror or error}") from None


# ---- whole documents --------------------------------------------------------------------------------------------


def _whole(value: Any, where: str) -> Source:
    if isinstance(value, dict) and set(value) == {"jobs"} and isinstance(value["jobs"], list):
        value = value["jobs"]
    found = value if isinstance(value, list) else [value]
    for number, document in enumerate(found, 1):
        if not isinstance(document, dict):
            raise BadArgument(f"{where}: item {number} is no JSON object")
    return Source(found[0], iter(())) if len(found) == 1 else Source(None, iter(found))


# ---- a document a line ------------------------------------------------------------------------------------------

Line = tuple[int, bytes | None]


def _stream(first: dict[str, Any], following: Line, lines: Iterator[Line]) -> Iterator[Item]:
    yield first
    yield _item(following)
    for line in lines:
        if line[1] is None or line[1].strip():
            yield _item(line)


def _item(line: Line) -> Item:
    number, text = line
    if text is None:
        return None
    value = _value(text)
    if isinstance(value, dict):
        return value
    if isinstance(value, MalformedJson):
        return Unreadable(number, value.faults[0].message if value.faults else value.message)
    return Unreadable(number, "is no JSON object")


def _value(text: bytes) -> Any:
    """The value of a JSON text, or what is wrong with it."""
    try:
        return strict_json.loads(text)
    except MalformedJson as error:
        return error


def _next_line(lines: Iterator[Line]) -> Line | None:
    """The next line with something in it, however long it takes; None at the end."""
    return next((line for line in lines if line[1] is not None and line[1].strip()), None)


def _lines(stream: BinaryIO, may_wait: bool) -> Iterator[Line]:
    """Numbered lines; None for a line while a pipe gives nothing for a moment."""
    if not may_wait:
        with stream:
            yield from enumerate(stream, 1)
        return
    waiting: queue.Queue[bytes | None] = queue.Queue(LINES_AHEAD)
    threading.Thread(target=_fill, args=(stream, waiting.put), daemon=True).start()
    number = 0
    while True:
        try:
            line = waiting.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            yield number, None
            continue
        if line is None:
            return
        number += 1
        yield number, line


def _fill(stream: BinaryIO, put: Callable[[bytes | None], None]) -> None:
    try:
        for line in stream:
            put(line)
    finally:
        put(None)
