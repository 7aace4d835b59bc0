"""Schedules on SQLite: rows, what a transaction needs of them, and what readers ask."""

import sqlite3
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
from functions.stores.backends.sqlite_database import one, write_rows
from functions.stores.cursors import decode_cursor, encode_cursor
from functions.stores.job_store import Page

_COLUMNS = "name, definition, paused, next_at, last_at, last_job_id"
_OWN = ("name", "paused", "next_at", "last_at", "last_job_id")  # the rest is in `definition`


def _row(schedule: Schedule) -> tuple[Any, ...]:
    definition = {name: value for name, value in asdict(schedule).items() if name not in _OWN}
    text = orjson.dumps(definition, option=orjson.OPT_SORT_KEYS).decode()
    return schedule.name, text, schedule.paused, schedule.next_at, schedule.last_at, schedule.last_job_id


def _schedule(row: Sequence[Any]) -> Schedule:
    name, text, paused, next_at, last_at, last_job_id = row
    definition = orjson.loads(text)
    definition["timing"] = Timing(**definition["timing"])
    return Schedule(name=name, paused=bool(paused), next_at=next_at, last_at=last_at, last_job_id=last_job_id, **definition)


# ---- in a write transaction -------------------------------------------------------------------------------------


def load(connection: sqlite3.Connection, needs: cmd.Needs, unit: cmd.Unit) -> None:
    """The schedules that commands asked for; before they plan."""
    if needs.all_schedules:
        _keep(unit, connection.execute(f"SELECT {_COLUMNS} FROM schedules"))
    elif needs.schedules:
        names = orjson.dumps(sorted(needs.schedules)).decode()
        _keep(unit, connection.execute(f"SELECT {_COLUMNS} FROM schedules WHERE name IN (SELECT value FROM json_each(?))", (names,)))
    if needs.due_schedules:
        due = f"SELECT {_COLUMNS} FROM schedules WHERE next_at <= ? ORDER BY next_at LIMIT ?"
        unit.due_schedules = _keep(unit, connection.execute(due, (unit.now, needs.due_schedules)))
        unit.next_firing_at = one(connection, "SELECT min(next_at) FROM schedules WHERE next_at > ?", (unit.now,))


def _keep(unit: cmd.Unit, rows: Iterable[Sequence[Any]]) -> list[str]:
    """Adds schedules to the unit, one object each; their names in order."""
    names = []
    for row in rows:
        names.append(row[0])
        unit.schedules.setdefault(row[0], _schedule(row))
    return names


def write(connection: sqlite3.Connection, unit: cmd.Unit) -> None:
    """The schedules that commands changed."""
    restore(connection, {name: unit.schedules.get(name) for name in unit.changed_schedules})


def restore(connection: sqlite3.Connection, schedules: Mapping[str, Schedule | None]) -> None:
    """Rows as they are to be; None takes one away."""
    rows = [_row(schedule) for schedule in schedules.values() if schedule is not None]
    write_rows(connection, f"INSERT OR REPLACE INTO schedules ({_COLUMNS})", rows)
    for name, schedule in schedules.items():
        if schedule is None:
            connection.execute("DELETE FROM schedules WHERE name = ?", (name,))


# ---- readers ----------------------------------------------------------------------------------------------------


def read_one(connection: sqlite3.Connection, name: str) -> Schedule:
    row = connection.execute(f"SELECT {_COLUMNS} FROM schedules WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ScheduleNotFound(f"there is no schedule {name!r}")
    return _schedule(row)


def read_page(connection: sqlite3.Connection, limit: int, cursor: str | None) -> Page[Schedule]:
    after = "" if cursor is None else decode_cursor(cursor)
    rows = connection.execute(f"SELECT {_COLUMNS} FROM schedules WHERE name > ? ORDER BY name LIMIT ?", (after, limit + 1)).fetchall()
    found = [_schedule(row) for row in rows[:limit]]
    return Page(found, encode_cursor(found[-1].name) if len(rows) > limit else None)


# ---- audit ------------------------------------------------------------------------------------------------------


def with_history(connection: sqlite3.Connection) -> list[tuple[str, Schedule | None, list[Event]]]:
    rows = {row[0]: _schedule(row) for row in connection.execute(f"SELECT {_COLUMNS} FROM schedules")}
    events: dict[str, list[Event]] = defaultdict(list)
    for stream, body in connection.execute(_DECISIVE, (SCHEDULE_FIRED, SCHEDULE_SKIPPED)):
        events[stream.removeprefix("schedule/")].append(Event(orjson.loads(body)))
    return [(name, rows.get(name), events[name]) for name in sorted({*rows, *events})]


_OF_SCHEDULES = "stream > 'schedule/' AND stream < 'schedule0'"  # '0' is the character after '/'
_DECISIVE = f"""SELECT stream, body FROM events WHERE {_OF_SCHEDULES} AND (type NOT IN (?1, ?2) OR position IN (
                    SELECT max(position) FROM events WHERE {_OF_SCHEDULES} AND type IN (?1, ?2) GROUP BY stream, type))
                ORDER BY stream, sequence"""
