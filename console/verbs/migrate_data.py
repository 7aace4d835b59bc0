"""migrate-data: carries an embedded data folder over into PostgreSQL."""

import argparse
from typing import Any

from console import exits
from console.session import Session
from console.text import Column, clean, count
from console.verbs.progress import Bar

EXAMPLES = """The folder's system must be stopped, and the database that OBSERVATORY_POSTGRES_URL names empty. Jobs, attempts, the feed with
its positions, schedules, queues, keys, steps, dead letters and bulk operations come along; statistics are folded anew at the first start.
A run that was broken off goes on where it was. The folder stays as it is, but no system starts on it any more.

examples:
  export OBSERVATORY_POSTGRES_URL=postgresql://USER:PASSWORD@HOST/DATABASE
  migrate-data --dry-run
  migrate-data --data /srv/observatory
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="FOLDER", help="the data folder (OBSERVATORY_DATA; .observatory)")
    parser.add_argument("--dry-run", action="store_true", help="check everything and say what would be carried")


def run(session: Session, arguments: argparse.Namespace) -> int:
    from functions.runtime import admin

    bar = Bar()
    try:
        report = admin.carry_over(arguments.data, bar, dry_run=arguments.dry_run)
    finally:
        bar.end()
    if session.as_json:
        session.json(report)
    else:
        _show(session, report)
    return exits.OK


def _show(session: Session, report: dict[str, Any]) -> None:
    filled = [row for row in report["tables"] if row["folder"] or row["database"]]
    columns = [Column("table"), Column("in the folder", align=">"), Column("in PostgreSQL", align=">")]
    session.table(columns, [[row["table"], count(row["folder"]), count(row["database"])] for row in filled])
    place = clean(report["database"])
    if report["was_there"]:
        session.say(f"The folder was carried over to {place} before; there is nothing to do.")
    elif report["dry_run"]:
        session.say(f"Nothing was changed. {'An earlier run goes on from there' if report['resumed'] else f'{place} is ready for it'}.")
    else:
        session.say(f"Carried over to {place}. It goes on there: make run PROFILE=servers, with OBSERVATORY_POSTGRES_URL set.")
