"""Whether a dead letter fits a query, in plain Python. Free text looks at the reason."""

from typing import Protocol

from contracts.query.matching import COMPARE, holds
from contracts.query.syntax import Compare, ErrorSays, Is, PayloadIs, Query, Says, Term
from contracts.query.words import follow_each_other, words

_COLUMNS = {"id": "id", "status": "status", "trigger": "trigger", "type": "event_type", "source": "source", "event": "event_id"}


class Letter(Protocol):
    """What a query looks at; instants in microseconds."""

    @property
    def reason(self) -> str: ...
    @property
    def attempts(self) -> int: ...
    @property
    def kept_at(self) -> int: ...


def fits_letter(query: Query, letter: Letter, now: int) -> bool:
    """Whether a letter fits a query that was read in the language of letters."""

    def decides(term: Term) -> bool:
        if isinstance(term, Is):
            return bool(getattr(letter, _COLUMNS[term.field]) == term.value)
        if isinstance(term, Compare):
            return COMPARE[term.operator](now - letter.kept_at if term.field == "age" else letter.attempts, term.value)
        assert isinstance(term, ErrorSays | Says) and not isinstance(term, PayloadIs)
        return follow_each_other(words(term.text), words(letter.reason))

    return holds(query.root, decides)
