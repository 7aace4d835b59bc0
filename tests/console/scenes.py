"""Things for the terminal console to show: documents as the HTTP surface answers them, and the states that hold them."""

from collections.abc import Mapping
from typing import Any

from console.messages import Message, Pressed, Received, Unreached, Want
from console.state import Link, Machine, Sample, State, View
from console.theme import Theme
from console.update import update, wants

WALL = 1_795_507_200.0  # 2026-11-24T08:00:00Z
NOW = 1_000.0
AS_OF = "2026-11-24T08:00:00.000000Z"


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
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "created_at": f"{minute}:00.000000Z",
        "queued_at": f"{minute}:00.000000Z", "run_at": None, "started_at": f"{minute}:01.000000Z" if status != "queued" else None,
        "finished_at": f"{minute}:03.500000Z" if ended else None, "expires_at": None, "sequence": 4,
        "why_waiting": "its queue is paused by eva" if status == "queued" else None, **parts,
    }  # fmt: skip


JOBS = [job(1, "running", progress={"fraction": 0.4, "message": "reading"}), job(2, "queued"), job(3, "failed"), job(4), job(5, "cancelled"), job(6)]


def event(position: int, kind: str, **data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": f"job/x/{position}", "source": "urn:observatory:test", "type": f"dev.observatory.job.{kind}.v1",
            "subject": f"job/{JOBS[2]['id']}", "time": f"2026-11-24T07:56:0{position % 10}.000000Z", "sequence": str(position), "position": str(position),
            "jobtype": "text.statistics", "queue": "default", "actor": "anonymous", "attempt": "1", "causation": "client/7", "data": data}  # fmt: skip


EVENTS = [
    event(1, "accepted", type="text.statistics", queue="default", priority=4, **{"from": None, "to": "queued"}),
    event(2, "queued", **{"from": "queued", "to": "queued"}),
    event(3, "started", attempt=1, lease_token=1, worker="worker-1", waited_seconds=1.0, **{"from": "queued", "to": "running"}),
    event(5, "failed", attempt=1, lease_token=1, ran_seconds=2.5, error=JOBS[2]["error"], **{"from": "running", "to": "failed"}),
]
ATTEMPT = {"job_id": JOBS[2]["id"], "lease_token": 1, "attempt": 1, "worker": "worker-1", "instance": "a", "claimed_at": "2026-11-24T07:56:03.000000Z",
           "started_at": "2026-11-24T07:56:03.000000Z", "finished_at": "2026-11-24T07:56:05.500000Z", "outcome": "failed", "error": JOBS[2]["error"],
           "output_bytes": 5}  # fmt: skip


def node(number: int, status: str, *parents: int, parent: int | None = None) -> dict[str, Any]:
    whole = job(number, status, depends_on=[job(p)["id"] for p in parents], parent_id=None if parent is None else job(parent)["id"])
    return {name: whole[name] for name in ("id", "type", "queue", "status", "parent_id", "depends_on")}


def edges(*nodes: Mapping[str, Any]) -> list[dict[str, str]]:
    depends = [{"from": parent, "to": found["id"], "kind": "depends_on"} for found in nodes for parent in found["depends_on"]]
    return depends + [{"from": found["parent_id"], "to": found["id"], "kind": "parent"} for found in nodes if found["parent_id"]]


