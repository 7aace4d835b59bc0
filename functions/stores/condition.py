"""What a store says of itself, for people: whether it answers, what is wrong with it, and how to mend that."""

from dataclasses import asdict, dataclass, replace
from typing import Any

OK, WARN, FAIL = "ok", "warn", "fail"
_ORDER = (OK, WARN, FAIL)


@dataclass(frozen=True, slots=True)
class Condition:
    """One store: `name` is its part (jobs, statistics, event log, broker), `kind` what it is and where; `found` and `mend` are words."""

    name: str
    kind: str
    verdict: str = OK
    found: str = "answers"
    mend: str = ""
    position: int | None = None  # of the feed, up to which it has come
    first: int | None = None  # of the feed, from which on it has everything

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def but(self, verdict: str, found: str, mend: str) -> "Condition":
        """With one more thing to say; the worst verdict counts."""
        worst = max(self.verdict, verdict, key=_ORDER.index)
        return replace(self, verdict=worst, found=f"{self.found}; {found}", mend=f"{self.mend}; {mend}" if self.mend else mend)
