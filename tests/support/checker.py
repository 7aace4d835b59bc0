"""The invariants of a data folder or of a PostgreSQL database, checked from the outside: by SQL, by what clients and handlers wrote down, and by
a fold of the log that shares no code with the product. Of the product it takes the published table of moves alone.

`check` returns every violation as a sentence that begins with its invariant: I1 no loss, I2 no ghost, I3 all or none, I4 one
end, I5 valid path, I6 dense order, I7 replay, I8 fencing, I9 effect once, I11 conservation, I12 drained, I14 honest answer,
I15 idempotent.
"""

import contextlib
import json
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.job import MOVES
from tests.support import alert_checks, schedule_checks
from tests.support.ledger import NONCE, Ask, read_ledger, read_lines
from tests.support.log_fold import ENDED, LogFold, micros
from tests.support.postgres_evidence import read_postgres
from tests.support.redis_evidence import read_redis

JSON_COLUMNS = ("payload", "result", "error", "progress", "tags", "depends_on", "backoff")
LEASED = ("succeeded", "failed", "retrying", "released", "progressed")
CLOSING = {"succeeded": ("succeeded",), "released": ("released",), "cancelled": ("cancelled",)}
FAILING = ("failed", "permanent", "timed_out", "worker_died", "lease_lost")
MEASURES = ("accepted", "started", "succeeded", "failed", "retrying", "cancelled", "released", "reopened")

Violations = Iterator[str]


@dataclass(slots=True)
class Evidence:
    """One snapshot of the data file."""

    jobs: dict[str, dict[str, Any]]
    rows: list[dict[str, Any]]  # of `events`, by position, `document` parsed
    streams: dict[str, list[dict[str, Any]]]  # stream -> documents, by position
    tables: dict[str, list[dict[str, Any]]]
    head: int
    pruned: int  # the highest position that retention dropped

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [row["document"] for row in self.rows]

    def counts(self, table: str) -> dict[tuple[str, str, str], int]:
        return {(row["queue"], row["type"], row["status"]): row["jobs"] for row in self.tables[table] if row["jobs"]}

    def cursor(self, name: str) -> int:
        return next((row["position"] for row in self.tables["cursors"] if row["name"] == name), 0)


def read_evidence(place: Path | str, redis: str | None = None) -> Evidence:
    """Reads a data file, or the PostgreSQL of a URL, in one snapshot, and writes nothing; with `redis` the statistics from there."""
    jobs, rows, tables, head = _read_sqlite(place) if isinstance(place, Path) else read_postgres(place)
    if redis is not None and rows:
        source, tries = json.loads(rows[0]["body"])["source"], 20
        while (told := read_redis(redis, source))[0] != head and (tries := tries - 1):  # two servers are no snapshot: events came between
            time.sleep(0.2)
            jobs, rows, tables, head = _read_sqlite(place) if isinstance(place, Path) else read_postgres(place)
        cursor, tables["statistics_states"], tables["statistics_sums"] = told
        tables["cursors"] = [row for row in tables["cursors"] if row["name"] != "statistics"] + [{"name": "statistics", "position": cursor}]
    streams: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        row["document"] = json.loads(row["body"])
        streams[row["stream"]].append(row["document"])
    pruned = max((row["position"] for row in tables["checkpoints"]), default=0)
    return Evidence({job["id"]: _job(job) for job in jobs}, rows, dict(streams), tables, head, pruned)


def _read_sqlite(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, list[dict[str, Any]]], int]:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        jobs = [dict(row) for row in connection.execute("SELECT * FROM jobs ORDER BY number")]
        rows = [dict(row) for row in connection.execute("SELECT * FROM events ORDER BY position")]
        names = ("attempts", "idempotency", "effects", "queues", "streams", "cursors", "checkpoints", "counts", "dead_letters",
                 "statistics_states", "statistics_sums", "checkpoint_states", "checkpoint_sums", "schedules", "alerts")  # fmt: skip
        tables = {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in names}
        (head,) = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'").fetchone()
        connection.execute("COMMIT")
    return jobs, rows, tables, head


def _job(job: dict[str, Any]) -> dict[str, Any]:
    for name in JSON_COLUMNS:
        job[name] = None if job[name] is None else json.loads(job[name])
    return job


