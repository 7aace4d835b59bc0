"""Schedules: what to send."""

from typing import Any
from urllib.parse import quote

from console.api.exchange import Call, Patience, Steps, exchange, json_of
from console.api.submission import Accepted, accepted_of, new_key


def path(name: str, rest: str = "") -> str:
    """`/v1/schedules/NAME`; whatever a person typed as a name stays one segment."""
    return f"/v1/schedules/{quote(str(name), safe='')}{rest}"


def run(name: str, key: str | None, patience: Patience) -> Steps[Accepted]:
    """A run now. A repeat under the same key is the same run, so a lost answer costs nothing."""
    call = Call("POST", path(name, "/run"), (), None, {"idempotency-key": key or new_key()})
    answer = yield from exchange(call, patience)
    document: dict[str, Any] = json_of(answer)
    return accepted_of(document, document.get("status", "queued"), answer.status == 202)
