"""rebuild: folds the log, and holds table, timelines and statistics against it."""

import argparse
import sys
from typing import Any

from console import exits
from console.session import Session
from console.text import clean, count
from console.verbs.arguments import positive
from console.verbs.progress import Bar

EXAMPLES = """The log is what happened; everything else must follow from it. --check names every difference and works beside a running
system. --apply mends the statistics, and after a yes jobs, attempts, schedules and counts, too; for that the system must be stopped.
Where OBSERVATORY_POSTGRES_URL names a database (OBSERVATORY_REDIS_URL: the statistics), it is about that, unless --data names a folder.
Exit code 1: something differs (or differs still).

examples:
  rebuild --check
  rebuild --check --data /srv/observatory --json
  rebuild --apply --yes
"""
SHOWN = 50


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="name every difference (the default)")
    what.add_argument("--apply", action="store_true", help="mend the statistics, and the table after a yes")
    parser.add_argument("--yes", action="store_true", help="--apply: mend the table without asking")
    parser.add_argument("--data", metavar="FOLDER", help="an embedded data folder (OBSERVATORY_DATA; .observatory)")
    parser.add_argument("--limit", type=positive, default=SHOWN, metavar="N", help=f"how many differences are written out ({SHOWN})")


def run(session: Session, arguments: argparse.Namespace) -> int:
    from functions.runtime import admin

    bar = Bar()
    found: list[Any] = []
    report = admin.check_log(arguments.data, bar, found.append)
    bar.end()
    if arguments.apply and found:
        return _apply(session, arguments, found, bar)
    if session.as_json:
        session.json(report | {"items": [difference.as_json() for difference in found[: arguments.limit]]})
    else:
        _show(session, found, arguments.limit)
        words = "nothing differs" if not found else f"{count(len(found))} differences"
        session.say(f"{words}: {count(report['jobs'])} jobs and {count(report['events'])} events in {report['seconds']:.1f} s")
    return exits.FAILED if found else exits.OK


def _show(session: Session, found: list[Any], limit: int) -> None:
    for difference in found[:limit]:
        session.say(clean(str(difference)))
    if len(found) > limit:
        session.note(f"... and {count(len(found) - limit)} more (--limit)")


def _apply(session: Session, arguments: argparse.Namespace, found: list[Any], bar: Bar) -> int:
    from functions.runtime import admin

    beyond = [difference for difference in found if difference.part != "statistics"]
    if not session.as_json:
        _show(session, found, arguments.limit)
    table = bool(beyond) and (arguments.yes or _agreed(len(beyond)))
    report = admin.mend_from_log(arguments.data, bar, table=table)
    bar.end()
    if session.as_json:
        session.json(report)
    else:
        session.say(f"{count(report['mended'])} mended, {count(report['differences'])} left")
        for difference in report["left"]:
            session.say(clean(difference["text"]))
    return exits.FAILED if report["differences"] else exits.OK


def _agreed(number: int) -> bool:
    """Whether a person at the terminal says yes; elsewhere the table stays as it is."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"Rewrite jobs, attempts, schedules and counts from the log ({count(number)} differences)? Type yes: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"
