"""`make bench-console`: what the terminal console costs, the real program in a pseudo-terminal against the real system.

Processor time is read from /proc, so that a busy machine does not count; what waits for the clock (first frame, keys) does
count whoever else is busy, so the load of the machine is told beside it.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from console.api.sync_client import Client
from console.messages import Received, Ticked
from console.render import render
from console.state import State
from console.terminal import line_sequence
from console.theme import Theme
from console.update import update, wants
from tests.bench.processes import processor_time
from tests.console.scenes import NOW, WALL, job, scene
from tests.support.system import System, running_system
from tests.support.terminal import Terminal, terminal

CONSOLE = [sys.executable, "-m", "console"]
SIZES = ((80, 24), (120, 40), (200, 60))
STATES = ("succeeded", "failed", "queued", "running")
END = b"\x1b[?2026l"
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure, its unit and the most that it may be."""

    name: str
    unit: str
    most: float


GOALS = (
    Goal("frame at 80x24, 10,000 jobs behind it", "ms of processor", 10), Goal("frame at 120x40, 10,000 jobs behind it", "ms of processor", 10),
    Goal("frame at 200x60, 10,000 jobs behind it", "ms of processor", 10), Goal("first frame", "ms", 300),
    Goal("at rest, dashboard", "% of a core", 3), Goal("at rest, written to the terminal where no age is shown", "bytes in 5 s", 0),
    Goal("key, at rest, p99", "ms", 50), Goal("key, 500 events a second, p99", "ms", 50), Goal("key, server that hangs, p99", "ms", 50),
    Goal("500 events a second, dashboard", "% of a core", 100),
)  # fmt: skip


# ---- frames, in this process ------------------------------------------------------------------------------------


def frames(number: int = 100) -> Figures:
    """Milliseconds of a whole frame, from the tick to the bytes, with 10,000 jobs in one list: the worst of three screens."""
    jobs = [job(index, STATES[index % 4]) for index in range(10_000)]
    found: Figures = {}
    for columns, lines in SIZES:
        taken = [_frame(_filled(screen, jobs, columns, lines), number) for screen in ("dashboard", "jobs", "dead-letters")]
        found[f"frame at {columns}x{lines}, 10,000 jobs behind it"] = max(taken)
    return found


def _filled(screen: str, jobs: list[dict[str, Any]], columns: int, lines: int) -> State:
    state = scene(screen, columns, lines, tab=1) if screen == "dead-letters" else scene(screen, columns, lines)
    return update(state, Received(wants(state)[0], {"items": jobs, "next_cursor": "x"}, NOW))[0].change(sort="type")


def _frame(state: State, number: int) -> float:
    begun = time.process_time()
    for second in range(number):
        state, _ = update(state, Ticked(NOW + second, WALL + second))
        canvas = render(state)
        "".join(line_sequence(canvas, y, Theme(256)) for y in range(canvas.lines))
    return (time.process_time() - begun) / number * 1_000


# ---- the program ------------------------------------------------------------------------------------------------


@contextmanager
def opened(url: str, folder: Path, columns: int = 120, lines: int = 40) -> Iterator[Terminal]:
    with terminal(CONSOLE, columns, lines, OBSERVATORY_URL=url, XDG_CONFIG_HOME=str(folder)) as screen:
        screen.until("live")
        yield screen


def first_frame(url: str, folder: Path, times: int) -> Figures:
    """From the start of the program to its first whole frame; the median."""
    taken = []
    for _ in range(times):
        with terminal(CONSOLE, 120, 40, OBSERVATORY_URL=url, XDG_CONFIG_HOME=str(folder)) as screen:
            screen.until(partial(_is_answered, screen, 0, END))
            taken.append((time.monotonic() - screen.started_at) * 1_000)
    return {"first frame": statistics.median(taken), "first frame, best": min(taken)}


def at_rest(url: str, folder: Path, seconds: float) -> Figures:
    with opened(url, folder) as screen:
        _settled(screen)
        share = _share(screen, seconds)
        screen.press("7")
        screen.until("Contracts ")
        _settled(screen)
        before = len(screen.sent)
        _pumped(screen, 5.0)
        return {"at rest, dashboard": share, "at rest, written to the terminal where no age is shown": len(screen.sent) - before}


def _settled(screen: Terminal) -> None:
    _pumped(screen, 3.0)


