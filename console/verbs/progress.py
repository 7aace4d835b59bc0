"""A line of progress on a terminal; nothing elsewhere."""

import sys

from console.text import count


class Bar:
    """Called with what is looked at, how much of it is done, and how much there is; `end` takes the line away."""

    def __init__(self) -> None:
        self._on, self._last = sys.stderr.isatty(), ("", -1)

    def __call__(self, what: str, done: int, total: int) -> None:
        percent = done * 100 // max(total, 1)
        if self._on and (what, percent) != self._last:
            self._last = what, percent
            sys.stderr.write(f"\r{what}: {count(done)} of {count(total)} ({percent} %)\x1b[K")
            sys.stderr.flush()

    def end(self) -> None:
        if self._on and self._last[0]:
            sys.stderr.write("\r\x1b[K")
