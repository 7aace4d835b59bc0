"""The SQL of PostgreSQL by its names: `sql/postgres/*.sql`, each statement under a line `-- name: NAME`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from contracts.folding import COMPARED
from contracts.job import JOB_FIELDS
from functions.stores.rows import MUTABLE
from functions.stores.search.entries import RAW

FOLDER = Path(__file__).parent / "sql" / "postgres"
MIGRATIONS = FOLDER / "migrations"


def _selected(*without: str) -> str:
    return ", ".join(f"NULL::text AS {name}" if name in without else f"jobs.{name}" for name in JOB_FIELDS)


OWNERS = ("statistics", "checkpoint")  # of deltas in rows
_PLACES = {
    "{columns}": ", ".join(JOB_FIELDS),
    "{job}": _selected(),
    "{light}": _selected("payload"),
    "{bare}": _selected("payload", "result"),
    "{raw}": ", ".join(f"jobs.{name}" for name in RAW),
    "{mutable_from_r}": ", ".join(f"{name} = r.{name}" for name in MUTABLE),
    "{compared_from_r}": ", ".join(f"{name} = r.{name}" for name in COMPARED if name != "id"),
}


class Statement(NamedTuple):
    """A statement with `%(name)s` for its values, as psycopg's cursors take it, and with `$1` for them, in the order of `names`."""

    sql: bytes
    numbered: bytes
    names: tuple[str, ...]


class Call(NamedTuple):
    """A statement with its values."""

    statement: Statement
    values: Mapping[str, Any] | None = None


def statement(sql: str) -> Statement:
    """A statement from its text."""
    names = tuple(dict.fromkeys(re.findall(r"%\((\w+)\)s", sql)))
    numbered = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", sql).replace("%%", "%")
    return Statement(sql.encode(), numbered.encode(), names)


def _read(path: Path) -> dict[str, Statement]:
    found: dict[str, Statement] = {}
    for part in re.split(r"^-- name: ", path.read_text(), flags=re.MULTILINE)[1:]:
        name, _, text = part.partition("\n")
        lines = [line for line in text.splitlines() if not line.startswith("--")]
        sql = "\n".join(lines).strip().removesuffix(";")
        for place, columns in _PLACES.items():
            sql = sql.replace(place, columns)
        for owner in OWNERS if "{owner}" in name else [""]:
            found[name.strip().replace("{owner}", owner)] = statement(sql.replace("{owner}", owner))
    return found


STATEMENTS: dict[str, Statement] = {name: found for path in sorted(FOLDER.glob("*.sql")) for name, found in _read(path).items()}
BEGIN, COMMIT, ROLLBACK = (Call(statement(word)) for word in ("BEGIN", "COMMIT", "ROLLBACK"))
BEGIN_SNAPSHOT = Call(statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))


def call(name: str, /, **values: Any) -> Call:
    """The statement of that name with these values."""
    return Call(STATEMENTS[name], values or None)
