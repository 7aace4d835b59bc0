"""bulk: one wish for every job, or dead letter, that a query finds."""

import argparse
import sys
import time
from typing import Any

from console import exits
from console.payloads import BadArgument
from console.session import Session
from console.text import clean, count
from console.verbs.queries import checked
from contracts.query import JOBS, LETTERS

EXAMPLES = """They are found when it begins; then they are done step by step, and a server that is killed goes on where it was.
replay and discard take dead letters, by their own fields: id, status, trigger, type, source, event, reason, attempts, age.
Exit code 1: some could not be done.

examples:
  bulk retry "state:failed age<1h" --dry-run
  bulk cancel "queue:bulk state:queued" --reason "wrong input" --yes
  bulk rerun "tag:nightly state:succeeded" --no-wait
  bulk replay "trigger:billing status:kept" --dry-run
  bulk discard "status:kept age>30d" --reason "of no use" --yes
  bulk list
  bulk show OPERATION
"""
LETTER_ACTIONS = ("replay", "discard")
ACTIONS = ("cancel", "retry", "rerun", *LETTER_ACTIONS)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", metavar="cancel | retry | rerun | replay | discard | list | show", choices=(*ACTIONS, "list", "show"))
    parser.add_argument("query", metavar="QUERY", nargs="?", help="which, in the query language; show: the operation")
    parser.add_argument("--dry-run", action="store_true", help="say how many it would be, and do nothing")
    parser.add_argument("--yes", action="store_true", help="do it without asking")
    parser.add_argument("--reason", help="goes into the log")
    parser.add_argument("--no-wait", action="store_true", help="begin, and do not wait for its end")


def run(session: Session, arguments: argparse.Namespace) -> int:
    if arguments.action == "list":
        if arguments.query is not None:
            raise BadArgument("bulk list takes nothing more; bulk show OPERATION is one of them")
        return _list(session)
    if arguments.query is None:
        session.note("bulk needs a query; \"\" is everything" if arguments.action in ACTIONS else "bulk show needs the operation's id")
        return exits.USAGE
    if arguments.action == "show":
        return _shown(session, session.client.bulk_operation(arguments.query))
    if arguments.action == "discard" and not (arguments.reason or arguments.dry_run):
        raise BadArgument('bulk discard needs --reason "..."')
    checked(session, arguments.query, LETTERS if arguments.action in LETTER_ACTIONS else JOBS)
    rehearsal = session.client.bulk(arguments.action, arguments.query, dry_run=True)
    if arguments.dry_run:
        return _rehearsed(session, rehearsal)
    if not _agreed(session, arguments, rehearsal):
        _rehearsed(session, rehearsal)
        return exits.USAGE
    operation = session.client.bulk(arguments.action, arguments.query, reason=arguments.reason)
    return _shown(session, operation if arguments.no_wait else _finished(session, operation))


def _agreed(session: Session, arguments: argparse.Namespace, rehearsal: Any) -> bool:
    if arguments.yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        session.note("nothing was done: say --yes, or --dry-run to rehearse it")
        return False
    sys.stderr.write(f"{arguments.action.capitalize()} {count(rehearsal['able'])} of {count(rehearsal['matched'])} at {session.url}? Type yes: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"


def _rehearsed(session: Session, rehearsal: Any) -> int:
    if session.as_json:
        session.json(rehearsal)
    else:
        session.say(clean(f"{rehearsal['action']}: {count(rehearsal['matched'])} found, {count(rehearsal['able'])} can be, "
                          f"{count(rehearsal['refused'])} cannot"))  # fmt: skip
        for job in rehearsal["samples"]:
            session.say(clean(f"  {job['id']}  {job['status']:<10}  {job['type'] or '-'}"))
    return exits.OK


def _finished(session: Session, operation: Any) -> Any:
    """The operation once it is finished; its progress on a terminal."""
    pause = 0.05
    while operation["status"] != "finished":
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)
        operation = session.client.get(operation["url"])
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{count(operation['done'])} of {count(operation['matched'])}\x1b[K")
            sys.stderr.flush()
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    return operation


def _shown(session: Session, operation: Any) -> int:
    refused = operation["done"] - operation["outcomes"].get("done", 0)
    if session.as_json:
        session.json(operation)
    else:
        session.say(clean(_line(operation)))
        for sample in operation["samples"]:
            session.say(clean(f"  {sample['id']}  {sample['outcome']}: {sample['detail']}"))
    return exits.FAILED if refused else exits.OK


def _line(operation: Any) -> str:
    parts = ", ".join(f"{count(number)} {outcome}" for outcome, number in sorted(operation["outcomes"].items()))
    parts = parts or ("none yet" if operation["matched"] else "nothing to do")
    return f"{operation['id']}  {operation['action']} {operation['q']!r}: {operation['status']}, {count(operation['matched'])} found, {parts}"


def _list(session: Session) -> int:
    page = session.client.get("/v1/bulk")
    if session.as_json:
        session.json(page)
        return exits.OK
    for operation in page["items"]:
        session.say(clean(_line(operation)))
    if not page["items"]:
        session.note("there was no bulk operation yet")
    return exits.OK
