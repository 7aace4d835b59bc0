"""Queries on the command line: read here first, so that a fault is shown at its place."""

from console.payloads import BadArgument
from console.session import Session
from console.text import clean, width
from contracts.errors import MalformedQuery
from contracts.query import JOBS, parse
from contracts.query.fields import Language


def checked(session: Session, text: str | None, language: Language = JOBS) -> str | None:
    """The query as given; None for none. Raises BadArgument, after showing the place of the fault to people."""
    try:
        parse(text or "", language)
    except MalformedQuery as fault:
        if not session.as_json:
            session.note(clean(text or ""))
            session.note(" " * width(clean((text or "")[: fault.offset])) + "^" * min(fault.length, 60))
        raise BadArgument(fault.message, faults=fault.faults) from None
    return text or None
