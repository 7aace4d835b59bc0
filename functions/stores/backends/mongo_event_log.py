"""`EventLog` on MongoDB, with commands that FerretDB 1.24 has, too: no transactions, no change streams, no time to live.

`events`: `_id` is the position, `body` the event's canonical JSON, the rest is there to be found by. Events never change, so
unordered inserts whose duplicates are passed over are upserts; FerretDB looks through the whole collection for each upsert. Only
where the feed came back from a copy may a writer, or a cut, that was killed have left another event at a position: it is replaced.
`cursors`: one document says which deployment this is, and what is kept. The cursor moves after the events.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import orjson
from pymongo import DESCENDING, AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, ConfigurationError, DuplicateKeyError, InvalidURI, OperationFailure, PyMongoError
from pymongo.write_concern import WriteConcern

from contracts import errors
from contracts.errors import EventLogUnavailable
from contracts.event import Event
from contracts.times import from_rfc3339
from functions.stores import faults
from functions.stores.condition import FAIL, Condition
from functions.stores.event_log import BUCKET_POSITIONS, Extent, bucket_of_position

Result = TypeVar("Result")
Document = dict[str, Any]

DATABASE = "observatory"  # where the URL names none
FEED = "feed"
DUPLICATE = 11000
BUCKETS_A_PRUNE = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMEOUTS: dict[str, Any] = {"serverSelectionTimeoutMS": 3_000, "connectTimeoutMS": 3_000, "socketTimeoutMS": 20_000}  # the URL may say otherwise
_MEND = {13: "give its user the role readWrite", 18: "look at user, password and authSource in OBSERVATORY_MONGO_URL"}


class MongoEventLog:
    """The database that `url` names; it may belong to one deployment, which `source` tells from others. Connects when it is used."""

    elsewhere = True

    def __init__(self, url: str, source: str) -> None:
        self._source = source
        try:
            self._client: AsyncMongoClient[Document] = AsyncMongoClient(url, **_unless_said(url), appname="observatory", tz_aware=True)
            database = self._client.get_default_database(DATABASE)
        except (InvalidURI, ConfigurationError, ValueError, OSError) as error:
            raise errors.ConfigurationError(f"OBSERVATORY_MONGO_URL cannot be used: {error}") from error
        said = self._client.write_concern
        durable = WriteConcern(w="majority", j=True) if said.is_server_default else said
        self._events: AsyncCollection[Document] = database.get_collection("events", write_concern=durable)
        self._cursors: AsyncCollection[Document] = database.get_collection("cursors", write_concern=durable)
        self._checked = False
        self._none_older_than = 0  # the oldest bucket ends then: before that there is nothing to drop
        self.address = _address(url)

    async def close(self) -> None:
        await self._client.close()

    async def ping(self) -> None:
        await self._ask(lambda: self._client.admin.command("ping"))

    async def condition(self) -> Condition:
        kind = f"MongoDB at {self.address}"
        try:
            extent = await self.extent()
            build = await self._ask(lambda: self._client.admin.command("buildInfo"))
        except EventLogUnavailable as error:
            mend = "start it, or correct OBSERVATORY_MONGO_URL; the metrics engine goes on by itself, and retention waits for it"
            return Condition("event log", kind, FAIL, error.message, mend)
        program = f"FerretDB {build['ferretdbVersion']}" if "ferretdbVersion" in build else f"MongoDB {build.get('version')}"
        return Condition("event log", f"{program} at {self.address}", position=extent.last, first=extent.complete_from)

    async def _ask(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Does the work; an answer that does not come, or is no answer, is EventLogUnavailable."""
        try:
            if not self._checked:
                await self._check()
            return await work()
        except OperationFailure as error:
            mend = f"; {_MEND[error.code]}" if error.code in _MEND else ""
            raise EventLogUnavailable(f"the event log (MongoDB at {self.address}) refuses: {_first_line(error)}{mend}") from error
        except PyMongoError as error:
            raise EventLogUnavailable(f"the event log (MongoDB at {self.address}) does not answer: {_first_line(error)}") from error

    async def _check(self) -> None:
        """Makes the indexes, and the document that says what is kept, unless they are there."""
        await self._events.create_index([("subject", 1), ("_id", 1)])
        await self._events.create_index("bucket")
        try:
            await self._cursors.insert_one({"_id": FEED, "source": self._source, "position": 0, "first": 1})
        except DuplicateKeyError:
            found = await self._cursors.find_one({"_id": FEED}) or {}
            if found.get("source") != self._source:
                raise EventLogUnavailable(
                    f"the event log (MongoDB at {self.address}) holds the events of another deployment ({found.get('source')}): "
                    "name another database at the end of OBSERVATORY_MONGO_URL"
                ) from None
        self._checked = True

    # ---- writing ----------------------------------------------------------------------------------------------

    async def extent(self) -> Extent:
        found = await self._ask(lambda: self._cursors.find_one({"_id": FEED}))
        if found is None:  # the database was dropped under us
            self._checked = False
            found = await self._ask(lambda: self._cursors.find_one({"_id": FEED})) or {"first": 1, "position": 0}
        return Extent(found["first"], found["position"], found.get("gap", 0))

    async def insert_batch(self, events: Sequence[Event], after: int, upto: int) -> bool:
        return await self._ask(lambda: self._insert_batch(events, after, upto))

    async def _insert_batch(self, events: Sequence[Event], after: int, upto: int) -> bool:
        if events:
            documents = [_document(event) for event in events]
            try:
                await self._events.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                if any(fault["code"] != DUPLICATE for fault in error.details["writeErrors"]) or error.details.get("writeConcernErrors"):
                    raise
                if await self._cursors.find_one({"_id": FEED, "position": after}) is None:
                    return False
                await self._replace_others(documents)
            faults.reach("archived")
        moved: Document = {"position": upto}
        if after == 0 and events:  # the first ones; the feed may begin later than at 1
            moved["first"] = events[0].position
        return (await self._cursors.update_one({"_id": FEED, "position": after}, {"$set": moved})).matched_count == 1

    async def _replace_others(self, documents: Sequence[Document]) -> None:
        """Of the events that were there already, those that are other events than these."""
        there: dict[int, Document] = {}
        for bucket in sorted({document["bucket"] for document in documents}):
            found = await self._events.find({"bucket": bucket}, {"id": 1, "type": 1, "time": 1}).batch_size(BUCKET_POSITIONS).to_list()
            there |= {document["_id"]: document for document in found}
        for document in documents:
            if _which(there.get(document["_id"], document)) != _which(document):
                await self._events.replace_one({"_id": document["_id"]}, document)

    async def note_gap(self, upto: int) -> None:
        await self._ask(lambda: self._cursors.update_one({"_id": FEED}, {"$max": {"gap": upto}}))

    async def prune(self, before: int) -> int:
        if before <= self._none_older_than:
            return 0
        extent = await self.extent()
        dropped = 0
        first, last = bucket_of_position(extent.first), bucket_of_position(extent.last)
        for bucket in range(first, min(first + BUCKETS_A_PRUNE, last)):  # never the one that is being filled
            times = [found["time"] for found in await self._find({"bucket": bucket}, {"time": 1})]
            if times and max(times) >= _EPOCH + timedelta(microseconds=before):
                self._none_older_than = (max(times) - _EPOCH) // timedelta(microseconds=1)
                break
            dropped += (await self._ask(lambda bucket=bucket: self._events.delete_many({"bucket": bucket}))).deleted_count  # type: ignore[misc]
            kept_from = (bucket + 1) * BUCKET_POSITIONS
            await self._ask(lambda at=kept_from: self._cursors.update_one({"_id": FEED}, {"$max": {"first": at}}))  # type: ignore[misc]
        return dropped

    async def cut(self, last: int) -> None:
        extent = await self.extent()
        known = {"position": last} | ({"gap": last} if extent.gap else {})
        await self._ask(lambda: self._cursors.update_one({"_id": FEED}, {"$min": known}))
        for bucket in range(bucket_of_position(last), bucket_of_position(extent.last) + 1):
            beyond = {"bucket": bucket, "_id": {"$gt": last}}
            await self._ask(lambda beyond=beyond: self._events.delete_many(beyond))  # type: ignore[misc]

    # ---- reading ----------------------------------------------------------------------------------------------

    async def of_subject(self, subject: str, limit: int, *, before: int | None = None) -> list[Event]:
        # the stream is what is selected, by equality; within it MongoDB walks the index, FerretDB looks at all
        within = {"subject": subject} if before is None else {"subject": subject, "_id": {"$lt": before}}
        found = await self._ask(lambda: self._events.find(within, {"body": 1}).sort("_id", DESCENDING).limit(limit).to_list())
        return [_event(document) for document in found]

    async def of_bucket(self, bucket: int) -> list[Event]:
        found = await self._find({"bucket": bucket}, {"body": 1})
        return [_event(document) for document in sorted(found, key=lambda document: document["_id"])]

    async def _find(self, where: Document, fields: Document) -> list[Document]:
        return await self._ask(lambda: self._events.find(where, fields).batch_size(BUCKET_POSITIONS).to_list())


