"""schedules: what comes by itself, and when."""

import argparse
import math
from collections.abc import Mapping
from typing import Any

from console import exits
from console.outcome import exit_code, report
from console.session import Session
from console.text import Cell, Column, Row, clean, short, state_cell
from console.verbs import schedule_arguments
from console.verbs.arguments import wait_span
from console.verbs.each import for_each
from console.verbs.task_arguments import with_bare_waits
from console.verbs.times import instant, now_text, since, until

EXAMPLES = """A time in a zone whose clock leaves it out comes at the first instant after; one that it repeats comes once.

examples:
  schedules
  schedules show NAME
  schedules put nightly report.daily days=1 --cron "30 2 * * MON-FRI" --timezone Europe/Berlin
  schedules put heartbeat demo.noop --every 10m --overlap queue --misfires none
  schedules put nightly @schedule.json         a whole schedule request; - for standard input
  schedules run NAME --wait                    now, whatever its due times
  schedules pause NAME --reason "holidays"
  schedules resume NAME
  schedules delete NAME
  schedules put --help                         the options of put
"""
ACTS = ("run", "pause", "resume", "delete")
USAGE = "schedules takes nothing, list, show NAME, put NAME TYPE ..., run NAME, pause NAME, resume NAME or delete NAME"
COLUMNS = (Column("NAME", flexible=True, least=12), Column("TASK"), Column("WHEN", flexible=True, least=12), Column("NEXT", ">"),
           Column("LAST", ">"), Column("JOB"), Column("STATE", flexible=True, least=8))  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="list | show NAME | put NAME TYPE ... | run | pause | resume | delete NAME ...", nargs="*",
                        help="what to do; list is the default")  # fmt: skip
    parser.add_argument("--reason", help="pause, delete: goes into the log")
    parser.add_argument("--wait", type=wait_span, metavar="SPAN", nargs="?", const=math.inf, help="run: wait for the job's end")


def parse(parser: argparse.ArgumentParser, argv: list[str], namespace: argparse.Namespace) -> argparse.Namespace:
    """`put` reads a task's payload as submit does; the other words are names."""
    if argv[:1] == ["put"]:
        return schedule_arguments.parse_put(parser, argv[1:], namespace)
    configure(parser)
    return parser.parse_intermixed_args(with_bare_waits(argv), namespace)


def run(session: Session, arguments: argparse.Namespace) -> int:
    if hasattr(arguments, "schedule_name"):
        return put(session, arguments.schedule_name, arguments.request)
    words = arguments.words or ["list"]
    if words == ["list"]:
        return _list(session)
    if words[0] == "show" and len(words) == 2:
        return _show(session, words[1])
    if words[0] == "run" and len(words) == 2:
        return _run_now(session, words[1], arguments.wait)
    if words[0] in ACTS and len(words) > 1 and words[0] != "run":
        return _act(session, words[0], words[1:], arguments.reason)
    session.note(USAGE)
    return exits.USAGE


# ---- changing ---------------------------------------------------------------------------------------------------


def put(session: Session, name: str, request: Mapping[str, Any]) -> int:
    """Makes or changes a schedule, and says when it comes."""
    schedule = session.client.put_schedule(name, request)
    if session.as_json:
        session.json(schedule)
        return exits.OK
    words = {"created": "is made", "updated": "is changed", "unchanged": "is so already"}[schedule["outcome"]]
    following = "it is paused" if schedule["paused"] else f"next {instant(schedule['next_at'])}"
    session.say(clean(f"schedule {name} {words}: {schedule['in_words']}, {following}"))
    return exits.OK


def _run_now(session: Session, name: str, wait: float | None) -> int:
    handle = session.client.run_schedule(name)
    if wait is None:
        if session.as_json:
            session.json(handle.document)
        else:
            session.say(f"{handle.id} {clean(handle.status)}{' (another job holds its unique_key)' if handle.deduplicated else ''}")
        return exits.OK
    job = handle.wait(None if math.isinf(wait) else wait).document
    report(session, job)
    return exit_code([job])


def _act(session: Session, verb: str, names: list[str], reason: str | None) -> int:
    """Pauses, resumes or deletes each."""
    acts = {"pause": session.client.pause_schedule, "resume": session.client.resume_schedule, "delete": session.client.delete_schedule}
    done = {"pause": "paused", "resume": "resumed", "delete": "deleted"}[verb]
    return for_each(session, names, lambda name: acts[verb](name, reason), lambda name, answer: f"{name} {done}{_following(answer)}", named="name")


def _following(answer: Mapping[str, Any]) -> str:
    return f", next {instant(answer['next_at'])}" if answer.get("next_at") else ""


# ---- looking ----------------------------------------------------------------------------------------------------


def _list(session: Session) -> int:
    schedules = list(session.client.schedules())
    if session.as_json:
        session.json({"items": schedules})
        return exits.OK
    now = now_text()
    session.table(COLUMNS, [_row(schedule, now) for schedule in schedules])
    if not schedules:
        session.note("there are no schedules; schedules put NAME TYPE --every 10m makes one")
    return exits.OK


def _row(schedule: Mapping[str, Any], now: str) -> Row:
    status = schedule["last_job_status"]
    return (
        schedule["name"], schedule["template"]["type"], schedule["in_words"] or "-", until(schedule["next_at"], now),
        since(schedule["last_at"], now), state_cell(status) if status else Cell("-"), _state(schedule),
    )  # fmt: skip


def _state(schedule: Mapping[str, Any]) -> Cell:
    if schedule["paused"]:
        return Cell(f"paused by {schedule['paused_by']}", "yellow")
    return Cell("on (code)" if schedule["declared_by"] == "code" else "on")


def _show(session: Session, name: str) -> int:
    schedule = session.client.schedule(name)
    if session.as_json:
        session.json(schedule)
        return exits.OK
    now = now_text()
    session.heading(schedule["name"])
    for title, text in _lines(schedule, now):
        session.say(clean(f"  {title:<9}{text}"))
    return exits.OK


def _lines(schedule: Mapping[str, Any], now: str) -> list[tuple[str, str]]:
    template = schedule["template"]
    options = {key: value for key, value in template.items() if key not in ("type", "payload")}
    cron = f" [{schedule['cron']}]" if schedule["cron"] else ""
    lines = [
        ("task", f"{template['type']} {short(template['payload'])}{' ' + short(options) if options else ''}"),
        ("when", f"{schedule['in_words'] or 'this cannot be told any more'}{cron}"),
        ("rules", f"overlap {schedule['overlap']}, misfires {schedule['misfires']}, declared by {_declarer(schedule)}"),
    ]
    if schedule["paused"]:
        reason = f": {schedule['pause_reason']}" if schedule["pause_reason"] else ""
        lines.append(("paused", f"by {schedule['paused_by']} at {instant(schedule['paused_at'])}{reason}"))
    for number, due in enumerate(schedule["next_runs"]):
        lines.append(("next" if number == 0 else "", f"{instant(due)} ({until(due, now)})"))
    if schedule["last_at"]:
        lines.append(("last", f"{instant(schedule['last_at'])}: job {schedule['last_job_id']} {schedule['last_job_status'] or 'is gone'}"))
    if schedule["last_skipped_at"]:
        lines.append(("skipped", f"{instant(schedule['last_skipped_at'])}: {schedule['last_skip_reason']}"))
    return lines


def _declarer(schedule: Mapping[str, Any]) -> str:
    return "code (change it there)" if schedule["declared_by"] == "code" else "a person"