def check(
    place: Path | str, *, redis: str | None = None, ledger: Path | None = None, handlers: Path | None = None, quiescent: bool = False
) -> list[str]:
    """Every violation found in a data file or the PostgreSQL of a URL, its statistics on Redis if one is named; `quiescent` adds what
    must hold once nothing is left to do."""
    evidence = read_evidence(place, redis)
    fold = LogFold().take(evidence.documents)
    found = [*_feed(evidence), *_paths(evidence), *_leases(evidence), *_table(evidence, fold), *_numbers(evidence, fold)]
    keys = {row["key"]: row["job_id"] for row in evidence.tables["idempotency"]}
    found += schedule_checks.violations(evidence.streams, evidence.tables["schedules"], evidence.jobs, keys, bool(evidence.pruned))
    found += alert_checks.violations(evidence.streams, evidence.tables["alerts"], bool(evidence.pruned))
    if quiescent:
        found += _drained(evidence)
    if ledger is not None:
        found += _answers(evidence, read_ledger(ledger))
    if handlers is not None:
        found += _handlers(evidence, read_lines(handlers))
    return found


def short(document: Mapping[str, Any]) -> str:
    """`job.queued` of `dev.observatory.job.queued.v1`."""
    return str(document["type"]).removeprefix("dev.observatory.").removesuffix(".v1")


def kind(document: Mapping[str, Any]) -> str:
    return short(document).partition(".")[2]


# ---- the feed: I6 -----------------------------------------------------------------------------------------------


def _feed(evidence: Evidence) -> Violations:
    expected = evidence.pruned + 1
    for row in evidence.rows:
        if evidence.pruned == 0 and row["position"] != expected:
            yield f"I6: positions {expected} to {row['position'] - 1} of the feed are missing"
        expected = row["position"] + 1
        yield from _row_tells_what_its_event_tells(row)
    if max(expected - 1, evidence.pruned) != evidence.head:
        yield f"I6: the feed ends at position {expected - 1}, but {evidence.head} was given away"
    identities = Counter((document["source"], document["id"]) for document in evidence.documents)
    for identity, times in identities.items():
        if times > 1:
            yield f"I6: the event {identity} is there {times} times"
    for stream, documents in evidence.streams.items():
        sequences = [int(document["sequence"]) for document in documents]
        may_miss = evidence.pruned and not stream.startswith("job/")  # retention drops what no state is made of
        if sequences != (sorted(set(sequences)) if may_miss else list(range(1, len(sequences) + 1))):
            yield f"I6: the sequences of {stream} are {sequences}"
    ends = {row["stream"]: row["sequence"] for row in evidence.tables["streams"]}
    for stream, documents in evidence.streams.items():
        if not stream.startswith("job/") and not evidence.pruned and ends.get(stream) != len(documents):
            yield f"I6: {stream} has {len(documents)} events, but its last sequence is {ends.get(stream)}"


def _row_tells_what_its_event_tells(row: Mapping[str, Any]) -> Violations:
    document = row["document"]
    told = (document["subject"], int(document["sequence"]), document["type"], micros(document["time"]), document["id"])
    if told != (row["stream"], row["sequence"], row["type"], row["time"], f"{row['stream']}/{row['sequence']}"):
        yield f"I6: the row at position {row['position']} says something else than its event {document['id']}"


# ---- the paths of the jobs: I4, I5 ------------------------------------------------------------------------------


def _paths(evidence: Evidence) -> Violations:
    for stream, documents in evidence.streams.items():
        if not stream.startswith("job/"):
            continue
        yield from _path(stream, documents)
        ends = sum(document["data"]["to"] in ENDED for document in documents if document["data"]["to"] != document["data"]["from"])
        reopened = sum(kind(document) == "reopened" for document in documents)
        is_over = documents[-1]["data"]["to"] in ENDED
        if ends - reopened != int(is_over):
            yield f"I4: {stream} ended {ends} times and was reopened {reopened} times"


def _path(stream: str, documents: list[dict[str, Any]]) -> Violations:
    state = None
    entered = None  # a state entered by an event that does not announce it
    for document in documents:
        data, what = document["data"], kind(document)
        if data["from"] != state:
            yield f"I5: {stream} was {state}, but event {document['sequence']} ({what}) takes it from {data['from']}"
        if (data["from"], data["to"], document["type"]) not in MOVES:
            yield f"I5: {stream}: no move leads from {data['from']} to {data['to']} by {what}"
        announces = what in ("queued", "scheduled") and data["from"] == data["to"]
        if (entered is not None and not (announces and data["to"] == entered[0] and document["time"] == entered[1])) or (announces and entered is None):
            yield f"I5: {stream}: event {document['sequence']} ({what}): each entry into queued or scheduled is announced once, at once"
        state = data["to"]
        entered = (state, document["time"]) if what in ("accepted", "released", "reopened") and state in ("queued", "scheduled") else None
    if entered is not None:
        yield f"I5: {stream}: its entry into {state} was not announced"


