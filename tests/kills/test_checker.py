"""The checker itself: silent about a good data folder, and each violation planted in a copy of it is named."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ObservatoryError
from contracts.job import Job
from contracts.validation import validate_event
from functions.metrics_engine.service import MetricsEngine
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from functions.stores.job_store import PUBLISH_CURSOR, Submitted
from tests.kills.planting import planted_in
from tests.ports.job_store.steps import claimed, ended, request
from tests.support.checker import check, read_evidence
from tests.support.ledger import NONCE, Item, Ledger, note
from tests.support.stores import SteppedClock


class GoodLife:
    """Some of everything, through the store's port, with both ledgers kept as a client and handlers would."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, SteppedClock()
        self.ledger = Ledger(folder / "client.ledger")
        self.store = SqliteJobStore.at(folder / "observatory.db", check=validate_event, clock=self.clock)

    async def live(self) -> None:
        await self.store.open()
        await self.store.declare_queues([("default", None, None, False)])
        await self.submit("plain", "retried", "failing", "snoozing", "stepping")
        await self.submit("cancelled", priority=0)
        await self.submit("child", depends_on=[self.found("failing")], on_parent_failure="run", priority=0)
        await self.submit("never", depends_on=[self.found("failing")], priority=0)
        for name, outcome in {"plain": "succeeded", "retried": "failed", "failing": "permanent", "snoozing": "snoozed"}.items():
            await self.run(name, outcome)
        await self.step_twice()
        await self.store.cancel([self.found("cancelled")], "anna", None)
        await self.store.reopen([self.found("cancelled")], "anna", None)
        self.clock.advance(100)
        await self.store.tick()
        for _ in range(5):
            (job,) = await claimed(self.store)
            await self.end(job)
        await self.submit_again()
        await MetricsEngine(self.store, SqliteStatsStore(self.store.database)).catch_up()
        await self.store.advance(PUBLISH_CURSOR, await self.store.head())
        await self.store.close()
        self.ledger.close()

    async def submit(self, *names: str, **options: Any) -> None:
        items = [self.item(name) for name in names]
        number = self.ledger.ask("batch", items)
        await self.sent(number, items, **options)

    def item(self, name: str, **more: Any) -> Item:
        return Item({"type": "demo.noop", "payload": {NONCE: name, **more}}, f"key of {name}")

    async def sent(self, number: int, items: list[Item], **options: Any) -> None:
        requests = [
            request(payload=item.request["payload"], keys=(f"key:{item.key}",), fingerprint=json.dumps(item.request).encode(), **options) for item in items
        ]
        answers = await self.store.submit(requests)
        self.ledger.answer(number, 200, [self.status_of(answer) for answer in answers])

    @staticmethod
    def status_of(answer: Submitted | ObservatoryError) -> tuple[int, str | None]:
        if isinstance(answer, ObservatoryError):
            return answer.status, None
        return (202 if answer.created else 200), answer.id

    async def submit_again(self) -> None:
        """A repeat, another request under a known key, and a batch of which no answer came and nothing was stored."""
        await self.submit("plain")
        other = Item({"type": "demo.noop", "payload": {NONCE: "other"}}, "key of plain")
        await self.sent(self.ledger.ask("single", [other]), [other])
        self.ledger.ask("batch", [self.item("lost 1"), self.item("lost 2")])

    def found(self, name: str) -> str:
        return next(job["id"] for job in read_evidence(self.folder / "observatory.db").jobs.values() if job["payload"][NONCE] == name)

    async def run(self, name: str, outcome: str) -> None:
        (job,) = await claimed(self.store)
        assert job.payload[NONCE] == name
        await self.end(job, outcome)

    async def end(self, job: Job, outcome: str = "succeeded") -> None:
        self.note("begin", job)
        self.note("end", job)
        await ended(self.store, job, outcome, after_seconds=5.0, result={"by": job.lease_token})

    async def step_twice(self) -> None:
        """A step that was done, and stored, under the first of two leases."""
        (job,) = await claimed(self.store)
        self.note("begin", job)
        self.note("effect", job, step="pay", value=[1])
        await self.store.effect(job.id, job.lease_token, "pay", [1])
        self.note("end", job)
        await ended(self.store, job, "worker_died")

    def note(self, fact: str, job: Job, **more: Any) -> None:
        note(self.folder / "handlers.ledger", fact=fact, job=job.id, token=job.lease_token, attempt=job.attempt, **more)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    asyncio.run(GoodLife(folder).live())
    return folder


