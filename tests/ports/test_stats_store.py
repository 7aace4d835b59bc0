"""What every `StatsStore` does, over SQLite, PostgreSQL and Redis, and what Redis does beside."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import asyncio as redis

from contracts.errors import ConfigurationError, StoreUnavailable
from contracts.statistics import ALL_TIME, MINUTE_MICROS, Delta, Window, fold, merge, rates
from contracts.validation import validate_event
from functions.metrics_engine.service import MetricsEngine
from functions.runtime.servers.place import Place
from functions.runtime.servers.process import spawn, wait_until
from functions.stores.backends.postgres_job_store import PostgresJobStore
from functions.stores.backends.postgres_stats_store import PostgresStatsStore
from functions.stores.backends.redis_stats_store import AT_ONCE, RedisStatsStore
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from functions.stores.instances import Instance
from functions.stores.job_store import PUBLISH_CURSOR, STATISTICS_CURSOR
from functions.stores.retention import Retention
from functions.stores.stats_store import StatsStore
from tests.support.certificates import make_certificate
from tests.support.lives import random_life
from tests.support.servers import own_servers, server_url
from tests.support.stores import mixed_life, run_all, sqlite_store, submit

ONE = Delta(
    {("q", "a.b", "queued"): 1}, {(ALL_TIME, "q", "a.b", "accepted"): 1, (7, "q", "a.b", "accepted"): 1}, {(7, "q", "a.b", "ran", 3): 2}
)


@pytest.fixture
async def jobs(quick_folder: Path) -> AsyncIterator[SqliteJobStore]:
    async with sqlite_store(quick_folder) as store:
        yield store


async def keys_of(stats: RedisStatsStore) -> dict[str, int]:
    """Every key of this deployment, and for how many seconds it lives on (-1: for ever)."""
    return {key: await stats._redis.ttl(key) async for key in stats._redis.scan_iter(match=f"{stats._prefix}*", count=1_000)}


@pytest.fixture
async def redis_stats(jobs: SqliteJobStore) -> AsyncIterator[RedisStatsStore]:
    """Below the name of a job store of its own."""
    stats = RedisStatsStore(server_url("redis"), jobs.source)
    yield stats
    for key in await keys_of(stats):
        await stats._redis.delete(key)
    await stats.close()


@pytest.fixture
async def postgres_stats(postgres_url: str) -> AsyncIterator[PostgresStatsStore]:
    jobs = PostgresJobStore.at(postgres_url, check=validate_event)
    await jobs.open()
    yield PostgresStatsStore(jobs)
    await jobs.close()


@pytest.fixture(params=["sqlite", *(pytest.param(name, marks=pytest.mark.servers) for name in ("redis", "postgres"))])
def stats(request: pytest.FixtureRequest, jobs: SqliteJobStore) -> StatsStore:
    return SqliteStatsStore(jobs.database) if request.param == "sqlite" else request.getfixturevalue(f"{request.param}_stats")


async def test_a_new_store_stands_at_the_beginning(stats: StatsStore) -> None:
    assert await stats.cursor() == 0
    assert await stats.whole() == (0, Delta())


async def test_a_delta_and_the_cursor_move_together(stats: StatsStore) -> None:
    assert await stats.apply(ONE, 0, 5)
    assert await stats.whole() == (5, ONE)


async def test_a_delta_from_another_place_than_the_cursor_changes_nothing(stats: StatsStore) -> None:
    await stats.apply(ONE, 0, 5)
    assert not await stats.apply(ONE, 0, 5)
    assert not await stats.apply(ONE, 4, 6)
    assert await stats.whole() == (5, ONE)


async def test_of_many_folds_from_one_place_one_wins(stats: StatsStore) -> None:
    for after, folded in ((0, ONE), (5, merge(ONE, ONE))):
        won = await asyncio.gather(*(stats.apply(ONE, after, after + 5) for _ in range(20)))
        assert sum(won) == 1
        assert await stats.whole() == (after + 5, folded)


async def test_a_fold_in_batches_stores_what_one_fold_gives(jobs: SqliteJobStore, stats: StatsStore) -> None:
    await mixed_life(jobs)
    events = await jobs.feed(0, 1_000)
    after = 0
    for start in range(0, len(events), 7):
        batch = events[start : start + 7]
        assert await stats.apply(fold(batch), after, batch[-1].position)
        after = batch[-1].position
    assert await stats.whole() == (await jobs.head(), fold(events))
    assert (await stats.read([])).states == await jobs.counts()


async def test_a_reading_sums_each_range_of_minutes(stats: StatsStore) -> None:
    for position, minute in enumerate((7, 8, 9, 9)):
        delta = Delta({}, {(minute, "q", "a.b", "accepted"): 1}, {(minute, "q", "a.b", "ran", 3): 2})
        await stats.apply(delta, position, position + 1)
    reading = await stats.read([(7, 8), (9, 9), (10, 20)])
    assert reading.position == 4
    assert [part.sums for part in reading.ranges] == [{("q", "a.b", "accepted"): 2}] * 2 + [{}]
    assert [part.buckets for part in reading.ranges] == [{("q", "a.b", "ran", 3): 4}] * 2 + [{}]


async def test_a_series_has_a_sum_for_each_minute(stats: StatsStore) -> None:
    delta = Delta({}, {(7, "q", "a.b", "accepted"): 1, (7, "q", "c.d", "accepted"): 2, (9, "q", "a.b", "failed"): 1}, {})
    await stats.apply(delta, 0, 1)
    assert await stats.series(7, 9) == {7: {"accepted": 3}, 9: {"failed": 1}}


async def test_pruning_drops_old_minutes_and_keeps_the_sums_since_the_beginning(stats: StatsStore) -> None:
    await stats.apply(ONE, 0, 1)
    assert await stats.prune(7) == 0
    assert await stats.prune(8) == 2
    assert await stats.whole() == (1, Delta(ONE.states, {(ALL_TIME, "q", "a.b", "accepted"): 1}, {}))


async def test_records_of_instances_are_kept_newest_first_each_once_and_dropped_with_old_minutes(stats: StatsStore) -> None:
    old = Instance("gateway", "a", 5 * MINUTE_MICROS)
    young = Instance("gateway", "b", 9 * MINUTE_MICROS, 9 * MINUTE_MICROS + 1, None, 0.25)
    for record in (old, young, replace(young, stopped_at=10 * MINUTE_MICROS)):
        await stats.note_instance(record)
    assert await stats.instances() == [replace(young, stopped_at=10 * MINUTE_MICROS), old]
    await stats.clear()  # they are no fold of the log, from which they could not be built anew
    assert len(await stats.instances()) == 2
    await stats.prune(9)
    assert [record.instance for record in await stats.instances()] == ["b"]


async def test_a_cleared_store_can_be_built_anew(stats: StatsStore) -> None:
    await stats.apply(ONE, 0, 5)
    await stats.clear()
    assert await stats.whole() == (0, Delta())
    assert await stats.apply(ONE, 0, 5)


# ---- Redis ------------------------------------------------------------------------------------------------------


@pytest.mark.servers
@pytest.mark.parametrize("seed", range(3))
async def test_redis_and_sqlite_are_equal_to_the_bit(jobs: SqliteJobStore, redis_stats: RedisStatsStore, seed: int) -> None:
    """The same feed in batches of any size, windows and percentiles included; also sums beyond what a double holds."""
    chance = random.Random(seed)
    sqlite = SqliteStatsStore(jobs.database)
    events = random_life(seed, 60)
    after = start = 0
    while start < len(events):
        batch = events[start : start + chance.randrange(1, 40)]
        delta = fold(batch)
        if start == 0:
            delta = merge(delta, Delta({}, {(ALL_TIME, "x", "a.b", "waited_micros"): (1 << 60) + 1}, {}))
        start, upto = start + len(batch), after + len(batch)
        assert await sqlite.apply(delta, after, upto) == await redis_stats.apply(delta, after, upto) is True
        after = upto
    assert await redis_stats.whole() == await sqlite.whole()
    as_of = max(minute for minute, *_ in fold(events).sums) * MINUTE_MICROS + 30_000_000
    windows = [Window(minutes, as_of) for minutes in (1, 5, 60)]
    ranges = [(ALL_TIME, ALL_TIME), *((window.first, window.last) for window in windows)]
    theirs, ours = await sqlite.read(ranges), await redis_stats.read(ranges)
    assert ours == theirs
    assert [rates(part, 60.0) for part in ours.ranges] == [rates(part, 60.0) for part in theirs.ranges]
    assert await redis_stats.series(windows[-1].first, windows[-1].last) == await sqlite.series(windows[-1].first, windows[-1].last)


@pytest.mark.servers
async def test_keys_are_one_for_each_minute_and_two_more_and_all_expire(redis_stats: RedisStatsStore) -> None:
    events = random_life(7, 200)
    await redis_stats.apply(fold(events[:100]), 0, 100)
    await redis_stats.apply(fold(events[100:]), 100, len(events))
    keys = await keys_of(redis_stats)
    minutes = {minute for minute, *_ in fold(events).sums if minute != ALL_TIME}
    assert len(keys) == len(minutes) + 2
    assert min(keys.values()) > 0
    assert sorted(keys.values())[0] <= 31 * 86_400


@pytest.mark.servers
async def test_totals_that_are_lost_alone_begin_a_new_life_in_which_no_minute_counts_twice(redis_stats: RedisStatsStore) -> None:
    await redis_stats.apply(ONE, 0, 5)
    await redis_stats._redis.delete(redis_stats._totals)
    assert await redis_stats.whole() == (0, Delta())
    assert not await redis_stats.apply(ONE, 5, 6)
    assert await redis_stats.apply(ONE, 0, 5)
    assert await redis_stats.whole() == (5, ONE)


@pytest.mark.servers
async def test_a_large_beginning_is_written_in_pieces_and_seen_at_once(redis_stats: RedisStatsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a checkpoint. Another that begins at the same time loses, and leaves nothing that counts."""
    minutes, kinds = 30, AT_ONCE // 25
    delta = Delta({}, {(minute, "q", f"a.b{kind}", "accepted"): kind + 1 for minute in range(1, minutes + 1) for kind in range(kinds)}, {})
    seen = []

    async def watch() -> None:
        while not seen or not seen[-1]:
            seen.append((await redis_stats.read([(1, minutes)])).ranges[0].total("accepted"))

    watching = asyncio.create_task(watch())
    won = await asyncio.gather(redis_stats.apply(delta, 0, 9), redis_stats.apply(delta, 0, 9))
    await watching
    assert sorted(won) == [False, True]
    assert await redis_stats.whole() == (9, delta)
    assert set(seen) <= {0, sum(delta.sums.values())}