FAMILY = [node(3, "failed"), node(10, "cancelled", 3), node(11, "waiting", 3), node(12, "waiting", 10, 11), node(13, "succeeded", parent=3)]
TIMES = {"count": 6, "mean": 0.1, "p50": 0.012, "p95": 0.4, "p99": 2.0}
WINDOW = {"minutes": 1, "throughput": 41.5, "failure_rate": 0.02, "failed": 3, "waiting_seconds": TIMES, "running_seconds": TIMES}
STATS = {
    "as_of": AS_OF, "states": {"waiting": 0, "scheduled": 3, "queued": 12, "running": 4, "retrying": 1, "succeeded": 12_345, "failed": 7, "cancelled": 2},
    "lag": 0, "totals": {"succeeded": 12_345, "failed": 7, "cancelled": 2},
    "windows": [WINDOW, {**WINDOW, "minutes": 5, "throughput": 30.0}, {**WINDOW, "minutes": 60, "throughput": 9.9}],
    "series": [{"succeeded": n * n % 50, "failed": n % 7 // 6, "cancelled": 0} for n in range(60)],
}  # fmt: skip
SEEN = [{"worker": "worker-1", "seen_at": "2026-11-24T07:59:58.000000Z"}]
QUEUES = [
    {"name": "default", "depth": 12, "running": 4, "max_running": None, "rate_per_second": None, "paused": False, "paused_by": None, "paused_at": None,
     "oldest_queued_at": "2026-11-24T07:59:00.000000Z", "oldest_age_seconds": 60.0, "workers_seen": SEEN},
    {"name": "io", "depth": 0, "running": 8, "max_running": 32, "rate_per_second": 5.0, "paused": True, "paused_by": "eva",
     "paused_at": "2026-11-24T07:50:00.000000Z", "oldest_queued_at": None, "oldest_age_seconds": None, "workers_seen": []},
]  # fmt: skip
TASKS = [
    {"type": "demo.everything", "version": 1, "queue": "default", "description": "Every kind of field.", "priority": 4,
     "timeout_seconds": 10, "max_attempts": 5,
     "schema": {"type": "object", "required": ["times"], "additionalProperties": False, "properties": {
         "times": {"type": "integer", "minimum": 0, "maximum": 100, "description": "How often."}, "mode": {"type": "string", "enum": ["fast", "slow"]},
         "loud": {"type": "boolean", "default": False}, "names": {"type": "array", "items": {"type": "string", "minLength": 1}},
         "place": {"$ref": "#/$defs/place"}, "secret": {"type": "string", "x-secret": True}},
         "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string", "minLength": 3}}}}}},
]  # fmt: skip
SCHEDULES = [
    {"name": "nightly", "cron": "30 2 * * MON-FRI", "every_seconds": None, "timezone": "Europe/Oslo",
     "in_words": "At 02:30 on Monday through Friday (Europe/Oslo)", "template": {"type": "demo.everything", "payload": {"times": 3}}, "overlap": "skip",
     "misfires": "one", "declared_by": "person", "paused": False, "paused_by": None, "next_at": "2026-11-24T08:10:00.000000Z",
     "last_at": "2026-11-24T07:55:00.000000Z", "last_job_id": JOBS[3]["id"], "last_job_status": "succeeded", "last_skipped_at": None},
    {"name": "poll", "cron": None, "every_seconds": 20, "timezone": "UTC", "in_words": "Every 20 seconds", "template": {"type": "demo.everything",
     "payload": {"times": 1}}, "overlap": "queue", "misfires": "none", "declared_by": "code", "paused": True, "paused_by": "eva", "next_at": None,
     "last_at": None, "last_job_id": None, "last_job_status": None, "last_skipped_at": None},
]  # fmt: skip
LETTER = {"id": "01943a9e-1f2c-7a6b-8d3e-00000000dead", "trigger": "broken", "source": "urn:observatory:test", "event_id": "job/x/4",
          "event_type": "dev.observatory.job.released.v1", "reason": "the subscriber answered 503", "attempts": 2, "content_type": "application/json",
          "bytes": 310, "kept_at": "2026-11-24T07:50:00.000000Z", "status": "kept", "outcome": None}  # fmt: skip