def checked(folder: Path) -> list[str]:
    return check(folder / "observatory.db", ledger=folder / "client.ledger", handlers=folder / "handlers.ledger", quiescent=True)


def test_a_good_data_folder_has_no_violation(good: Path) -> None:
    assert checked(good) == []


def test_a_good_data_folder_has_some_of_everything(good: Path) -> None:
    evidence = read_evidence(good / "observatory.db")
    kinds = {document["type"].split(".")[3] for document in evidence.documents}
    assert kinds >= {"accepted", "queued", "scheduled", "started", "succeeded", "retrying", "released", "failed", "cancelled", "reopened"}
    assert len(evidence.tables["effects"]) == 1
    assert {job["status"] for job in evidence.jobs.values()} == {"succeeded", "failed", "cancelled"}


# ---- planting ---------------------------------------------------------------------------------------------------

OF_PLAIN = "stream = 'job/' || (SELECT id FROM jobs WHERE payload LIKE '%plain%')"
TYPE = "'dev.observatory.job.{}.v1'"


def typed(name: str) -> str:
    return TYPE.format(name)


def rewritten(where: str, path: str, value: str) -> str:
    """Changes one member of the event documents that match."""
    return f"UPDATE events SET body = json_set(body, '$.{path}', {value}) WHERE {where}"


def is_last(name: str) -> str:
    return f"position = (SELECT max(position) FROM events WHERE type = {typed(name)})"