@pytest.mark.servers
async def test_deployments_on_one_redis_do_not_see_each_other(redis_stats: RedisStatsStore) -> None:
    other = RedisStatsStore(server_url("redis"), "urn:observatory:00000000-0000-0000-0000-000000000000")
    await redis_stats.apply(ONE, 0, 5)
    assert await other.whole() == (0, Delta())
    await other.apply(ONE, 0, 7)
    await other.clear()
    assert await keys_of(other) == {}
    await other.close()
    assert await redis_stats.whole() == (5, ONE)


@pytest.mark.servers
async def test_maxmemory_is_named_when_it_is_hit_and_nothing_is_half_written() -> None:
    with own_servers("redis") as servers:
        url = servers.url("redis")
        stats = RedisStatsStore(url, "urn:observatory:full")
        await stats.apply(ONE, 0, 5)
        async with redis.Redis.from_url(url) as client:
            await client.config_set("maxmemory", "1mb")
            with pytest.raises(StoreUnavailable, match=r"is full, its maxmemory is reached: .*OBSERVATORY_KEEP_STATISTICS_DAYS"):
                await stats.apply(ONE, 5, 6)
            assert await stats.whole() == (5, ONE)  # reading goes on
            condition = await stats.condition()
            assert (condition.verdict, condition.position) == ("fail", 5)
            assert "of 1.0 MiB of its maxmemory are used" in condition.found
            await client.config_set("maxmemory", "0")
            assert (await stats.condition()).verdict == "ok"
            assert await stats.apply(ONE, 5, 6)
            assert await stats.whole() == (6, merge(ONE, ONE))
            await client.config_set("maxmemory-policy", "allkeys-lru")
            await client.config_set("maxmemory", "1mb")
            assert "noeviction" in (await stats.condition()).mend
            cursor, delta = await stats.whole()  # it forgets what it likes, and the totals go with their cursor
            assert cursor == 6 or (cursor, delta) == (0, Delta())
        await stats.close()


