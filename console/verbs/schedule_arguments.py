"""From a command line to a schedule request: the timing and rules, shared by `schedules put` and `submit --every`."""

import argparse
from collections.abc import Sequence
from typing import Any

from console.payloads import BadArgument
from console.verbs import task_arguments
from console.verbs.arguments import span

ALONE = {  # what belongs to one job, and its option
    "run_at": "--at", "expires_at": "--expires", "parent_id": "--parent", "depends_on": "--after", "on_parent_failure": "--on-parent-failure",
}  # fmt: skip


def is_asked_for(argv: Sequence[str]) -> bool:
    """Whether a command line makes a schedule."""
    return any(token.partition("=")[0] in ("--every", "--cron") for token in argv)


def add_when(parser: argparse.ArgumentParser) -> None:
    """The two options of which one makes a schedule."""
    add = parser.add_argument_group("a schedule (see the verb schedules)").add_argument
    add("--every", type=span, metavar="SPAN", help="the time between: 30s, 10m, 2h, 1d, 1h30m; --name NAME says of what schedule")
    add("--cron", metavar="EXPR", help="minute hour day-of-month month day-of-week, such as '30 2 * * MON-FRI' (six fields: seconds first)")


def add_rules(parser: argparse.ArgumentParser) -> None:
    """How it fires."""
    add = parser.add_argument_group("options of the schedule").add_argument
    add("--timezone", metavar="ZONE", help="of --cron, such as Europe/Berlin (UTC)")
    add("--overlap", choices=("skip", "queue"), help="while the job before has not ended: pass the due time over (skip), or queue one more")
    add("--misfires", choices=("one", "all", "none"), help="what passed while nothing ran: make up for the last one, all, or none (one)")
    add("--paused", action=argparse.BooleanOptionalAction, default=None, help="make it paused")


def timing(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields of a schedule request that the options give. Raises BadArgument."""
    found: dict[str, Any] = {name: value for name in ("cron", "timezone", "overlap", "misfires", "paused")
                             if (value := getattr(arguments, name, None)) is not None}  # fmt: skip
    if arguments.every is not None:
        found["every_seconds"] = arguments.every
    return found


def request_of(arguments: argparse.Namespace, job: dict[str, Any]) -> dict[str, Any]:
    """The schedule request of the options and a job request. Raises BadArgument."""
    alone = [option for name, option in ALONE.items() if name in job]
    if alone:
        raise BadArgument(f"{', '.join(alone)}: belongs to one job; a schedule's jobs cannot have it")
    return {**timing(arguments), "template": job}


def configure_put(parser: argparse.ArgumentParser) -> None:
    from console.verbs import submit

    parser.usage = f"{parser.prog} put NAME TYPE [PAYLOAD] [OPTIONS]"
    submit.add_job_options(parser)
    for action in parser._actions:  # they are read, to be refused in words, and not offered
        if action.dest in ALONE:
            action.help = argparse.SUPPRESS
    add_when(parser)
    add_rules(parser)


def parse_put(parser: argparse.ArgumentParser, argv: list[str], namespace: argparse.Namespace) -> argparse.Namespace:
    """`NAME TYPE [PAYLOAD] [OPTIONS]`, or `NAME @file`: the answer has `schedule_name` and `request`."""
    from console.verbs import submit

    configure_put(parser)
    if not argv or argv[0].startswith("-"):
        if not {"-h", "--help"} & set(argv):
            parser.error("name the schedule first: schedules put NAME TYPE --every 10m")
        parser.parse_args(["--help"])
    given = task_arguments.parse(parser, argv[1:], namespace, submit.find_task)
    given.schedule_name = argv[0]
    given.request = _whole(given) if given.task.type is None else request_of(given, submit.request_of(given))
    return given


def _whole(given: argparse.Namespace) -> dict[str, Any]:
    """A schedule request from a file; options beside it win."""
    if given.task.stream is not None:
        raise BadArgument("a schedule is one JSON object, not many")
    return {**given.task.document, **timing(given)}
