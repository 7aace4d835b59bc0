"""The event log as the checker looks at it, read from MongoDB as it lies there: each event's text under its position."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pymongo import MongoClient

BUCKET = 1_000


def archived_wrongly(url: str, rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Whatever of these rows of the feed, the last ones, the event log holds otherwise, or not, or in between, each as a sentence; asked by
    equality on the bucket alone, as FerretDB can. Of events that hold no secret: those are kept redacted."""
    feed = {row["position"]: row["document"] | {"position": str(row["position"])} for row in rows}
    client: MongoClient[dict[str, Any]] = MongoClient(url, serverSelectionTimeoutMS=10_000)
    with client:
        events = client.get_default_database("observatory").get_collection("events")
        for bucket in sorted({position // BUCKET for position in feed}):
            found = events.find({"bucket": bucket}, {"body": 1}).batch_size(BUCKET)
            kept = {document["_id"]: json.loads(document["body"]) for document in found}
            for position in sorted(kept.keys() | {position for position in feed if position // BUCKET == bucket}):
                if position not in kept:
                    yield f"I7: the event at position {position} is not in the event log"
                elif position not in feed and position < max(feed):  # after these the feed goes on
                    yield f"I7: the event log holds an event at position {position}, where the feed has none"
                elif position in feed and kept[position] != feed[position]:
                    yield f"I7: at position {position} the event log tells {kept[position]}, the feed {feed[position]}"
