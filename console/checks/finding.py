"""One line of `doctor`."""

from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`verdict` is ok, warn or fail; `mend` says what to do about it, empty for ok."""

    verdict: str
    what: str
    found: str
    mend: str = ""


def judged(good: bool, what: str, found: str, mend: str, verdict: str = FAIL) -> Finding:
    """ok when it is good, else `verdict` with the way to mend it."""
    return Finding(OK, what, found) if good else Finding(verdict, what, found, mend)