PLANTED = {
    # the feed
    "an event dropped": ("I6", f"DELETE FROM events WHERE {OF_PLAIN} AND type = {typed('started')}"),
    "the last event dropped": ("I6", "DELETE FROM events WHERE position = (SELECT max(position) FROM events)"),
    "a gap in a sequence": ("I6", f"UPDATE events SET sequence = sequence + 10 WHERE {is_last('succeeded')}"),
    "a gap in the positions": ("I6", f"UPDATE events SET position = position + 1000 WHERE {is_last('succeeded')}"),
    "an event under another's identity": ("I6", rewritten(is_last("started"), "id", "(SELECT id FROM events WHERE position = 2)")),
    "a row that differs from its event": ("I6", f"UPDATE events SET time = time + 1 WHERE {is_last('started')}"),
    "a queue's sequence lost": ("I6", "UPDATE streams SET sequence = sequence + 1"),
    # the paths
    "a job that ended twice": ("I4", f"""INSERT INTO events (stream, sequence, type, time, body)
        SELECT stream, sequence + 1, type, time, json_set(body, '$.id', stream || '/' || (sequence + 1), '$.sequence', '' || (sequence + 1))
        FROM events WHERE {is_last("succeeded")}"""),
    "a skipped state": ("I5", rewritten(f"{OF_PLAIN} AND type = {typed('succeeded')}", "data.from", "'queued'")),
    "a move that is not in the table": ("I5", rewritten(f"{OF_PLAIN} AND type = {typed('succeeded')}", "data.to", "'failed'")),
    "an entry that was not announced": ("I5", rewritten(f"{OF_PLAIN} AND type = {typed('queued')}", "time", "'2000-01-01T00:00:00.000000Z'")),
    # all or none
    "a row without events": ("I3", f"DELETE FROM events WHERE {OF_PLAIN}"),
    "events without a row": ("I3", "DELETE FROM jobs WHERE payload LIKE '%plain%'"),
    # replay
    "a column changed": ("I7", "UPDATE jobs SET priority = 7 WHERE payload LIKE '%plain%'"),
    "a result changed": ("I7", "UPDATE jobs SET result = '{\"by\": 99}' WHERE payload LIKE '%plain%'"),
    "a state changed": ("I7", "UPDATE jobs SET status = 'failed' WHERE payload LIKE '%plain%'"),
    "the statistics' states off by one": ("I7", "UPDATE statistics_states SET jobs = jobs + 1 WHERE status = 'succeeded'"),
    "the statistics' sums off by one": ("I7", "UPDATE statistics_sums SET value = value + 1 WHERE minute = 0 AND measure = 'started'"),
    # fencing
    "an attempt that nobody claimed": ("I8", """INSERT INTO attempts SELECT job_id, lease_token + 50, attempt, worker, instance, claimed_at,
        started_at, finished_at, outcome, error, output FROM attempts LIMIT 1"""),
    "an attempt's record lost": ("I8", "DELETE FROM attempts WHERE outcome = 'worker_died'"),
    "an attempt's outcome changed": ("I8", "UPDATE attempts SET outcome = 'succeeded' WHERE outcome = 'worker_died'"),
    "a stale attempt that won": ("I8", rewritten(is_last("succeeded"), "data.lease_token", "7")),
    "a lease given twice": ("I8", rewritten("json_extract(body, '$.data.lease_token') = 2", "data.lease_token", "1")),
    "a lease that outlived its job": ("I8", "UPDATE jobs SET lease_until = 1 WHERE payload LIKE '%plain%'"),
    # effects
    "an attempt beyond those allowed": ("I9", rewritten(f"{OF_PLAIN} AND type = {typed('accepted')}", "data.attempts_allowed", "0")),
    "an effect under a lease that nobody held": ("I9", "UPDATE effects SET lease_token = 40"),
    "an effect's value changed": ("I9", "UPDATE effects SET value = '[2]'"),
    # conservation
    "a count off by one": ("I11", "UPDATE counts SET jobs = jobs - 1 WHERE status = 'succeeded'"),
    "two counts off": ("I11", "UPDATE counts SET jobs = jobs + CASE status WHEN 'failed' THEN 1 WHEN 'succeeded' THEN -1 ELSE 0 END"),
    # drained
    "a reader behind": ("I12", "UPDATE cursors SET position = position - 1 WHERE name = 'statistics'"),
    "a relay behind": ("I12", "DELETE FROM cursors WHERE name = 'relay'"),
    "a dead letter": ("I12", """INSERT INTO dead_letters
        (id, trigger, source, event_id, event_type, reason, attempts, content_type, body, headers, kept_at, status)
        VALUES ('1', 'metrics-engine', 's', 'e', 't', 'no', 1, 'a/b', x'00', '{}', 1, 'kept')"""),
    # the clients
    "a job that was answered and lost": ("I1", "DELETE FROM jobs WHERE payload LIKE '%plain%'"),
    "a ghost": ("I2", "UPDATE jobs SET payload = '{\"nonce\": \"nobody''s\"}' WHERE payload LIKE '%plain%'"),
    "a refused job that is there": ("I2", "UPDATE jobs SET payload = '{\"nonce\": \"other\"}' WHERE payload LIKE '%plain%'"),
    "half of a batch": ("I3", "UPDATE jobs SET payload = '{\"nonce\": \"lost 1\"}' WHERE payload LIKE '%plain%'"),
    "one submission as two jobs": ("I15", "UPDATE jobs SET payload = '{\"nonce\": \"plain\"}' WHERE payload LIKE '%retried%'"),
}  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED)
def test_what_was_planted_in_the_database_is_named(good: Path, tmp_path: Path, planted: str) -> None:
    invariant, sql = PLANTED[planted]
    found = checked(planted_in(sql, good, tmp_path))
    assert any(violation.startswith(f"{invariant}:") for violation in found), found


def plain_job(folder: Path) -> str:
    return next(job["id"] for job in read_evidence(folder / "observatory.db").jobs.values() if job["payload"][NONCE] == "plain")


def stepping_job(folder: Path) -> str:
    return str(read_evidence(folder / "observatory.db").tables["effects"][0]["job_id"])


def answered(ledger: Ledger, item: Item, status: int, job_id: str | None) -> None:
    ledger.answer(ledger.ask("single", [item]), status, [(status, job_id)])


