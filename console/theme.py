"""What the names of styles look like: dark and light, in 256 colours, in 16, and in none. Pure.

A style is a name, and perhaps a ground behind it: `bad`, `bad@cursor`. Screens know only the names.
"""

from dataclasses import dataclass
from functools import cache

NAMES = (
    "", "title", "dim", "faint", "accent", "ok", "warn", "bad", "info", "active", "special", "border", "key", "heading", "brand", "input", "caret",
)  # fmt: skip
WHOLE = ("cursor", "mark")  # grounds of whole lines: among 16 colours hardly one can be read on them, so they take the ink, too

# (256 colours dark, light, 16 colours, attributes without colour)
_INK: dict[str, tuple[int | None, int | None, str, str]] = {
    "": (None, None, "", ""),
    "title": (255, 232, "1", "1"),
    "heading": (117, 25, "1;36", "1"),
    "dim": (248, 240, "", "2"),
    "faint": (243, 246, "2", "2"),
    "accent": (81, 25, "36", ""),
    "ok": (114, 28, "32", ""),
    "warn": (221, 130, "33", "1"),
    "bad": (210, 160, "31", "1"),
    "info": (111, 26, "34", ""),
    "active": (87, 31, "36", ""),
    "special": (183, 91, "35", ""),
    "border": (240, 250, "2", "2"),
    "key": (221, 130, "1;33", "1"),
    "brand": (255, 255, "1;37", "1"),
    "input": (255, 232, "1", "1"),
    "caret": (None, None, "7", "7"),
}
_BOLD = frozenset({"title", "heading", "key", "brand"})
_GROUND: dict[str, tuple[int, int, str, str]] = {
    "cursor": (237, 253, "7", "7"),
    "mark": (23, 194, "30;46", "4"),
    "field": (238, 253, "4", "4"),
    "bar": (236, 254, "", ""),
    "panel": (235, 255, "", ""),
}
# what the environment's colour (OBSERVATORY_COLOUR) may be: its name, 256 colours, 16 colours
BRAND_COLOURS = {
    "blue": (25, "44"), "green": (28, "42"), "red": (124, "41"), "yellow": (136, "43"), "magenta": (90, "45"), "cyan": (30, "46"), "grey": (240, "40"),
}  # fmt: skip
STATE_STYLES = {
    "waiting": "dim", "scheduled": "info", "queued": "info", "running": "active", "retrying": "warn",
    "succeeded": "ok", "failed": "bad", "cancelled": "special",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Theme:
    """`depth` is 256, 16 or 0 (no colours: bold, underline and reverse remain); `light` is for a light ground."""

    depth: int = 256
    light: bool = False
    brand: str = "blue"

    def sequence(self, style: str) -> str:
        """The whole SGR sequence of a style, which begins by forgetting the one before (ECMA-48, 8.3.117)."""
        return _sequence(self, style)


@cache
def _sequence(theme: Theme, style: str) -> str:
    name, _, ground = style.partition("@")
    ink = [] if 0 < theme.depth < 256 and ground in WHOLE else _ink_codes(theme, name)
    codes = ["0", *ink, *_ground_codes(theme, ground)]
    if name == "brand":
        codes += _brand_codes(theme)
    return f"\x1b[{';'.join(code for code in codes if code)}m"


def _ink_codes(theme: Theme, name: str) -> list[str]:
    dark, light, sixteen, plain = _INK.get(name, _INK[""])
    if theme.depth == 0:
        return [plain]
    if theme.depth < 256:
        return [sixteen]
    colour = light if theme.light else dark
    codes = ["1"] if name in _BOLD else ["7"] if name == "caret" else []
    return codes + ([f"38;5;{colour}"] if colour is not None else [])


def _ground_codes(theme: Theme, ground: str) -> list[str]:
    if ground not in _GROUND:
        return []
    dark, light, sixteen, plain = _GROUND[ground]
    if theme.depth == 0:
        return [plain]
    if theme.depth < 256:
        return [sixteen]
    return [f"48;5;{light if theme.light else dark}"]


def _brand_codes(theme: Theme) -> list[str]:
    many, few = BRAND_COLOURS.get(theme.brand, BRAND_COLOURS["blue"])
    if theme.depth == 0:
        return ["7"]
    return [f"48;5;{many}"] if theme.depth >= 256 else [few]
