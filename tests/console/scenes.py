"""Things for the terminal console to show: documents as the HTTP surface answers them, and the states that hold them."""

from dataclasses import replace
from typing import Any

from console.keys import shown
from console.screens import SCREENS
from console.state import ALERTS, Message, Pressed, Received, State, View, Want
from console.theme import Theme
from console.update import update

WALL = 1_795_507_200.0  # 2026-11-24T08:00:00Z
NOW = 1_000.0


def job(number: int, status: str = "succeeded", **parts: Any) -> dict[str, Any]:
    """A job as in contracts/schemas/job.json, accepted `number` minutes before the scene."""
    minute = f"2026-11-24T07:{59 - number % 60:02d}"
    ended = status in ("succeeded", "failed", "cancelled")
    return {
        "id": f"01943a9e-1f2c-7a6b-8d3e-{number:012x}", "type": "text.statistics", "task_version": 1, "queue": "default", "priority": 4, "status": status,
        "payload": {"text": "to be"}, "result": {"words": 2} if status == "succeeded" else None,
        "error": {"type": "ValueError", "message": "no such file", "traceback": "Traceback ...\nValueError: no such file"} if status == "failed" else None,
        "attempt": 1, "attempts_allowed": 5, "max_attempts": 5, "timeout_seconds": 60.0, "lease_token": 1, "lease_until": None, "worker": "worker-1",
        "cancel_requested_at": None, "progress": None, "tags": ["nightly"], "unique_key": None, "parent_id": None, "root_id": "", "depends_on": [],
        "open_parents": 0, "on_parent_failure": "cancel", "schedule": None, "backoff": {}, "actor": "anonymous", "source": None, "source_id": None,
        "traceparent": None, "created_at": f"{minute}:00.000000Z", "queued_at": f"{minute}:00.000000Z", "run_at": None,
        "started_at": f"{minute}:01.000000Z" if status != "queued" else None, "finished_at": f"{minute}:03.500000Z" if ended else None,
        "expires_at": None, "sequence": 4, "why_waiting": "its queue is paused by eva" if status == "queued" else None, **parts,
    }  # fmt: skip


JOBS = [job(1, "running", progress={"fraction": 0.4, "message": "reading"}), job(2, "queued"), job(3, "failed"), job(4), job(5, "cancelled"), job(6)]


def event(position: int, kind: str, **data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": f"job/x/{position}", "source": "urn:observatory:test", "type": f"dev.observatory.job.{kind}.v1",
            "subject": f"job/{JOBS[3]['id']}", "time": f"2026-11-24T07:55:0{position % 10}.000000Z", "sequence": str(position), "position": str(position),
            "jobtype": "text.statistics", "queue": "default", "actor": "anonymous", "attempt": "1", "data": data}  # fmt: skip


EVENTS = [
    event(1, "accepted", type="text.statistics", queue="default", priority=4, **{"from": None, "to": "queued"}),
    event(2, "queued", **{"from": "queued", "to": "queued"}),
    event(3, "started", attempt=1, lease_token=1, worker="worker-1", waited_seconds=1.0, **{"from": "queued", "to": "running"}),
    event(4, "succeeded", attempt=1, lease_token=1, ran_seconds=2.5, result={"words": 2}, **{"from": "running", "to": "succeeded"}),
]
TIMES = {"count": 6, "mean": 0.1, "p50": 0.012, "p95": 0.4, "p99": 2.0}
WINDOW = {"minutes": 1, "throughput": 41.5, "failure_rate": 0.02, "failed": 3, "waiting_seconds": TIMES, "running_seconds": TIMES}
STATS = {
    "states": {"waiting": 0, "scheduled": 3, "queued": 12, "running": 4, "retrying": 1, "succeeded": 12_345, "failed": 7, "cancelled": 2}, "lag": 0,
    "windows": [WINDOW], "series": [{"succeeded": n * n % 50, "failed": n % 7 // 6, "cancelled": 0} for n in range(60)],
}  # fmt: skip
QUEUES = [
    {"name": "default", "depth": 12, "running": 4, "max_running": None, "rate_per_second": None, "paused": False, "paused_by": None, "paused_at": None,
     "oldest_queued_at": "2026-11-24T07:59:00.000000Z", "oldest_age_seconds": 60.0},
    {"name": "io", "depth": 0, "running": 0, "max_running": 32, "rate_per_second": None, "paused": True, "paused_by": "eva",
     "paused_at": "2026-11-24T07:50:00.000000Z", "oldest_queued_at": None, "oldest_age_seconds": None},
]  # fmt: skip
TASKS = [
    {"type": "demo.everything", "version": 1, "queue": "default", "description": "Every kind of field.", "priority": 4,
     "timeout_seconds": 10, "max_attempts": 5,
     "schema": {"type": "object", "required": ["times"], "additionalProperties": False, "properties": {
         "times": {"type": "integer", "minimum": 0, "maximum": 100, "description": "How often."}, "mode": {"type": "string", "enum": ["fast", "slow"]},
         "loud": {"type": "boolean", "default": False}, "names": {"type": "array", "items": {"type": "string", "minLength": 1}},
         "place": {"$ref": "#/$defs/place"}}, "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string"}}}}}},
]  # fmt: skip
DOCUMENTS: dict[str, Any] = {
    "/v1/tasks": {"items": TASKS},
    "/v1/stats": STATS,
    "/v1/queues": {"items": QUEUES},
    "/v1/jobs": {"items": JOBS, "next_cursor": None},
    "/v1/events": {"items": EVENTS[::-1], "next_cursor": None},
    "/v1/alerts": {"items": []},
    "/v1/functions": {"items": [{"name": "processor", "does": "runs the jobs", "instances": [{"function": "processor", "instance": "a"}]}]},
    f"/v1/jobs/{JOBS[2]['id']}": JOBS[2],
    f"/v1/jobs/{JOBS[2]['id']}/events": {"items": EVENTS},
    f"/v1/jobs/{JOBS[2]['id']}/attempts": {"items": []},
}


def scene(screen: str = "dashboard", columns: int = 120, lines: int = 40, **view: Any) -> State:
    """A state that shows a screen with everything read, at a fixed instant."""
    state = State("http://127.0.0.1:8080", columns=columns, lines=lines, now=NOW, wall=WALL, theme=Theme(0), views=(View("dashboard"),))
    if screen != "dashboard":
        state = state.opened(View(screen, **view))
    return answered(state)


def answered(state: State) -> State:
    """The state once the server answered what its screen wants."""
    for want in (*SCREENS[state.view.screen].wants(state, state.view), ALERTS):
        state = answer(state, want)
    return state


def answer(state: State, want: Want) -> State:
    document = DOCUMENTS.get(want.path)
    return update(state, Received(want, document, NOW))[0] if document is not None else state


def send(state: State, *messages: Message) -> State:
    for message in messages:
        state, _ = update(state, message)
    return state


def press(state: State, *keys: str) -> State:
    """The state after these keys, with what it then wants answered."""
    return answered(send(state, *(Pressed(key) for key in keys)))


def typed(state: State, text: str) -> State:
    return send(state, *(Pressed("space" if character == " " else character) for character in text))


__all__ = ["DOCUMENTS", "EVENTS", "JOBS", "NOW", "WALL", "answered", "job", "press", "replace", "scene", "send", "shown", "typed"]
