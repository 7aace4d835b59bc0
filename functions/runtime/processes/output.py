"""What processes print, on one stream: whole lines, each with the name of who said it."""

from collections.abc import Callable

LONGEST = 65_536


class Lines:
    """Takes bytes as they come and gives whole lines on, behind `prefix`; a line that never ends is cut."""

    def __init__(self, prefix: str, write: Callable[[str], None]) -> None:
        self._prefix, self._write = prefix, write
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        while len(rest) > LONGEST:
            lines.append(rest[:LONGEST])
            rest = rest[LONGEST:]
        self._rest = rest
        if lines:
            self._write("".join(f"{self._prefix}{line.decode(errors='replace')}\n" for line in lines))

    def end(self) -> None:
        """Nothing comes any more."""
        if self._rest:
            self.feed(b"\n")


def prefixes(names: list[str]) -> dict[str, str]:
    """Names in a column."""
    width = max(map(len, names), default=0)
    return {name: f"{name:<{width}}  " for name in names}
