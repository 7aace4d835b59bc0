"""submit: one job or many, and if asked their ends."""

import argparse
import math
from typing import Any

from console import exits
from console.api.errors import ObservatoryApiError
from console.outcome import exit_code, report
from console.payloads import BadArgument
from console.session import Session
from console.text import clean
from console.verbs import schedule_arguments, task_arguments
from console.verbs.arguments import instant, positive, span, wait_span, whole
from console.verbs.task_arguments import PAYLOAD_HELP, Definition, FindTask
from console.verbs.times import instant_words

EXAMPLES = f"""{PAYLOAD_HELP}
examples:
  submit text.statistics --path README.md --wait
  submit demo.sleep seconds=2.5 --priority 9 --delay 10s --tag nightly
  submit demo.sleep seconds=30 --watch
  submit file.digest '{{"path": "README.md"}}' --at 'tomorrow 8:00'
  submit text.statistics @payloads.jsonl       many jobs of one type, one payload a line
  submit - < jobs.jsonl                        many jobs, one whole job request a line; a pipe may go on and on
  submit demo.noop --every 10m --name heartbeat    a schedule (see the verb schedules)
  submit text.statistics --help                the fields of that task
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} TYPE [PAYLOAD] [OPTIONS]"
    add_job_options(parser)
    add = parser.add_argument_group("submitting").add_argument
    add("--idempotency-key", metavar="KEY", help="the same key with the same request is the same job")
    add("--wait", type=wait_span, metavar="SPAN", nargs="?", const=math.inf, help="wait for its end; without SPAN as long as it takes")
    add("--watch", action="store_true", help="follow it to its end: events, progress, what its handler prints")
    add("-q", "--quiet", action="store_true", help="print ids alone")
    schedule_arguments.add_when(parser)


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """The options of a job request."""
    add = parser.add_argument_group("options of the job").add_argument
    add("--queue", help="the queue to wait in; by default the task's own")
    add("--priority", type=whole, metavar="0..9", help="9 goes first, 0 last; by default the task's own, mostly 4")
    add("--delay", type=span, metavar="SPAN", dest="delay_seconds", help="not before so long from now: 90, 30s, 10m, 2h")
    add("--at", type=instant, metavar="TIME", dest="run_at", help="not before this: 2026-12-24T18:00Z, '2026-12-24 18:00', 18:00, +2h")
    add("--expires", type=instant, metavar="TIME", dest="expires_at", help="cancel it when it has not started by then")
    add("--timeout", type=span, metavar="SPAN", dest="timeout_seconds", help="how long one attempt may run")
    add("--max-attempts", type=positive, metavar="N", help="how often it is tried")
    add("--tag", action="append", dest="tags", help="a label to find it by; may be repeated")
    add("--unique-key", metavar="KEY", help="no second job of this type and key while this one has not ended")
    add("--parent", metavar="JOB", dest="parent_id", help="the job that it belongs to")
    add("--after", metavar="JOB", action="append", dest="depends_on", help="a job that must end first; may be repeated")
    add("--on-parent-failure", choices=("cancel", "run"), help="what happens when such a job fails")


OPTIONS = ("queue", "priority", "delay_seconds", "run_at", "expires_at", "timeout_seconds", "max_attempts", "tags", "unique_key",
           "parent_id", "depends_on", "on_parent_failure")  # fmt: skip


def parse(parser: argparse.ArgumentParser, argv: list[str], namespace: argparse.Namespace) -> argparse.Namespace:
    configure(parser)
    if schedule_arguments.is_asked_for(argv):  # else a task's own fields may have these names
        schedule_arguments.add_rules(parser)
        parser.add_argument("--name", metavar="NAME", help="the schedule's name")
    return task_arguments.parse(parser, argv, namespace, find_task)


def find_task(given: argparse.Namespace) -> FindTask:
    """The server's catalogue says what a type takes."""

    def find(kind: str) -> Definition | None:
        tasks = Session.of(given).client.tasks()
        found = next((task for task in tasks if task["type"] == kind), None)
        if found is None:
            raise unknown_task(kind, [task["type"] for task in tasks])
        return found

    return find


def unknown_task(kind: str, known: list[str]) -> ObservatoryApiError:
    """As the gateway would refuse it."""
    from difflib import get_close_matches

    near = get_close_matches(kind, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(sorted(known)) or 'none'}"
    problem = {"type": "urn:observatory:problem:unknown-task-type", "detail": f"no task of type {kind!r} is known; {hint}"}
    return ObservatoryApiError(422, problem)


def run(session: Session, arguments: argparse.Namespace) -> int:
    if arguments.every is not None or arguments.cron is not None:
        return _make_schedule(session, arguments)
    if arguments.task.stream is not None:
        if arguments.watch:
            raise BadArgument("--watch is for one job; many are waited for by --wait")
        from console.verbs import submit_many

        requests = (_request(arguments, item) if isinstance(item, dict) else item for item in arguments.task.stream)
        return submit_many.run(session, arguments, requests)
    request = request_of(arguments)
    head = session.client.head() if arguments.watch else 0
    handle = session.client.submit_request(request, idempotency_key=arguments.idempotency_key)
    if arguments.watch:
        return _watched(session, handle, arguments, head if handle.created else None)
    if arguments.wait is None:
        _say_accepted(session, handle, request, arguments.quiet)
        return exits.OK
    if not session.as_json and not arguments.quiet:
        session.note(f"{handle.id} {handle.status}")
    job = handle.wait(_bound(arguments.wait)).document
    report(session, job)
    return exit_code([job])


def _watched(session: Session, handle: Any, arguments: argparse.Namespace, after: int | None) -> int:
    from console.following import follow

    session.note(f"{handle.id} {clean(handle.status)}")
    (job,) = follow(session, [handle.id], None if arguments.wait is None else _bound(arguments.wait), after)
    report(session, job)
    return exit_code([job])


def _make_schedule(session: Session, arguments: argparse.Namespace) -> int:
    from console.verbs import schedules

    if arguments.name is None:
        raise BadArgument("a schedule needs a --name, by which it is shown, paused and deleted")
    if arguments.task.stream is not None or arguments.wait is not None or arguments.idempotency_key is not None:
        raise BadArgument("a schedule takes one request, and neither --wait nor --idempotency-key")
    return schedules.put(session, arguments.name, schedule_arguments.request_of(arguments, request_of(arguments)))


def _bound(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds


def request_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The job request that a command line gives."""
    return _request(arguments, arguments.task.document)


def _request(arguments: argparse.Namespace, document: dict[str, Any]) -> dict[str, Any]:
    options = {name: getattr(arguments, name) for name in OPTIONS if getattr(arguments, name) is not None}
    return {**document, **options} if arguments.task.type is None else {"type": arguments.task.type, "payload": document, **options}


def _say_accepted(session: Session, handle: Any, request: dict[str, Any], quiet: bool) -> None:
    if session.as_json:
        session.json(handle.document)
    elif quiet:
        session.say(handle.id)
    else:
        how = " (the job that holds this unique key)" if handle.deduplicated else "" if handle.created else " (the same request as before)"
        when = f" for {instant_words(request['run_at'])}" if handle.status == "scheduled" and "run_at" in request else ""
        session.say(f"{handle.id} {clean(handle.status)}{clean(when)}{how}")