# ---- leases and attempts: I8, I9 --------------------------------------------------------------------------------


def _leases(evidence: Evidence) -> Violations:
    kept = {(row["job_id"], row["lease_token"]): row["outcome"] for row in evidence.tables["attempts"]}
    told: dict[tuple[str, int], tuple[str, ...] | None] = {}
    for stream, documents in evidence.streams.items():
        if stream.startswith("job/"):
            yield from _leases_of(stream, documents, told)
    for key, outcomes in told.items():
        if outcomes is None and key in kept:
            yield f"I8: attempt {key} is kept as {kept[key]}, but no event ends it"
        elif outcomes is not None and kept.get(key) not in outcomes:
            yield f"I8: attempt {key} is kept as {kept.get(key)}, but its end was told as {' or '.join(outcomes)}"
    for key in kept.keys() - told.keys():
        yield f"I8: attempt {key} is kept, but no claim began it"
    for job in evidence.jobs.values():
        if (job["status"] == "running") != (job["lease_until"] is not None):
            yield f"I8: job {job['id']} is {job['status']}, and its lease lasts until {job['lease_until']}"
    for row in evidence.tables["effects"]:
        if row["job_id"] not in evidence.jobs or not 1 <= row["lease_token"] <= evidence.jobs[row["job_id"]]["lease_token"]:
            yield f"I9: step {row['step']!r} of job {row['job_id']} was stored under lease {row['lease_token']}, which nobody held"


def _leases_of(stream: str, documents: list[dict[str, Any]], told: dict[tuple[str, int], tuple[str, ...] | None]) -> Violations:
    job_id, token, attempt, held = stream[4:], 0, 0, False
    allowed = documents[0]["data"].get("attempts_allowed", 0)
    for document in documents:
        data, what = document["data"], kind(document)
        if what == "started":
            if held:
                yield f"I8: {stream} was claimed (lease {data['lease_token']}) while lease {token} was held"
            token, attempt, held = token + 1, attempt + 1, True
            if (data["lease_token"], data["attempt"]) != (token, attempt):
                yield f"I8: {stream} was claimed as lease {data['lease_token']}, attempt {data['attempt']}, not {token} and {attempt}"
            if attempt > allowed:
                yield f"I9: {stream} began attempt {attempt} of {allowed}"
            told[job_id, token] = None
        elif what in LEASED and (not held or data["lease_token"] != token):
            yield f"I8: {stream}: {what} under lease {data['lease_token']}, while {token if held else 'none'} was held"
        if what == "reopened":
            allowed = data["attempts_allowed"]
        if held and data["from"] == "running" != data["to"]:
            held = False
            told[job_id, token] = CLOSING.get(what) or (data.get("outcome", FAILING[0]),)
            attempt -= what == "released"


# ---- table, counts and statistics: I3, I7, I11 ------------------------------------------------------------------


def _table(evidence: Evidence, fold: LogFold) -> Violations:
    for job_id in evidence.jobs.keys() - fold.jobs.keys():
        yield f"I3: job {job_id} has a row, but no job.accepted"
    for job_id in fold.jobs.keys() - evidence.jobs.keys():
        yield f"I3: job {job_id} was accepted, but has no row"
    for stream in evidence.streams:
        if stream.startswith("job/") and stream[4:] not in fold.jobs:
            yield f"I3: {stream} has events, but no job.accepted"
    for job_id in evidence.jobs.keys() & fold.jobs.keys():
        row, folded = evidence.jobs[job_id], fold.jobs[job_id]
        for name, value in folded.items():
            if row[name] != value and not (name == "open_parents" and evidence.pruned):  # its parents' ends may be gone
                yield f"I7: job {job_id}: {name} is {_brief(row[name])}, but the log says {_brief(value)}"


