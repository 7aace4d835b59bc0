"""run: one handler here and now, without server, queue or store."""

import argparse
from typing import Any

from console import environment, exits
from console.payloads import BadArgument
from console.session import Session
from console.text import clean, duration, pretty
from console.verbs import task_arguments
from console.verbs.task_arguments import PAYLOAD_HELP, Definition, FindTask

EXAMPLES = f"""{PAYLOAD_HELP}
What the handler prints goes where this command prints; its timeout does not apply, nothing is stored.

examples:
  run text.statistics --text "hello world"
  run my.greeting name=ada --tasks my_tasks
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} TYPE [PAYLOAD] [OPTIONS]"
    parser.add_argument("--tasks", metavar="MODULES", help="further task modules, joined by commas (OBSERVATORY_TASKS)")


def parse(parser: argparse.ArgumentParser, argv: list[str], namespace: argparse.Namespace) -> argparse.Namespace:
    configure(parser)
    return task_arguments.parse(parser, argv, namespace, _finder)


def _modules(given: argparse.Namespace) -> list[str]:
    named = getattr(given, "tasks", None)
    return [name.strip() for name in named.split(",") if name.strip()] if named else environment.task_modules()


def _finder(given: argparse.Namespace) -> FindTask:
    """The code of this folder says what a type takes."""
    from functions.runtime import admin

    def find(kind: str) -> Definition | None:
        return admin.task_definition(kind, _modules(given))

    return find


def run(session: Session, arguments: argparse.Namespace) -> int:
    from functions.runtime import admin

    task = arguments.task
    if task.stream is not None or task.type is None:
        raise BadArgument("run takes one task type and one payload")

    def progressed(fraction: float | None, message: str | None) -> None:
        share = "" if fraction is None else f"{fraction:.0%} "
        session.note(clean(f"{share}{message or ''}".rstrip()))

    outcome: dict[str, Any] = admin.run_task(task.type, task.document, _modules(arguments), progressed)
    session.flush()
    if session.as_json:
        session.json(outcome)
    elif outcome["kind"] == "succeeded":
        session.note(f"succeeded in {duration(outcome['ran_seconds'])}")
        session.say(pretty(outcome["result"]))
    else:
        error = outcome["error"] or {"type": outcome["kind"], "message": f"asked to come again in {outcome['after_seconds']} s"}
        session.note(clean(f"{outcome['kind']}: {error['type']}: {error['message']}"))
        if error.get("traceback"):
            session.note(clean(error["traceback"].rstrip("\n"), lines=True))
    return exits.OK if outcome["kind"] in ("succeeded", "snoozed") else exits.FAILED
