"""A function as it is shown: its instances that live, its pods, and how its last cold starts went."""

from collections.abc import Mapping, Sequence
from typing import Any

from contracts.times import optional_rfc3339
from functions.stores.instances import Instance


def shown(name: str, does: str | None, records: Sequence[Instance], pods: Mapping[str, int] | None) -> dict[str, Any]:
    """`pods` is None where nobody counts them; where they are counted, no more instances live than there are pods, for one
    that was killed could not say that it stopped. A processor of a queue's own is told under its own Service's name."""
    own = sorted((record for record in records if record.function == name), key=lambda record: -record.started_at)
    living = [record for record in own if record.stopped_at is None]
    count = None if pods is None else pods.get(name, 0)
    starts = [record.start_seconds for record in own if record.start_seconds is not None]
    return {
        "name": name,
        "does": does,
        "pods": count,
        "instances": [record.as_json() for record in (living if count is None else living[:count])],
        "starts": len(own),
        "cold_start_seconds": starts[0] if starts else None,
        "last_started_at": optional_rfc3339(own[0].started_at if own else None),
        "last_stopped_at": optional_rfc3339(max((record.stopped_at for record in own if record.stopped_at is not None), default=None)),
    }
