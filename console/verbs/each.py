"""One wish for each of several things."""

from collections.abc import Callable, Iterable
from typing import Any

from console import cli, exits
from console.api.errors import ObservatoryApiError
from console.session import Session
from console.text import clean


def for_each(session: Session, names: Iterable[str], act: Callable[[str], Any], words: Callable[[str, Any], str]) -> int:
    """Does `act` for each name and says the `words` of its answer. What is refused is told and passed over; the first
    refusal decides the exit code."""
    code, items = exits.OK, []
    for name in names:
        try:
            answer = act(name)
        except ObservatoryApiError as error:
            if error.status not in (403, 404, 409, 422):
                raise
            code = code or cli.exit_code_of(error)
            items.append({"id": name, "status": error.status, "problem": error.problem})
            session.note(clean(f"{name} {error.message}"))
            continue
        items.append(answer)
        if not session.as_json:
            session.say(clean(words(name, answer)))
    if session.as_json:
        session.json({"items": items})
    return code
