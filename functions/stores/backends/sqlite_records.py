"""Writes on SQLite that are no moves: cursors, dead letters, refusals, what is secret."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from contracts import strict_json
from functions.stores import commands as cmd
from functions.stores.backends.sqlite_database import one, write_rows
from functions.stores.job_store import DeadLetter, Refusal

SAMPLES_A_MINUTE = 10


def advance(connection: sqlite3.Connection, cursor: str, position: int) -> None:
    connection.execute(
        """INSERT INTO cursors (name, position) VALUES (?, ?)
           ON CONFLICT (name) DO UPDATE SET position = max(position, excluded.position)""",
        (cursor, position),
    )


def set_back(connection: sqlite3.Connection, cursor: str, position: int) -> None:
    connection.execute(
        """INSERT INTO cursors (name, position) VALUES (?, ?)
           ON CONFLICT (name) DO UPDATE SET position = min(position, excluded.position)""",
        (cursor, position),
    )


def keep_dead_letter(connection: sqlite3.Connection, letter: DeadLetter) -> None:
    connection.execute(
        """INSERT INTO dead_letters
               (id, trigger, source, event_id, event_type, reason, attempts, content_type, body, headers, kept_at, position, status)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'kept')
           ON CONFLICT (trigger, source, event_id) DO UPDATE SET attempts = attempts + excluded.attempts, reason = excluded.reason,
               status = CASE status WHEN 'discarded' THEN status ELSE 'kept' END
           WHERE dead_letters.id <> excluded.id""",
        (letter.id, letter.trigger, letter.source, letter.event_id, letter.event_type, letter.reason, letter.attempts,
         letter.content_type, letter.body, strict_json.dumps_text(letter.headers), letter.kept_at, letter.position),
    )  # fmt: skip


_PASSED = "what was away came back, and its reader has passed the event"


def resolve_dead_letters(connection: sqlite3.Connection, readers: Sequence[str], position: int, claimers: Sequence[str]) -> int:
    """See JobStore. The reason tells a fault that passes (5xx, no answer) from one that does not."""
    following, claiming = (",".join("?" * len(triggers)) for triggers in (readers, claimers))
    done = connection.execute(
        f"""UPDATE dead_letters SET status = 'resolved', outcome = ?
            WHERE status = 'kept' AND position IS NOT NULL AND (reason LIKE 'the subscriber answered 5%' OR reason LIKE '%no answer%')
              AND ((trigger IN ({following}) AND position <= ?)
                   OR (trigger IN ({claiming}) AND event_type = 'dev.observatory.job.queued.v1'
                       AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = substr(event_id, 5, 36) AND jobs.status = 'queued')))""",
        (_PASSED, *readers, position, *claimers),
    )
    return done.rowcount


def hold(connection: sqlite3.Connection, name: str, holder: str, now: int, until: int) -> bool:
    """See JobStore."""
    done = connection.execute(
        """INSERT INTO holds (name, holder, until) VALUES (?1, ?2, ?4)
           ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE holds.holder = ?2 OR holds.until <= ?3""",
        (name, holder, now, until),
    )
    return done.rowcount == 1


def let_go(connection: sqlite3.Connection, name: str, holder: str) -> None:
    connection.execute("DELETE FROM holds WHERE name = ? AND holder = ?", (name, holder))


def record_refusals(connection: sqlite3.Connection, refusals: Sequence[Refusal], now: int) -> None:
    minute = now // cmd.MINUTE
    kept = one(connection, "SELECT sum(json_array_length(samples)) FROM refusals WHERE minute = ?", (minute,)) or 0
    for refusal in refusals:
        sample = []
        if refusal.sample is not None and kept < SAMPLES_A_MINUTE:
            sample, kept = [{"detail": refusal.detail, "sample": refusal.sample}], kept + 1
        connection.execute(
            """INSERT INTO refusals (minute, subject_type, reason, count, samples) VALUES (?1, ?2, ?3, 1, ?4)
               ON CONFLICT (minute, subject_type, reason) DO UPDATE SET count = count + 1,
                   samples = CASE WHEN ?4 = '[]' THEN samples ELSE json_insert(samples, '$[#]', json(json_extract(?4, '$[0]'))) END""",
            (minute, refusal.subject_type, refusal.reason, strict_json.dumps_text(sample)),
        )


def keep_secret_schemas(connection: sqlite3.Connection, schemas: Mapping[str, Any]) -> None:
    rows = [(job_type, strict_json.dumps_text(schema)) for job_type, schema in schemas.items()]
    write_rows(connection, "INSERT OR IGNORE INTO secret_schemas (type, schema)", rows)


def secret_schemas(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """All that were ever kept, by type."""
    kept: dict[str, list[Any]] = defaultdict(list)
    for job_type, schema in connection.execute("SELECT type, schema FROM secret_schemas ORDER BY type, schema"):
        kept[job_type].append(orjson.loads(schema))
    return dict(kept)