@pytest.mark.servers
async def test_statistics_survive_a_kill_of_redis_or_go_back_to_an_earlier_cursor_whole() -> None:
    with own_servers("redis") as servers:
        stats = RedisStatsStore(servers.url("redis"), "urn:observatory:killed")
        for position in range(200):
            await stats.apply(ONE, position, position + 1)
        process = servers.running("redis")
        assert process is not None
        process.send(9)
        process.stop()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await stats.cursor()
        servers.start(["redis"])
        cursor, delta = await stats.whole()
        assert delta == merge(*[ONE] * cursor)
        assert await stats.apply(ONE, cursor, cursor + 1)
        await stats.close()


async def test_a_store_that_is_away_says_where_it_should_be_and_not_by_which_password() -> None:
    stats = RedisStatsStore("redis://:secret@127.0.0.1:9/0", "urn:observatory:test")
    with pytest.raises(StoreUnavailable, match=r"the statistics store \(Redis at 127\.0\.0\.1:9/0\) does not answer") as caught:
        await stats.ping()
    assert "secret" not in str(caught.value)
    await stats.close()


@pytest.mark.servers
async def test_the_url_says_whether_the_connection_is_encrypted_and_whom_to_trust(tmp_path: Path) -> None:
    server_url("redis")  # skips or fails where there is no Redis
    make_certificate(tmp_path)
    port = Place(tmp_path, {}).port("redis")
    encrypted = ["--tls-port", str(port), "--tls-cert-file", "cert.pem", "--tls-key-file", "cert-key.pem", "--tls-auth-clients", "no"]
    process = spawn(["redis-server", "--port", "0", *encrypted, "--requirepass", "secret"], tmp_path / "log", environment=os.environ)
    trusting = RedisStatsStore(f"rediss://:secret@127.0.0.1:{port}/0?ssl_ca_certs={tmp_path / 'cert.pem'}", "urn:observatory:tls")
    doubting = RedisStatsStore(f"rediss://:secret@127.0.0.1:{port}/0", "urn:observatory:tls")
    try:
        assert wait_until(lambda: "Ready to accept" in (tmp_path / "log").read_text(), 20)
        assert await trusting.apply(ONE, 0, 5)
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            await doubting.ping()
    finally:
        for stats in (trusting, doubting):
            await stats.close()
        process.stop()


