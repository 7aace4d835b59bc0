"""Figures with their targets, and the table that a person reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PEER_JOBS_A_SECOND = 2_257
PEER = (
    f"Peer: Celery 5.7, prefork 2, RabbitMQ 3.10, did {PEER_JOBS_A_SECOND:,} no-op jobs/s on two cores with its defaults\n"
    "(early ack, no confirms, no results, no events). That figure was measured elsewhere and was not run again here."
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing. `target` is a bound: the least if `more_is_better`, else the most; None: none is set."""

    name: str
    value: float | None
    unit: str
    target: float | None = None
    more_is_better: bool = False
    note: str = ""
    runs: list[float] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """`met`, `MISSED`, `-` without a target, or `not run`."""
        if self.value is None:
            return "not run"
        if self.target is None:
            return "-"
        met = self.value > self.target if self.more_is_better else self.value < self.target
        return "met" if met else "MISSED"

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "value": self.value, "unit": self.unit, "target": self.target, "more_is_better": self.more_is_better,
            "verdict": self.verdict, "runs": self.runs, "note": self.note,
        }  # fmt: skip


def number(value: float | None) -> str:
    """A figure as people read it: three digits that count, thousands apart."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def table(figures: Sequence[Figure]) -> str:
    """The figures, one a line."""
    rows = [("what", "figure", "target", "verdict", "")]
    rows += [(f.name, f"{number(f.value)} {f.unit}".strip(), _target(f), f.verdict, f.note) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:<{widths[3]}}  {row[4]}".rstrip() for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _target(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return f"{'over' if figure.more_is_better else 'under'} {number(figure.target)} {figure.unit}"
