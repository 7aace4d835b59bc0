"""One wish for each of several things."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from console import cli, exits
from console.api.errors import ObservatoryApiError
from console.session import Session
from console.text import clean


def read_names(words: Iterable[str]) -> Iterator[str]:
    """The words; in the place of `-` those of standard input."""
    for word in words:
        if word == "-":
            yield from sys.stdin.read().split()
        else:
            yield word


def for_each(
    session: Session, names: Iterable[str], act: Callable[[str], Any], words: Callable[[str, Any], str],
    code_of: Callable[[Any], int] = lambda answer: exits.OK, *, named: str = "id",
) -> int:  # fmt: skip
    """Does `act` for each name and says the `words` of its answer; `code_of` an answer is its exit code. What is refused is told
    and passed over; the first that is not well decides the exit code. `named` is what the names are called in JSON."""
    code, items = exits.OK, []
    for name in read_names(names):
        try:
            answer = act(name)
        except ObservatoryApiError as error:
            if error.status not in (403, 404, 409, 422):
                raise
            code = code or cli.exit_code_of(error)
            items.append({named: name, "status": error.status, "problem": error.problem})
            session.note(clean(f"{name}: {error.message}"))
            continue
        items.append(answer)
        code = code or code_of(answer)
        if not session.as_json:
            session.say(clean(words(name, answer)))
    if session.as_json:
        session.json({"items": items})
    return code
