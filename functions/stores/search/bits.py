"""Sets of jobs as integers: bit n of a block's set stands for job number `block * 4096 + n`.

A million jobs are 245 blocks; `&`, `|` and `~` of two blocks' sets take well under a microsecond, so that any combination of
terms costs about the same, whether few jobs fit or many. Kept as 512 bytes, which is read fastest, or of words, of which there
are many, as two bytes a job while that is shorter.
(After D. Lemire et al., "Consistently faster and smaller compressed bitmaps with Roaring", 2016; for comparisons P. O'Neil
and D. Quass, "Improved query performance with variant indexes", 1997.)
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

BLOCK = 4_096
WIDE = BLOCK // 8
FEW_BYTES = 256  # two bytes a job
EVERY = (1 << BLOCK) - 1


def wide(bits: int) -> bytes:
    """The bytes of a set, as many for each."""
    return bits.to_bytes(WIDE, "little")


def set_of(offsets: Iterable[int]) -> int:
    """The set of these offsets."""
    wide = bytearray(WIDE)
    for offset in offsets:
        wide[offset >> 3] |= 1 << (offset & 7)
    return int.from_bytes(wide, "little")


def pack(offsets: Sequence[int]) -> bytes:
    """The bytes of the set of these offsets."""
    return array("H", offsets).tobytes() if len(offsets) * 2 <= FEW_BYTES else wide(set_of(offsets))


def decode(data: bytes) -> int:
    """The set of what `wide`, `pack` or `merge` gave; empty bytes are the empty set."""
    if len(data) == WIDE:
        return int.from_bytes(data, "little")
    if len(data) == 2:
        return 1 << (data[0] | data[1] << 8)
    return set_of(array("H", data))


def merge(one: bytes, other: bytes) -> bytes:
    """The bytes of both sets together. Short ones are put side by side: a job that stands there twice does no harm."""
    if len(one) + len(other) <= FEW_BYTES:
        return one + other
    return wide(decode(one) | decode(other))


def offsets_down(bits: int) -> Iterator[int]:
    """The offsets of a set, the greatest first."""
    while bits:
        offset = bits.bit_length() - 1
        yield offset
        bits ^= 1 << offset


def below(number: int, block: int) -> int:
    """Of a block, the jobs with numbers below this one."""
    left = number - block * BLOCK
    return EVERY if left >= BLOCK else (1 << left) - 1 if left > 0 else 0


@dataclass(slots=True)
class Slices:
    """Whole numbers of the jobs of a block: slice i holds the jobs whose number has bit i; `known` those that have one."""

    known: int = 0
    slices: dict[int, int] = field(default_factory=dict)

    def put(self, changed: int, values: Mapping[int, int]) -> None:
        """Forgets the numbers of the changed jobs, then takes these (offset -> number)."""
        self.known &= ~changed
        for index in self.slices:
            self.slices[index] &= ~changed
        for offset, value in values.items():
            bit = 1 << offset
            self.known |= bit
            for index in offsets_down(value):
                self.slices[index] = self.slices.get(index, 0) | bit

    def encode(self) -> bytes:
        """One byte a slice with its index, then `known` and the slices."""
        held = sorted(index for index, bits in self.slices.items() if bits)
        parts = [bytes([len(held), *held]), wide(self.known)]
        return b"".join([*parts, *(wide(self.slices[index]) for index in held)])

    @classmethod
    def decode(cls, data: bytes) -> "Slices":
        held = data[1 : 1 + data[0]]
        start = 1 + len(held)
        sets = [int.from_bytes(data[at : at + WIDE], "little") for at in range(start, len(data), WIDE)]
        return cls(sets[0], dict(zip(held, sets[1:], strict=True)))


class Compared:
    """The same numbers as they are kept, to compare with: a slice is read only when it decides."""

    def __init__(self, data: bytes) -> None:
        self._data, count = data, data[0]
        self._places = {index: 1 + count + WIDE * place for place, index in enumerate(data[1 : 1 + count], 1)}
        self._known = int.from_bytes(data[1 + count : 1 + count + WIDE], "little")

    def compare(self, operator: str, value: int, among: int) -> int:
        """Of some jobs, those whose number compares so with `value`; those without a number never do."""
        known = self._known & among
        greater, equal = 0, known
        for index in range(max([value.bit_length() - 1, *self._places]), -1, -1):
            here = self._slice(index)
            if value >> index & 1:
                equal &= here
            else:
                greater |= equal & here
                equal &= ~here
            if not equal:
                break
        if operator == "=":
            return equal
        if operator[0] == ">":
            return greater | equal if operator == ">=" else greater
        less = known & ~(greater | equal)
        return less | equal if operator == "<=" else less

    def _slice(self, index: int) -> int:
        place = self._places.get(index)
        return int.from_bytes(self._data[place : place + WIDE], "little") if place is not None else 0