def _pumped(screen: Terminal, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        screen.pump(min(left, 0.05))


def _share(screen: Terminal, seconds: float) -> float:
    """Percent of a core that the console took meanwhile."""
    before, begun = processor_time(screen.pid).total, time.monotonic()
    _pumped(screen, seconds)
    return (processor_time(screen.pid).total - before) / (time.monotonic() - begun) * 100


def keys(screen: Terminal, times: int) -> Figures:
    """From a key to the frame that shows what it did: the help, opened and closed."""
    taken = []
    for _ in range(times):
        for key, words in (("?", b"Everywhere"), ("x", END)):
            _pumped(screen, 0.05)
            before, begun = len(screen.sent), time.monotonic()
            screen.press(key)
            screen.until(partial(_is_answered, screen, before, words))
            taken.append((time.monotonic() - begun) * 1_000)
    taken.sort()
    return {"p50": statistics.median(taken), "p99": taken[min(int(len(taken) * 0.99), len(taken) - 1)]}


def _is_answered(screen: Terminal, before: int, words: bytes) -> bool:
    return words in screen.sent[before:] and screen.sent.endswith(END)


def under_events(system: System, folder: Path, seconds: float, times: int) -> Figures:
    """125 jobs a second are four events each."""
    stop = threading.Event()
    load = threading.Thread(target=_load, args=(system.url, stop), daemon=True)
    with opened(system.url, folder) as screen:
        load.start()
        _settled(screen)
        before = int(system.request("GET", "/v1/stats").json()["head"])
        begun = time.monotonic()
        share = _share(screen, seconds)
        events = (int(system.request("GET", "/v1/stats").json()["head"]) - before) / (time.monotonic() - begun)
        found = keys(screen, times)
        stop.set()
        load.join()
    return {"events a second": events, "500 events a second, dashboard": share, **{f"key, 500 events a second, {name}": ms for name, ms in found.items()}}


def _load(url: str, stop: threading.Event) -> None:
    with Client(url) as client:
        due = time.monotonic()
        while not stop.is_set():
            client.submit_many([{"type": "demo.noop", "payload": {}}] * 25)
            due += 0.2
            time.sleep(max(due - time.monotonic(), 0.0))


def hanging(system: System, folder: Path, times: int) -> Figures:
    assert system.process is not None
    with opened(system.url, folder) as screen:
        os.killpg(system.process.pid, signal.SIGSTOP)
        try:
            screen.until("STALE")
            return {f"key, server that hangs, {name}": ms for name, ms in keys(screen, times).items()}
        finally:
            os.killpg(system.process.pid, signal.SIGCONT)


def filled(url: str, number: int) -> None:
    with Client(url) as client:
        for _ in range(number // 500):
            client.submit_many([{"type": "demo.noop", "payload": {}}] * 500)


def measured(folder: Path, chosen: argparse.Namespace, say: Callable[[str], None]) -> Figures:
    say("frames")
    found = frames()
    with running_system(folder / "data") as system:
        say("10,000 jobs into a store")
        filled(system.url, 10_000)
        _drained(system)
        say("first frame")
        found |= first_frame(system.url, folder, chosen.starts)
        say("at rest")
        found |= at_rest(system.url, folder, chosen.seconds)
        with opened(system.url, folder) as screen:
            found |= {f"key, at rest, {name}": ms for name, ms in keys(screen, chosen.keys).items()}
        say("500 events a second")
        found |= under_events(system, folder, chosen.seconds, chosen.keys)
        say("a server that hangs")
        found |= hanging(system, folder, chosen.keys)
    return found


def _drained(system: System) -> None:
    while any(system.request("GET", "/v1/stats").json()["states"][state] for state in ("queued", "running")):
        time.sleep(0.2)


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make bench-console", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the cost at rest and under load is measured (20)")
    parser.add_argument("--keys", type=int, default=50, help="how often a key is pressed, twice (50)")
    parser.add_argument("--starts", type=int, default=9, help="how often the program is started (9)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also writes the figures there")
    chosen = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), chosen, lambda words: print(f"... {words}", file=sys.stderr, flush=True))
    found["load of the machine"] = os.getloadavg()[0]
    goals = {goal.name: goal for goal in GOALS}
    for name, figure in found.items():
        goal = goals.get(name)
        print(f"{name:<58} {figure:>9.1f}  " + (f"{goal.unit}, at most {goal.most:g}{'' if figure <= goal.most else '  MISSED'}" if goal else ""))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if all(found[goal.name] <= goal.most for goal in GOALS) else 1


if __name__ == "__main__":
    sys.exit(main())
