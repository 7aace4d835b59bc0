"""Time-ordered identifiers (UUID version 7, RFC 9562 section 5.7)."""

import os
import uuid


class UuidSequence:
    """Makes UUIDv7 texts that grow: the time in milliseconds, then a counter in `rand_a` and on, then random bits.

    Within one process each id is greater than the one before, also within a millisecond and when the clock steps back.
    """

    def __init__(self) -> None:
        self._last = 0

    def next(self, micros: int) -> str:
        """An id for the instant `micros` (microseconds since the epoch)."""
        # 48 bits of milliseconds and 12 of the fraction, as RFC 9562 section 6.2 method 3 suggests
        milliseconds, rest = divmod(micros, 1000)
        stamp = max(milliseconds << 12 | rest * 4096 // 1000, self._last + 1)
        self._last = stamp
        random = int.from_bytes(os.urandom(8), "big") & (2**62 - 1)
        value = stamp >> 12 << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID in its canonical lower-case form."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