RELEASED = {**EVENTS[1], "id": "job/x/4", "type": "dev.observatory.job.released.v1", "data": {"count": 2, "extra": {"deep": [1]}}}
WHOLE_LETTER = {**LETTER, "headers": {}, "check": "contract-violation: /data/count must be 3 or more", "event": RELEASED, "text": None, "hidden": None}
COUNTED = {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer", "minimum": 3, "description": "How many."}}}
CONTRACTS = [
    {"name": "dev.observatory.job.queued.v1", "kind": "event", "version": 1, "description": "The job may be claimed.", "short": "job.queued",
     "url": "/v1/contracts/dev.observatory.job.queued.v1"},
    {"name": "demo.everything", "kind": "task", "version": 2, "description": "Every kind of field.", "url": "/v1/contracts/demo.everything",
     "refused": 214, "versions": [{"version": 1, "url": "/x"}, {"version": 2, "url": "/y"}],
     "differences": [{"between": "version 1 and version 2", "count": 1, "breaks": ["/properties/times/maximum"],
                      "changes": [{"pointer": "/properties/times/maximum", "kind": "changed", "before": 1000, "after": 100}]}]},
]  # fmt: skip
REFUSALS = [{"minute": "2026-11-24T07:58:00.000000Z", "type": "demo.everything", "reason": "contract-violation", "count": 214,
             "samples": [{"detail": "The payload breaks its schema.", "sample": '{"times": -1}'}]}]  # fmt: skip
ALERTS = [{"id": "failure-rate/demo.fail", "name": "failure-rate", "subject": "demo.fail", "severity": "critical", "status": "raised",
           "summary": "16 of 32 jobs of type demo.fail failed in the last 5 minutes.", "evidence": "/v1/jobs?state=failed&type=demo.fail",
           "mend": "Look at the errors; retry what failed once the cause is gone.", "since": "2026-11-24T07:58:00.000000Z"}]  # fmt: skip
FUNCTIONS = [
    {"name": "processor", "does": "runs the jobs of the queues", "pods": 1, "starts": 3, "cold_start_seconds": 0.94,
     "last_started_at": "2026-11-24T07:59:30.000000Z", "last_stopped_at": "2026-11-24T07:40:00.000000Z",
     "instances": [{"function": "processor", "instance": "a", "started_at": "2026-11-24T07:59:30.000000Z", "first_request_at": None, "stopped_at": None,
                    "start_seconds": 0.94}]},
    {"name": "scheduler", "does": "keeps time", "pods": 0, "starts": 1, "cold_start_seconds": None, "last_started_at": "2026-11-24T07:30:00.000000Z",
     "last_stopped_at": "2026-11-24T07:59:00.000000Z", "instances": []},
]  # fmt: skip
STORES = [{"name": "jobs", "kind": "PostgreSQL", "verdict": "ok", "found": "answers", "lag": None},
          {"name": "statistics", "kind": "Redis", "verdict": "bad", "found": "no answer", "lag": 70}]  # fmt: skip
BULK = {"id": "01943a9e-1f2c-7a6b-8d3e-0000000b0001", "action": "retry", "q": "state:failed", "actor": "eva", "reason": None, "status": "running",
        "created_at": "2026-11-24T07:59:50.000000Z", "finished_at": None, "matched": 200, "done": 50, "outcomes": {"done": 48, "illegal-move": 2},
        "samples": [{"id": JOBS[3]["id"], "outcome": "illegal-move", "detail": f"job {JOBS[3]['id']} succeeded, so there is nothing to retry"}]}  # fmt: skip
AUDIT = {"status": "finished", "as_of": AS_OF, "jobs": 12_357, "events": 49_000, "differences": 1,
         "items": [{"part": "job", "about": f"job/{JOBS[2]['id']}", "field": "status", "stored": "running", "log": "failed"}]}  # fmt: skip
FAILED = f"/v1/jobs/{JOBS[2]['id']}"
DOCUMENTS: dict[str, Any] = {
    "/v1/tasks": {"items": TASKS}, "/v1/stats": STATS, "/v1/queues": {"items": QUEUES}, "/v1/jobs": {"items": JOBS, "next_cursor": None},
    "/v1/events": {"items": EVENTS[::-1], "next_cursor": None}, "/v1/alerts": {"items": []}, "/v1/functions": {"items": FUNCTIONS},
    "/v1/stores": {"items": STORES},
    "/v1/schedules": {"items": SCHEDULES}, "/v1/dead-letters": {"items": [LETTER], "next_cursor": None},
    f"/v1/dead-letters/{LETTER['id']}": WHOLE_LETTER, "/v1/contracts/dev.observatory.job.released.v1": COUNTED,
    "/v1/contracts": {"items": CONTRACTS, "refusals": REFUSALS}, "/v1/contracts/demo.everything": TASKS[0]["schema"], "/v1/bulk": {"items": [BULK]},
    f"/v1/bulk/{BULK['id']}": BULK,
    "/v1/audit": AUDIT, FAILED: JOBS[2], f"{FAILED}/events": {"items": EVENTS}, f"{FAILED}/attempts": {"items": [ATTEMPT]},
    f"{FAILED}/steps": {"items": [{"step": "fetched", "bytes": 48}, {"step": "written", "bytes": 1_204}]},
    f"{FAILED}/attempts/1/log": "line 1\nline 2\n", f"{FAILED}/graph": {"nodes": FAMILY, "edges": edges(*FAMILY), "truncated": False},
}  # fmt: skip


def scene(screen: str = "dashboard", columns: int = 120, lines: int = 40, **view: Any) -> State:
    """A state that shows a screen with everything read, at a fixed instant."""
    state = State("http://127.0.0.1:8080", columns=columns, lines=lines, now=NOW, ticked=NOW, wall=WALL, theme=Theme(0), session="test",
                  samples=tuple(Sample(NOW - 60 + second, 2 * second, 0) for second in range(60)), link=Link(since=NOW))  # fmt: skip
    if screen != "dashboard":
        state = state.opened(View(screen, **view))
    return answered(state)


def away(columns: int = 120, lines: int = 40) -> State:
    """A state in which nothing ever answered."""
    machine = Machine("/home/eva/.observatory", "where make run listens", ("docker, kind (not found)",))
    state = State("http://127.0.0.1:8080", columns=columns, lines=lines, now=NOW, ticked=NOW, wall=WALL, theme=Theme(0), machine=machine,
                  contexts=(("prod", "https://observatory.example"),))  # fmt: skip
    return send(state, Unreached("no server answers at http://127.0.0.1:8080 (connection refused). Start it: make run", 2, 1.0, NOW))


def answered(state: State) -> State:
    """The state once the server answered what its screen wants, and what it wants then."""
    for _ in range(3):
        for want in wants(state):
            if want not in state.data:
                state = answer(state, want)
    return state


def answer(state: State, want: Want) -> State:
    document = DOCUMENTS.get(want.path)
    return update(state, Received(want, document, max(state.now, NOW)))[0] if document is not None else state


def send(state: State, *messages: Message) -> State:
    for message in messages:
        state, _ = update(state, message)
    return state


def press(state: State, *keys: str) -> State:
    """The state after these keys, with what it then wants answered."""
    for key in keys:
        state = answered(send(state, Pressed(key)))
    return state


def typed(state: State, text: str) -> State:
    return send(state, *(Pressed("space" if character == " " else character) for character in text))


def command(state: State, words: str) -> State:
    """What the palette makes of these words."""
    return press(typed(press(state, ":"), words), "enter")
