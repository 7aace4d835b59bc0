"""`make captures`: the main screens as pictures (SVG), of the real program in a pseudo-terminal against the real system.

The system gets a folder and a port of its own and the gentle load of `make demo-life`; nothing else is touched.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.support.system import ROOT, System, running_system
from tests.support.terminal import Terminal, terminal
from tests.support.waiting import free_port, wait_until

FOLDER = ROOT / "console" / "captures"
CONSOLE = [sys.executable, "-m", "console"]
COLUMNS, LINES = 120, 34
LOAD_SECONDS = 45.0
CELL, LINE, MARGIN = 8.43, 16.4, 10
BRAILLE = 0x2800
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))  # column and line of each bit (Unicode 16.0, chapter 21.1)
GROUNDS = {"dark": ("#101418", "#c8ccd0"), "light": ("#fdfdfd", "#20242a")}
NAMED = {"black": "000000", "red": "cc3333", "green": "33aa33", "brown": "aa8800", "blue": "4444dd", "magenta": "aa44aa", "cyan": "22aaaa", "white": "cccccc"}


# ---- a picture of a screen --------------------------------------------------------------------------------------


def svg(screen: Any, ground: str) -> str:
    """What a terminal model shows, as SVG: a rectangle where a cell has a ground of its own, and runs of text."""
    back, ink = GROUNDS[ground]
    width, height = screen.columns * CELL + 2 * MARGIN, screen.lines * LINE + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">',
        f'<rect width="100%" height="100%" rx="6" fill="{back}"/>',
        f'<g font-family="DejaVu Sans Mono,ui-monospace,SFMono-Regular,Menlo,monospace" font-size="14" fill="{ink}" xml:space="preserve">',
    ]
    for y in range(screen.lines):
        parts += _line([screen.buffer[y][x] for x in range(screen.columns)], y, back, ink)
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _line(cells: list[Any], y: int, back: str, ink: str) -> Iterator[str]:
    x, top = 0, MARGIN + y * LINE
    for (front, behind, bold), run in groupby(cells, lambda cell: (*_colours(cell, back, ink), cell.bold)):
        text = "".join(cell.data for cell in run)
        columns = len(text)
        left = MARGIN + x * CELL
        if behind != back:
            yield f'<rect x="{left:.1f}" y="{top:.1f}" width="{columns * CELL:.1f}" height="{LINE}" fill="{behind}"/>'
        style = (f' fill="{front}"' if front != ink else "") + (' font-weight="bold"' if bold else "")
        if dots := _dots(text, left, top):
            yield f'<path d="{dots}"{style}/>'
            text = "".join(" " if _is_braille(character) else character for character in text)
        for word in re.finditer(r"\S+(?: \S+)*", text):  # each where it belongs, whatever the font's width
            at, room = left + word.start() * CELL, len(word[0]) * CELL
            yield f'<text x="{at:.1f}" y="{top + 13:.1f}" textLength="{room:.1f}" lengthAdjust="spacingAndGlyphs"{style}>{escape(word[0])}</text>'
        x += columns


def _is_braille(character: str) -> bool:
    return BRAILLE <= ord(character) <= BRAILLE + 255


def _dots(text: str, left: float, top: float) -> str:
    """Braille as a path of small squares, for many fonts have none."""
    squares = []
    for column, character in enumerate(text):
        for bit, (dx, dy) in enumerate(DOTS) if _is_braille(character) else ():
            if (ord(character) - BRAILLE) >> bit & 1:
                squares.append(f"M{left + column * CELL + 1.6 + dx * 4:.1f} {top + 2.2 + dy * 4:.1f}h1.7v1.7h-1.7z")
    return "".join(squares)


def _colours(cell: Any, back: str, ink: str) -> tuple[str, str]:
    front, behind = _colour(cell.fg, ink), _colour(cell.bg, back)
    return (behind, front) if cell.reverse else (front, behind)


def _colour(name: str, default: str) -> str:
    return default if name == "default" else f"#{NAMED.get(name, name)}"


# ---- the story --------------------------------------------------------------------------------------------------


@contextmanager
def living(folder: Path) -> Iterator[System]:
    """A system in which everything has happened."""
    with running_system(folder / "data", OBSERVATORY_PORT=str(free_port()), OBSERVATORY_INSTANCE="laptop") as system:
        command = [sys.executable, "-m", "console", "demo-life", "--url", system.url, "--speed", "2"]
        load = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(LOAD_SECONDS)
        yield system
        load.terminate()
        load.wait(60)


def found(system: System, query: str) -> Any:
    return wait_until(lambda: system.request("GET", f"/v1/jobs?q={query}&limit=1").json()["items"], 60)[0]


def captured(system: System, folder: Path, ground: str, story: Callable[[Terminal, System], Iterator[str]]) -> None:
    """Goes through a story, and keeps each screen that it stops at under the name that it gives."""
    with terminal(
        [*CONSOLE, "--theme", ground], COLUMNS, LINES, OBSERVATORY_URL=system.url, OBSERVATORY_NAME="production", OBSERVATORY_COLOUR="green",
        OBSERVATORY_DATA="/var/lib/observatory", XDG_CONFIG_HOME=str(folder),
    ) as screen:  # fmt: skip
        screen.until("live")
        for name in story(screen, system):
            settle(screen, 0.8)  # the rest of the frame, and what the last key still changes
            (FOLDER / f"{name}.svg").write_text(svg(screen.screen, ground), "utf-8")
            print(f"{name}.svg")


def main_screens(screen: Terminal, system: System) -> Iterator[str]:
    settle(screen, 4.0)
    yield "dashboard"
    screen.press("2")
    screen.until(lambda: "Jobs" in screen.text.split("\n")[1] and "succeeded" in screen.text)
    screen.press("/", "state:failed t")
    screen.until("/state:failed t")
    yield "jobs"
    screen.press("esc", ":", f"job {found(system, 'tag:retries%20state:succeeded')['id']}", "enter")
    screen.until("attempts")
    yield "job"
    screen.press(":", f"job {found(system, 'tag:chain')['id']}", "enter")
    screen.until("story")
    screen.press("tab", "tab", "tab")
    screen.until("waits for")
    yield "relatives"
    screen.press("4")
    screen.until("demo-unheard")
    screen.press("e")
    screen.until("Attributes")
    screen.press("down", "down", "backspace", "0")
    screen.until("must be 1 or more")
    yield "dead-letter"
    screen.press("esc", ":", "new csv.summary", "enter")
    screen.until("path *")
    screen.press("tests/data.csv", "down", "; ", "down", "+", "+")
    screen.until("2 items")
    yield "new-task"


def light_screens(screen: Terminal, system: System) -> Iterator[str]:
    settle(screen, 3.0)
    yield "dashboard-light"


def launcher_screen(screen: Terminal, system: System) -> Iterator[str]:
    screen.press(":", f"ctx http://127.0.0.1:{free_port()}", "enter")
    screen.until("start the embedded system")
    yield "launcher"


def settle(screen: Terminal, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        screen.pump(0.05)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, living(Path(name)) as system:
        captured(system, Path(name), "dark", main_screens)
        captured(system, Path(name), "light", light_screens)
        captured(system, Path(name), "dark", launcher_screen)


if __name__ == "__main__":
    main()
