"""csv.summary: what the columns of a table hold."""

import csv
import io
import math
from typing import Any

from functions.processor.tasks.context import Permanent, TaskContext
from functions.processor.tasks.reading import open_allowed
from functions.processor.tasks.registry import task

_ROWS_BETWEEN_LOOKS = 10_000


@task("csv.summary", schema="csv-summary.v1.json", timeout_seconds=300)
def csv_summary(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Summarises the columns of a CSV file: type, empty cells, smallest, largest, mean."""
    with open_allowed(payload["path"]) as raw, io.TextIOWrapper(io.BufferedReader(raw), "utf-8-sig", newline="") as text:  # type: ignore[type-var]
        rows = csv.reader(text, delimiter=payload.get("delimiter", ","), strict=True)
        try:
            return _summarise(rows, payload.get("columns"), context)
        except UnicodeDecodeError as error:
            raise Permanent(f"the file is not UTF-8 text: {error.reason} near row {rows.line_num + 1}") from None
        except csv.Error as error:
            raise Permanent(f"the file is not CSV, near line {rows.line_num}: {error}") from None


def _summarise(rows: Any, wanted: list[str] | None, context: TaskContext) -> dict[str, Any]:
    names: list[str] = next(rows, [])
    absent = [name for name in wanted or () if name not in names]
    if absent:
        raise Permanent(f"there is no column {absent[0]!r}; the file has {', '.join(map(repr, names)) or 'none'}")
    columns = [(at, _Column(name)) for at, name in enumerate(names) if wanted is None or name in wanted]
    count = uneven = 0
    for row in rows:
        count += 1
        uneven += len(row) != len(names)
        width = len(row)
        for at, column in columns:
            column.add(row[at] if at < width else "")
        if count % _ROWS_BETWEEN_LOOKS == 0:
            context.check_cancelled()
            context.progress(message=f"{count:,} rows")
    return {"rows": count, "uneven_rows": uneven, "columns": [column.result() for _, column in columns]}


class _Column:
    """One column's figures, kept as its cells pass. A column is of the narrowest type that holds all its cells."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._empty = self._filled = 0
        self._numeric = self._whole = True
        self._total: int | float = 0
        self._lowest: int | float = math.inf
        self._highest: int | float = -math.inf
        self._first: str | None = None
        self._last: str | None = None

    def add(self, cell: str) -> None:
        if not cell.strip():
            self._empty += 1
            return
        self._filled += 1
        if self._numeric:
            self._add_number(_number(cell))
        self._first = cell if self._first is None else min(self._first, cell)
        self._last = cell if self._last is None else max(self._last, cell)

    def _add_number(self, number: int | float | None) -> None:
        if number is None:
            self._numeric = False
            return
        self._whole = self._whole and type(number) is int
        self._total += number
        self._lowest = min(self._lowest, number)
        self._highest = max(self._highest, number)

    def result(self) -> dict[str, Any]:
        summary = {"name": self._name, "type": self._type(), "filled": self._filled, "empty": self._empty}
        if self._filled and self._numeric:
            return {**summary, "minimum": self._lowest, "maximum": self._highest, "mean": self._total / self._filled}
        return {**summary, "minimum": _short(self._first), "maximum": _short(self._last), "mean": None}

    def _type(self) -> str:
        if not self._filled:
            return "empty"
        if not self._numeric:
            return "text"
        return "integer" if self._whole else "number"


def _number(cell: str) -> int | float | None:
    """The number that a cell says; whole ones beyond 64 bits become floats, as JSON's readers make them."""
    if "_" in cell:
        return None
    try:
        whole = int(cell)
        return whole if abs(whole) < 2**63 else float(whole)
    except (ValueError, OverflowError):
        pass
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _short(text: str | None) -> str | None:
    return None if text is None else text[:200]