def _document(event: Event) -> Document:
    position = event.position
    return {
        "_id": position,
        "bucket": bucket_of_position(position),
        "subject": event.subject,
        "id": event.id,
        "type": event.type,
        "time": _EPOCH + timedelta(microseconds=from_rfc3339(event.time or "")),
        "body": event.canonical().decode(),
    }


def _which(document: Document) -> tuple[str | None, str | None, int]:
    """Which event it is, however it was redacted. BSON keeps milliseconds."""
    return document.get("id"), document.get("type"), (document.get("time", _EPOCH) - _EPOCH) // timedelta(milliseconds=1)


def _event(document: Document) -> Event:
    return Event(orjson.loads(document["body"]))


def _unless_said(url: str) -> Document:
    """Our timeouts, but those that the URL names."""
    said = url.partition("?")[2].lower()
    return {name: value for name, value in _TIMEOUTS.items() if f"{name.lower()}=" not in said}


def _address(url: str) -> str:
    """Its hosts, without credentials."""
    return url.partition("://")[2].rpartition("@")[2].partition("/")[0].partition("?")[0]


def _first_line(error: PyMongoError) -> str:
    """What happened; pymongo appends pages of topology."""
    text = str(error).split(", full error:")[0].split(", Timeout:")[0].split(" (configured timeouts")[0]
    return text.splitlines()[0][:300]
