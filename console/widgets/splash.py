"""A planet with its moon, in dots: what is drawn while one waits. Pure."""

from math import cos, pi, sin

BRAILLE = 0x2800
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by line and column of a cell
STARS = ((0.07, 0.18), (0.19, 0.8), (0.3, 0.1), (0.72, 0.9), (0.86, 0.14), (0.94, 0.66), (0.61, 0.06), (0.03, 0.6))
TURN_SECONDS = 3.0  # of the moon around the planet
TWINKLE_SECONDS = 0.7


def splash(columns: int, lines: int, seconds: float, *, ascii_only: bool = False) -> list[str]:
    """`lines` of `columns` cells, as they are after so many seconds."""
    width, height = (columns, lines * 2) if ascii_only else (columns * 2, lines * 4)
    dots = _Dots(width, height)
    x, y, radius = width / 2, height / 2, height * 0.3
    angle = 2 * pi * seconds / TURN_SECONDS
    reach = min(width * 0.42, height * 1.15)
    for index, (right, down) in enumerate(STARS):
        if int(seconds / TWINKLE_SECONDS + index) % 4:
            dots.put(width * right, height * down)
    for step in range(64):
        turn = 2 * pi * step / 64
        if step % 2 == 0 and (sin(turn) > 0 or abs(cos(turn)) * reach > radius):  # the far side is behind the planet
            dots.put(x + reach * cos(turn), y + radius * 0.55 * sin(turn))
    dots.disc(x, y, radius, shade=True)
    if sin(angle) > 0 or abs(cos(angle)) * reach > radius:
        dots.disc(x + reach * cos(angle), y + radius * 0.55 * sin(angle), max(height * 0.07, 0.8))
    return dots.ascii() if ascii_only else dots.braille()


class _Dots:
    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.on: set[tuple[int, int]] = set()

    def put(self, x: float, y: float) -> None:
        if 0 <= x < self.width and 0 <= y < self.height:
            self.on.add((int(x), int(y)))

    def disc(self, x: float, y: float, radius: float, *, shade: bool = False) -> None:
        """A filled circle; `shade` thins out its lower right side."""
        for dx in range(-int(radius) - 1, int(radius) + 2):
            for dy in range(-int(radius) - 1, int(radius) + 2):
                if dx * dx + dy * dy > radius * radius:
                    continue
                if shade and dx + dy > radius * 0.35 and (int(x + dx) + int(y + dy)) % 2:
                    self.on.discard((int(x + dx), int(y + dy)))
                else:
                    self.put(x + dx, y + dy)

    def braille(self) -> list[str]:
        return ["".join(self._cell(column, line) for column in range(self.width // 2)) for line in range(self.height // 4)]

    def _cell(self, column: int, line: int) -> str:
        dots = sum(DOTS[dy][dx] for dy in range(4) for dx in range(2) if (column * 2 + dx, line * 4 + dy) in self.on)
        return chr(BRAILLE + dots) if dots else " "

    def ascii(self) -> list[str]:
        marks = {(False, False): " ", (True, False): "'", (False, True): ".", (True, True): "@"}
        return ["".join(marks[(x, 2 * y) in self.on, (x, 2 * y + 1) in self.on] for x in range(self.width)) for y in range(self.height // 2)]