def plain_item(key: str | None = "key of plain", **more: Any) -> Item:
    return Item({"type": "demo.noop", "payload": {NONCE: "plain", **more}}, key)


WITNESSED: dict[str, tuple[str, Callable[[Path, Ledger], None]]] = {
    "an answer before the commit": ("I1", lambda folder, ledger: answered(ledger, plain_item(None), 202, "never stored")),
    "an answer with another's job": ("I1", lambda folder, ledger: answered(ledger, plain_item(None), 202, stepping_job(folder))),
    "a key that became a second job": ("I15", lambda folder, ledger: answered(ledger, plain_item(), 202, stepping_job(folder))),
    "another request under a known key taken": ("I15", lambda folder, ledger: answered(ledger, plain_item(more=1), 200, plain_job(folder))),
    "a handler run twice under one lease": (
        "I8", lambda folder, ledger: note(folder / "handlers.ledger", fact="begin", job=plain_job(folder), token=1),
    ),
    "a handler run under a lease never given": (
        "I8", lambda folder, ledger: note(folder / "handlers.ledger", fact="begin", job=plain_job(folder), token=2),
    ),
    "an effect repeated": (
        "I9", lambda folder, ledger: note(folder / "handlers.ledger", fact="effect", job=stepping_job(folder), token=2, step="pay", value=[1]),
    ),
    "a success that no handler earned": ("I8", lambda folder, ledger: drop_the_end_of(folder, plain_job(folder))),
    "an effect that nobody did": ("I9", lambda folder, ledger: drop_the_effect(folder)),
}  # fmt: skip


def drop_the_end_of(folder: Path, job_id: str) -> None:
    keep_lines(folder, lambda line: not (line["fact"] == "end" and line["job"] == job_id))


def drop_the_effect(folder: Path) -> None:
    keep_lines(folder, lambda line: line["fact"] != "effect")


def keep_lines(folder: Path, wanted: Callable[[dict[str, Any]], bool]) -> None:
    path = folder / "handlers.ledger"
    path.write_bytes(b"".join(line for line in path.read_bytes().splitlines(keepends=True) if wanted(json.loads(line))))


@pytest.mark.parametrize("planted", WITNESSED)
def test_what_the_ledgers_contradict_is_named(good: Path, tmp_path: Path, planted: str) -> None:
    invariant, plant = WITNESSED[planted]
    folder = Path(shutil.copytree(good, tmp_path / "copy"))
    ledger = Ledger(folder / "client.ledger")
    plant(folder, ledger)
    ledger.close()
    found = checked(folder)
    assert any(violation.startswith(f"{invariant}:") for violation in found), found


@pytest.mark.parametrize(("status", "unknown", "named"), [(503, False, 4), (503, True, 0), (500, False, 0)])
def test_a_503_promises_that_nothing_was_stored_unless_it_says_that_this_is_not_known(
    good: Path, tmp_path: Path, status: int, unknown: bool, named: int
) -> None:
    """The first batch of five was stored; one of it was sent once more later, and answered."""
    folder = Path(shutil.copytree(good, tmp_path / "copy"))
    lines = [json.loads(line) for line in (folder / "client.ledger").read_bytes().splitlines()]
    first = next(line for line in lines if "answer" in line)
    assert len(first["items"]) == 5
    first |= {"status": status, "items": [], "unknown": unknown}
    (folder / "client.ledger").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = checked(folder)
    assert len(found) == named and all(violation.startswith("I14: ") and "503" in violation for violation in found), found


async def test_what_is_not_over_is_named_only_at_quiescence(tmp_path: Path) -> None:
    store = SqliteJobStore.at(tmp_path / "observatory.db", check=validate_event)
    await store.open()
    await store.submit([request(), request()])
    await claimed(store)
    await store.close()
    assert check(tmp_path / "observatory.db") == []
    found = check(tmp_path / "observatory.db", quiescent=True)
    assert [violation[:4].strip(": ") for violation in found] == ["I4", "I4", "I12", "I12", "I12"], found
