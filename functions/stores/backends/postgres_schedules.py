"""Schedules on PostgreSQL: rows, what a transaction needs of them, and what readers ask."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from contracts.errors import ScheduleNotFound
from contracts.event import Event
from contracts.event_types import SCHEDULE_FIRED, SCHEDULE_SKIPPED
from contracts.schedule import Schedule
from contracts.timing import Timing
from functions.stores import commands as cmd
from functions.stores.backends.postgres_database import PostgresDatabase
from functions.stores.backends.postgres_rows import packed
from functions.stores.backends.postgres_statements import call
from functions.stores.backends.postgres_transaction import Questions, Transaction
from functions.stores.cursors import decode_cursor, encode_cursor
from functions.stores.job_store import Page

_OWN = ("name", "paused", "next_at", "last_at", "last_job_id")  # the rest is in `definition`


def _row(schedule: Schedule) -> dict[str, Any]:
    definition = {name: value for name, value in asdict(schedule).items() if name not in _OWN}
    text = orjson.dumps(definition, option=orjson.OPT_SORT_KEYS).decode()
    return {"definition": text, **{name: getattr(schedule, name) for name in _OWN}}


def _schedule(row: Sequence[Any]) -> Schedule:
    name, text, paused, next_at, last_at, last_job_id = row
    definition = orjson.loads(text)
    definition["timing"] = Timing(**definition["timing"])
    return Schedule(name=name, paused=paused, next_at=next_at, last_at=last_at, last_job_id=last_job_id, **definition)


# ---- in a write transaction -------------------------------------------------------------------------------------


def ask(questions: Questions, needs: cmd.Needs, unit: cmd.Unit) -> None:
    """The schedules that commands asked for."""

    def keep(rows: Iterable[Sequence[Any]]) -> list[str]:
        """Adds schedules to the unit, one object each; their names in order."""
        names = []
        for row in rows:
            names.append(row[0])
            if row[0] not in unit.schedules:
                unit.schedules[row[0]] = _schedule(row)
        return names

    if needs.all_schedules:
        questions.add(keep, "all_schedules")
    elif needs.schedules:
        questions.add(keep, "schedules_by_name", names=sorted(needs.schedules))
    if needs.due_schedules:
        questions.add(lambda rows: unit.due_schedules.extend(keep(rows)), "due_schedules", now=unit.now, limit=needs.due_schedules)
        questions.add(lambda rows: setattr(unit, "next_firing_at", rows[0][0]), "next_firing_at", now=unit.now)


def write(transaction: Transaction, schedules: Mapping[str, Schedule | None]) -> None:
    """Rows as they are to be; None takes one away."""
    rows = [_row(schedule) for schedule in schedules.values() if schedule is not None]
    if rows:
        transaction.add("write_schedules", rows=packed(rows))
    if gone := [name for name, schedule in schedules.items() if schedule is None]:
        transaction.add("delete_schedules", names=gone)


# ---- readers ----------------------------------------------------------------------------------------------------


async def read_one(database: PostgresDatabase, name: str) -> Schedule:
    rows = await database.rows("schedules_by_name", names=[name])
    if not rows:
        raise ScheduleNotFound(f"there is no schedule {name!r}")
    return _schedule(rows[0])


async def read_page(database: PostgresDatabase, limit: int, cursor: str | None) -> Page[Schedule]:
    after = "" if cursor is None else decode_cursor(cursor)
    rows = await database.rows("schedules_page", after=after, limit=limit + 1)
    found = [_schedule(row) for row in rows[:limit]]
    return Page(found, encode_cursor(found[-1].name) if len(rows) > limit else None)


async def with_history(database: PostgresDatabase) -> list[tuple[str, Schedule | None, list[Event]]]:
    """Each schedule that is stored or told of, with the events that its row is made of."""
    stored, told = await database.read(call("all_schedules"), call("schedule_events", passing=[SCHEDULE_FIRED, SCHEDULE_SKIPPED]))
    rows = {row[0]: _schedule(row) for row in stored}
    events: dict[str, list[Event]] = defaultdict(list)
    for stream, body in told:
        events[stream.removeprefix("schedule/")].append(Event(orjson.loads(body)))
    return [(name, rows.get(name), events[name]) for name in sorted({*rows, *events})]