def _numbers(evidence: Evidence, fold: LogFold) -> Violations:
    stored = Counter((job["queue"], job["type"], job["status"]) for job in evidence.jobs.values())
    counts = evidence.counts("counts")
    yield from _compared("I11: the counts", counts, "the table", stored)
    accepted = sum(kind(document) == "accepted" for document in evidence.documents if str(document["subject"]).startswith("job/"))
    if accepted != sum(counts.values()):
        yield f"I11: {accepted} jobs were accepted, but {sum(counts.values())} are counted"
    dropped = evidence.counts("checkpoint_states")
    if sum(dropped.values()) != sum(row["jobs"] for row in evidence.tables["checkpoints"]):
        yield f"I11: {sum(row['jobs'] for row in evidence.tables['checkpoints'])} jobs were dropped, but the checkpoint counts {sum(dropped.values())}"
    upto = evidence.cursor("statistics")
    seen = [row["document"] for row in evidence.rows if row["position"] <= upto]
    states = evidence.counts("statistics_states")
    expected = Counter(LogFold().take(seen).states)
    expected.update(dropped)
    yield from _compared("I7: the statistics' states", states, f"the checkpoint with the log up to {upto}", expected)
    happened: Counter[tuple[str, str, str]] = Counter(_sums(evidence, "checkpoint_sums"))
    for document in seen:
        if str(document["subject"]).startswith("job/") and kind(document) in MEASURES:
            happened[document["queue"], document["jobtype"], kind(document)] += 1
    yield from _compared("I7: the statistics' sums", _sums(evidence, "statistics_sums"), f"the checkpoint with the log up to {upto}", happened)


def _sums(evidence: Evidence, table: str) -> dict[tuple[str, str, str], int]:
    """(queue, type, measure) -> the sum since the beginning."""
    return {
        (row["queue"], row["type"], row["measure"]): row["value"]
        for row in evidence.tables[table]
        if row["minute"] == 0 and row["measure"] in MEASURES and row["value"]
    }


def _compared(what: str, stored: Mapping[Any, int], other: str, expected: Mapping[Any, int]) -> Violations:
    for key in sorted({*stored, *expected}):
        if stored.get(key, 0) != expected.get(key, 0):
            yield f"{what} of {key} are {stored.get(key, 0)}, but {other} has {expected.get(key, 0)}"


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# ---- nothing left to do: I4, I12 --------------------------------------------------------------------------------


def _drained(evidence: Evidence) -> Violations:
    for job in evidence.jobs.values():
        if job["status"] not in ENDED:
            yield f"I4: job {job['id']} ({job['type']}) is still {job['status']}, attempt {job['attempt']}"
    for name in ("relay", "statistics"):
        if evidence.cursor(name) != evidence.head:
            yield f"I12: the cursor {name} is at {evidence.cursor(name)}, the head at {evidence.head}"
    held = [job["id"] for job in evidence.jobs.values() if job["lease_until"] is not None]
    if held:
        yield f"I12: leases are still held of {held}"
    for commit in evidence.tables.get("unplaced", ()):
        yield f"I12: commit {commit['commit_id']} has no place in the feed yet"
    for letter in evidence.tables["dead_letters"]:
        if letter["status"] == "resolved":  # a doorbell that died while a store was away: what it rang for was done
            continue
        yield f"I12: {letter['trigger']} could not handle {letter['event_id']}: {letter['reason']}"


# ---- what the clients were told: I1, I2, I3, I14, I15 -----------------------------------------------------------


def _answers(evidence: Evidence, asks: list[Ask]) -> Violations:
    by_nonce: dict[str, list[str]] = defaultdict(list)
    for job in evidence.jobs.values():
        by_nonce[str(job["payload"].get(NONCE))].append(job["id"])
    known = {item.nonce for ask in asks for item in ask.items}
    taken: dict[str, set[str]] = defaultdict(set)
    refused, put_off, open_ = set(), set(), set()
    for ask in asks:
        for item, status, job_id in ask.outcomes:
            if status is None:
                open_.add(item.nonce)
            elif 200 <= status < 300:
                taken[item.nonce].add(str(job_id))
            elif status == 503:
                put_off.add(item.nonce)
            else:
                refused.add(item.nonce)
    for nonce, ids in taken.items():
        yield from _taken(evidence, nonce, ids, by_nonce.get(nonce, []))
    for nonce, ids in by_nonce.items():
        if nonce not in known:
            yield f"I2: jobs {ids} come from no submission (nonce {nonce})"
        elif nonce in refused - open_ and nonce not in taken:
            yield f"I2: submission {nonce} was refused, but jobs {ids} are there"
        elif nonce in put_off - open_ and nonce not in taken:
            yield f"I14: submission {nonce} was answered 503, as if nothing were stored, but jobs {ids} are there"
        if len(ids) > 1:
            yield f"I15: submission {nonce} is {len(ids)} jobs: {ids}"
    yield from _whole_batches(asks, by_nonce, refused)
    yield from _keys(asks)


