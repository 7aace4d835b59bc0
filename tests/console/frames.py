"""The frames that the screens are held against, as text: `python -m tests.console.frames` writes them anew, to be looked at."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from console import wants
from console.messages import Happened, Launched, LaunchEnded, Pressed, Received, Staged, Ticked, Unreached
from console.render import render
from console.state import State
from tests.console.scenes import ALERTS, EVENTS, JOBS, LETTER, NOW, WALL, answered, away, press, scene, send, typed
from tests.console.scenes import CONTRACTS as KINDS

CHECKED = {"name": "demo.everything", "kind": "task", "checked": 1_000, "complete": True, "refused": 214, "same_as_now": False,
           "words": "This schema would refuse 214 of the last 1,000 payloads.", "faults": [{"pointer": "/times", "detail": "must be 50 or less", "count": 214}],
           "examples": [{"job": JOBS[3]["id"], "event": None, "url": "/x", "at": "2026-11-24T07:55:00.000000Z", "faults": [], "sample": '{"times": 99}'}]}
FOLDER = Path(__file__).parent / "frames"
SIZES = ((80, 24), (120, 40), (200, 60))
Scene = Callable[[int, int], State]


def _stale(columns: int, lines: int) -> State:
    return send(scene("dashboard", columns, lines), Unreached("no server answers", 3, 2.0, NOW + 1), Ticked(NOW + 12, WALL + 12))


def _alerting(columns: int, lines: int) -> State:
    return send(scene("dashboard", columns, lines), Received(wants.ALERTS, {"items": ALERTS}, NOW))


def _live(columns: int, lines: int) -> State:
    fresh = [{**EVENTS[0], "position": "9", "type": "dev.observatory.queue.paused.v1", "subject": "queue/io", "data": {"name": "io", "reason": "rest"}}]
    return send(scene("events", columns, lines), Happened(tuple(fresh), NOW))


def _starting(columns: int, lines: int) -> State:
    return send(away(columns, lines), Pressed("L"), Launched(4711, "/home/eva/.observatory/console-launch.log"), Ticked(NOW + 2, WALL + 2))


def _cluster(columns: int, lines: int) -> State:
    state = away(columns, lines)
    state = send(replace(state, machine=replace(state.machine, cluster_needs=())), Pressed("C"), Pressed("y"))
    stages = (Staged("tools", "done", 0.4, "docker 27.1, kind 0.24"), Staged("cluster", "done", 61.0), Staged("images", "failed", 12.0, "no space left"))
    return send(state, Launched(4711, "/tmp/log"), *stages, LaunchEnded("images: no space left on device", 1))


def _form(columns: int, lines: int) -> State:
    state = typed(press(scene("form", columns, lines, subject="demo.everything")), "200")
    return send(state, Pressed("down"), Pressed("space"), Pressed("down"), Pressed("down"), Pressed("+"), Pressed("+"), Pressed("down"))


def _job(tab: int) -> Scene:
    return lambda columns, lines: answered(scene("job", columns, lines, subject=JOBS[2]["id"], tab=tab))


def _screen(name: str, **view: object) -> Scene:
    return lambda columns, lines: scene(name, columns, lines, **view)


def _pressed(name: str, *keys: str, **view: object) -> Scene:
    return lambda columns, lines: press(scene(name, columns, lines, **view), *keys)


def _typed(name: str, opening: str, text: str) -> Scene:
    return lambda columns, lines: typed(press(scene(name, columns, lines), opening), text)


FRAMES: dict[str, Scene] = {
    "dashboard": _screen("dashboard"), "dashboard-stale": _stale, "dashboard-alert": _alerting, "jobs": _screen("jobs"),
    "jobs-sorted": _pressed("jobs", "s", "S"), "jobs-question": _pressed("jobs", "m", "m", "c"), "jobs-all": _pressed("jobs", "a"),
    "jobs-filter": _typed("jobs", "/", "sta"), "palette": _typed("jobs", ":", "c"), "help": _pressed("jobs", "?"), "job-story": _job(0),
    "job-output": _job(1), "job-payload": _job(2), "job-relatives": _job(3), "job-request": _job(4), "events": _live,
    "event": _pressed("events", "enter"), "dead-letters": _screen("dead-letters"), "dead-letters-jobs": _pressed("dead-letters", "t"),
    "dead-letter": _screen("dead-letter", subject=LETTER["id"]), "letter-form": _screen("letter-form", subject=LETTER["id"]),
    "queues": _screen("queues"), "schedules": _screen("schedules"), "schedule": _screen("schedule", subject="nightly"), "contracts": _screen("contracts"),
    "contracts-refusals": _pressed("contracts", "t"), "refusal": _pressed("contracts", "t", "enter"),
    "contract": _screen("contract", subject=KINDS[1]["url"], local=KINDS[1]),
    "contract-versions": _screen("contract", subject=KINDS[1]["url"], local=KINDS[1], tab=2),
    "contract-check": _screen("contract-check", subject="demo.everything", local=CHECKED), "functions": _screen("functions"),
    "function": _screen("function", subject="scheduler"), "audit": _screen("audit"), "alerts": lambda c, n: press(_alerting(c, n), "A"),
    "operations": _screen("operations"), "operation": _pressed("operations", "enter"),
    "new-task": _screen("new-task"), "form": _form, "launcher": away, "launcher-starting": _starting,
    "launcher-cluster": _cluster,
}  # fmt: skip
ASCII = ("dashboard", "job-story", "job-relatives", "launcher", "jobs-sorted")


def shown(name: str) -> str:
    """A screen's frames at every size, and for terminals without Unicode where that is worth a look."""
    states = {f"{columns}x{lines}": FRAMES[name](columns, lines) for columns, lines in SIZES}
    if name in ASCII:
        states["80x24 in ASCII"] = replace(FRAMES[name](80, 24), ascii_only=True)
    return "".join(f"---- {size} ----\n{render(state).text().rstrip()}\n" for size, state in states.items())


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for name in FRAMES:
        (FOLDER / f"{name}.txt").write_text(shown(name), "utf-8")


if __name__ == "__main__":
    write()
