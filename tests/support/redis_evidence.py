"""The statistics that the checker looks at, read from Redis as they lie there: a hash of totals, its fields `kind|queue|type|...`."""

from typing import Any

import redis


def read_redis(url: str, source: str) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
    """The cursor, and rows as SQL would give them: the states, and the sums since the beginning (minute 0)."""
    with redis.Redis.from_url(url, decode_responses=True) as connection:
        totals: dict[str, str] = connection.hgetall(f"observatory:{{{source.rpartition(':')[2]}}}:totals")  # type: ignore[assignment]
    states, sums = [], []
    for field, value in totals.items():
        kind, *key = field.split("|")
        if kind == "s":
            states.append({"queue": key[0], "type": key[1], "status": key[2], "jobs": int(value)})
        elif kind == "n":
            sums.append({"minute": 0, "queue": key[0], "type": key[1], "measure": key[2], "value": int(value)})
    return int(totals.get("cursor", 0)), states, sums