def _taken(evidence: Evidence, nonce: str, ids: set[str], found: list[str]) -> Violations:
    if len(ids) > 1:
        yield f"I15: submission {nonce} was answered with {len(ids)} jobs: {sorted(ids)}"
    for job_id in ids:
        if job_id not in evidence.jobs:
            yield f"I1: submission {nonce} was answered with job {job_id}, which is not there (I14: the answer was not honest)"
        elif job_id not in found and evidence.jobs[job_id]["unique_key"] is None:
            yield f"I1: submission {nonce} was answered with job {job_id}, which is another's"


def _whole_batches(asks: list[Ask], by_nonce: Mapping[str, list[str]], refused: set[str]) -> Violations:
    for ask in asks:
        unknown = [item.nonce for item, status, _ in ask.outcomes if status is None and item.nonce not in refused]
        there = [nonce for nonce in unknown if nonce in by_nonce]
        missing = [nonce for nonce in unknown if nonce not in by_nonce]
        if there and missing:
            yield f"I3: of request {ask.number}, which got no answer, {there} are there and {missing} are not"


def _keys(asks: list[Ask]) -> Violations:
    """The first request taken under a key owns it; any other under that key is refused with 409."""
    owners: dict[str, tuple[str, str | None]] = {}
    for ask in asks:
        for item, status, job_id in ask.outcomes:
            if item.key is None or status is None or status == 503:
                continue
            owner = owners.get(item.key)
            if owner is None:
                if 200 <= status < 300:
                    owners[item.key] = (json.dumps(item.request, sort_keys=True), job_id)
            elif json.dumps(item.request, sort_keys=True) != owner[0]:
                if status != 409:
                    yield f"I15: another request under key {item.key} was answered with {status}"
            elif job_id != owner[1]:
                yield f"I15: key {item.key} was answered with job {owner[1]}, then with {job_id} ({status})"


# ---- what the handlers did: I8, I9 ------------------------------------------------------------------------------


def _handlers(evidence: Evidence, lines: list[dict[str, Any]]) -> Violations:
    begun = Counter((line["job"], line["token"]) for line in lines if line["fact"] == "begin")
    finished = {(line["job"], line["token"]) for line in lines if line["fact"] == "end"}
    for (job_id, token), times in begun.items():
        if times > 1:
            yield f"I8: job {job_id} was run {times} times under lease {token}"
        if job_id not in evidence.jobs or token > evidence.jobs[job_id]["lease_token"]:
            yield f"I8: job {job_id} was run under lease {token}, which was never given"
    witnessed = {job_id for job_id, _ in begun}
    for document in evidence.documents:
        if short(document) == "job.succeeded":
            key = (document["subject"][4:], document["data"]["lease_token"])
            if key[0] in witnessed and key not in finished:
                yield f"I8: job {key[0]} succeeded under lease {key[1]}, but no handler came to its end under it"
    yield from _effects(evidence, lines)


def _effects(evidence: Evidence, lines: list[dict[str, Any]]) -> Violations:
    stored = {(row["job_id"], row["step"]): row for row in evidence.tables["effects"]}
    executed: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        if line["fact"] == "effect":
            executed[line["job"], line["step"]].append(line)
    for key, runs in executed.items():
        row = stored.get(key)
        tokens = Counter(run["token"] for run in runs)
        for token, times in tokens.items():
            if times > 1 or (row is not None and token > row["lease_token"]):
                yield f"I9: step {key[1]!r} of job {key[0]} was run under lease {token}, though it was done before"
        if row is not None and json.loads(row["value"]) not in [run["value"] for run in runs if run["token"] == row["lease_token"]]:
            yield f"I9: the value of step {key[1]!r} of job {key[0]} is {row['value']}, which no run under lease {row['lease_token']} gave"
    known = {line["job"] for line in lines}
    for key, row in stored.items():
        if key not in executed and key[0] in known:
            yield f"I9: step {key[1]!r} of job {key[0]} is stored ({row['value']}), but nobody ran it"
