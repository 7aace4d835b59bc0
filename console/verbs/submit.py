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
from console.verbs.task_arguments import PAYLOAD_HELP, Definition, FindTask

EXAMPLES = f"""{PAYLOAD_HELP}
examples:
  submit text.statistics --path README.md --wait
  submit demo.sleep seconds=2.5 --priority 9 --delay 10 --tag nightly
  submit file.digest '{{"path": "README.md"}}' --at 2026-12-24T18:00:00Z
  submit text.statistics @payloads.jsonl       many jobs of one type, one payload a line
  submit - < jobs.jsonl                        many jobs, one whole job request a line
  submit demo.noop --every 10m --name heartbeat    a schedule (see the verb schedules)
  submit text.statistics --help                the fields of that task
"""
LISTED_REFUSALS = 20


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} TYPE [PAYLOAD] [OPTIONS]"
    add_job_options(parser)
    add = parser.add_argument_group("submitting").add_argument
    add("--idempotency-key", metavar="KEY", help="the same key with the same request is the same job")
    add("--wait", type=float, metavar="SECONDS", nargs="?", const=math.inf, help="wait for its end; without SECONDS as long as it takes")
    add("-q", "--quiet", action="store_true", help="print ids alone")
    schedule_arguments.add_when(parser)


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """The options of a job request."""
    add = parser.add_argument_group("options of the job").add_argument
    add("--queue", help="the queue to wait in; by default the task's own")
    add("--priority", type=int, metavar="0..9", help="9 goes first, 0 last; by default the task's own, mostly 4")
    add("--delay", type=float, metavar="SECONDS", dest="delay_seconds", help="not before so many seconds from now")
    add("--at", metavar="TIME", dest="run_at", help="not before this instant: RFC 3339 with a zone")
    add("--expires", metavar="TIME", dest="expires_at", help="cancel it when it has not started by then")
    add("--timeout", type=float, metavar="SECONDS", dest="timeout_seconds", help="how long one attempt may run")
    add("--max-attempts", type=int, metavar="N", help="how often it is tried")
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
    requests = requests_of(arguments)
    if arguments.every is not None or arguments.cron is not None:
        return _make_schedule(session, arguments, requests)
    if arguments.task.many:
        return _submit_many(session, arguments, requests)
    handle = session.client.submit_request(requests[0], idempotency_key=arguments.idempotency_key)
    if arguments.wait is None:
        _say_accepted(session, handle, arguments.quiet)
        return exits.OK
    if not session.as_json and not arguments.quiet:
        session.note(f"{handle.id} {handle.status}")
    job = handle.wait(_bound(arguments.wait)).document
    report(session, job)
    return exit_code([job])


def _make_schedule(session: Session, arguments: argparse.Namespace, requests: list[dict[str, Any]]) -> int:
    from console.verbs import schedules

    if arguments.name is None:
        raise BadArgument("a schedule needs a --name, by which it is shown, paused and deleted")
    if len(requests) != 1 or arguments.wait is not None or arguments.idempotency_key is not None:
        raise BadArgument("a schedule takes one request, and neither --wait nor --idempotency-key")
    return schedules.put(session, arguments.name, schedule_arguments.request_of(arguments, requests[0]))


def _bound(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds


def requests_of(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The job requests that a command line gives."""
    options = {name: getattr(arguments, name) for name in OPTIONS if getattr(arguments, name) is not None}
    task = arguments.task
    if task.type is None:
        return [{**document, **options} for document in task.documents]
    return [{"type": task.type, "payload": document, **options} for document in task.documents]


def _say_accepted(session: Session, handle: Any, quiet: bool) -> None:
    if session.as_json:
        session.json(handle.document)
    elif quiet:
        session.say(handle.id)
    else:
        how = " (the job that holds this unique key)" if handle.deduplicated else "" if handle.created else " (the same request as before)"
        session.say(f"{handle.id} {clean(handle.status)}{how}")


# ---- many -------------------------------------------------------------------------------------------------------


def _submit_many(session: Session, arguments: argparse.Namespace, requests: list[dict[str, Any]]) -> int:
    if arguments.idempotency_key is not None:  # a file sent twice makes its jobs once
        requests = [{"idempotency_key": f"{arguments.idempotency_key}/{n}", **request} for n, request in enumerate(requests)]
    answers = session.client.submit_many(requests)
    refused = [(number, answer) for number, answer in enumerate(answers, 1) if isinstance(answer, ObservatoryApiError)]
    handles = [answer for answer in answers if not isinstance(answer, ObservatoryApiError)]
    ended = [handle.wait(_bound(arguments.wait)).document for handle in handles] if arguments.wait is not None else []
    if session.as_json:
        session.json({"items": [_item(answer) for answer in answers]})
    elif arguments.quiet:
        for handle in handles:
            session.say(handle.id)
    else:
        repeated = sum(not handle.created for handle in handles)
        session.say(f"{len(handles)} accepted{f' ({repeated} of them known before)' if repeated else ''}, {len(refused)} refused")
        for job in ended:
            session.say(f"{job['id']} {job['status']}")
    _say_refused(session, refused)
    return exits.REFUSED if refused else exit_code(ended)


def _item(answer: Any) -> dict[str, Any]:
    if isinstance(answer, ObservatoryApiError):
        return {"status": answer.status, "problem": answer.problem}
    return dict(answer.document)


def _say_refused(session: Session, refused: list[tuple[int, ObservatoryApiError]]) -> None:
    if session.as_json:
        return
    for number, error in refused[:LISTED_REFUSALS]:
        session.note(clean(f"item {number}: {error.message}"))
        for fault in error.faults:
            session.note(clean(f"  {fault.pointer or 'the whole'}: {fault.message}"))
    if len(refused) > LISTED_REFUSALS:
        session.note(f"... and {len(refused) - LISTED_REFUSALS} more; --json lists all")