@pytest.mark.servers
async def test_a_wrong_password_is_told_with_the_setting(jobs: SqliteJobStore) -> None:
    host = server_url("redis").rpartition("@")[2]
    stats = RedisStatsStore(f"redis://:wrong@{host}", jobs.source)
    with pytest.raises(StoreUnavailable, match=r"refuses: .*OBSERVATORY_REDIS_URL"):
        await stats.ping()
    await stats.close()


@pytest.mark.parametrize("url", ["http://here", "redis://h:port/0", "redis://h/0?socket_timeout=soon"])
def test_a_url_that_cannot_be_used_is_told_with_its_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="OBSERVATORY_REDIS_URL"):
        RedisStatsStore(url, "urn:observatory:test")


@pytest.mark.servers
async def test_redis_that_is_emptied_while_retention_works_is_filled_as_the_log_tells(jobs: SqliteJobStore, redis_stats: RedisStatsStore) -> None:
    for _ in range(10):
        await submit(jobs, 100)
        await run_all(jobs)
    engine = MetricsEngine(jobs, redis_stats)
    await engine.catch_up()
    await engine.drain()
    for cursor in (PUBLISH_CURSOR, STATISTICS_CURSOR):
        await jobs.advance(cursor, await jobs.head())
    before, keep = await redis_stats.whole(), Retention({"succeeded": 0}, batch=50)
    assert (await jobs.prune(keep)).jobs == 50
    await redis_stats._redis.delete(*await keys_of(redis_stats))

    async def sweep() -> None:
        for _ in range(10):
            await jobs.prune(keep)
            await asyncio.sleep(0.002)

    engine = MetricsEngine(jobs, redis_stats)
    await asyncio.gather(engine.catch_up(), sweep())
    await engine.catch_up()
    assert await redis_stats.whole() == before
