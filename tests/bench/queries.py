"""Searches over a million jobs of all kinds: each term alone and in pairs, the first page of 50, by HTTP on one connection.

Beside the time that a client waits stands the processor time that the system spends, which other work on the machine
does not lengthen.
"""

import http.client
import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from functions.runtime.data_folder import DATABASE
from tests.bench.figures import Figure
from tests.bench.processes import thread_milliseconds
from tests.bench.watching import percentile
from tests.support.system import System

Say = Callable[[str], None]
PAGE = 50
ALONE, PAIRED = 200, 100  # how often each is asked
MOST_MS = 20.0
KEEP_ALL = {f"OBSERVATORY_KEEP_{name}": "0" for name in ("SUCCEEDED_DAYS", "FAILED_DAYS", "JOBS_MAX")}
FILL_SECONDS = 3_600.0


def terms(folder: Path) -> list[str]:
    """A term of every field, common and rare, and what the index cannot decide alone; ages as of the newest job."""
    with sqlite3.connect(f"file:{folder / DATABASE}?mode=ro", uri=True) as connection:
        parent = connection.execute("SELECT parent_id FROM jobs WHERE parent_id IS NOT NULL ORDER BY number LIMIT 1 OFFSET 500").fetchone()[0]
        newest = connection.execute("SELECT max(created_at) FROM jobs WHERE number = (SELECT max(number) FROM jobs)").fetchone()[0]
    connection.close()
    rest = int(time.time() - newest / 1e6)
    return [
        "state:failed", "state:succeeded", "state:running", "-state:succeeded", "type:text.statistics", "type:report.nightly", "queue:bulk", "queue:io",
        "tag:team-7", "-tag:team-7", "actor:service-3", "schedule:every-night", f"id:{parent}", f"parent:{parent}", f"root:{parent}", f"age<{rest + 3_600}s",
        f"age>{rest + 345_600}s", "duration>55ms", "duration<3ms", "duration>1s", "attempt>=2", "attempt=3", "error:ConnectionError", 'error:"no such file"',
        "payload.customer.id:777", "payload.customer.region:n", "payload.path:data/loading/part-7.csv", "count", "word777", "rows", '"count load"',
        '"wrote 777 rows"', "state:failed OR tag:team-1",
    ]  # fmt: skip


def pid_of(system: System) -> int:
    assert system.process is not None
    return system.process.pid


class Asker:
    """One keep-alive connection."""

    def __init__(self, system: System) -> None:
        address = urlsplit(system.url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)

    def ask(self, query: str) -> tuple[float, dict[str, Any]]:
        """Milliseconds from the request to the last byte of the answer, and the page."""
        began = time.perf_counter()
        self._connection.request("GET", f"/v1/jobs?limit={PAGE}&q={quote(query)}")
        response = self._connection.getresponse()
        body = response.read()
        took = (time.perf_counter() - began) * 1e3
        return took, json.loads(body) | {"status": response.status}


@dataclass(frozen=True, slots=True)
class Taken:
    """Milliseconds: what 99 of a hundred clients waited at most, half of them, and the processor's a query; the jobs on the page (-1: refused)."""

    p99: float
    p50: float
    processor: float
    size: int


def taken_by(system: System, asker: Asker, query: str, times: int) -> Taken:
    before = thread_milliseconds(pid_of(system))
    answers = [asker.ask(query) for _ in range(times)]
    spent = thread_milliseconds(pid_of(system)) - before
    waits, page = sorted(took for took, _ in answers), answers[-1][1]
    return Taken(percentile(waits, 99), percentile(waits, 50), spent / times, len(page["items"]) if page["status"] == 200 else -1)


def wait_indexed(system: System) -> float:
    """Returns when the index holds everything; the seconds that took. It is seen in the index's own file."""
    began = time.monotonic()
    while time.monotonic() < began + FILL_SECONDS:
        with sqlite3.connect(f"file:{system.data / 'search.db'}?mode=ro", uri=True, timeout=30) as index:
            (blocks,) = index.execute("SELECT first_block FROM progress").fetchone()
        index.close()
        if blocks == 0:
            return time.monotonic() - began
        time.sleep(1)
    raise TimeoutError(f"the index is not whole after {FILL_SECONDS:g} s")


def measured(system: System, say: Say, wanted: Sequence[str], times: tuple[int, int] = (ALONE, PAIRED)) -> tuple[dict[str, Taken], dict[str, Taken]]:
    """Each term alone, and each pair."""
    asker = Asker(system)
    for term in wanted:
        asker.ask(term)
    alone = {term: taken_by(system, asker, term, times[0]) for term in wanted}
    say(f"  {len(alone)} terms alone: {_sentence(alone)}")
    pairs = {f"{one} {other}": taken_by(system, asker, f"{one} {other}", times[1]) for one, other in combinations(wanted, 2)}
    say(f"  {len(pairs)} pairs: {_sentence(pairs)}")
    return alone, pairs


def searches(folder: Path, say: Say, times: tuple[int, int] = (ALONE, PAIRED)) -> tuple[list[Figure], dict[str, Any]]:
    """On the folder itself, where the index stays for the next time: nothing there is due, and nothing is dropped."""
    with System(folder, **KEEP_ALL) as system:
        seconds = wait_indexed(system)
        say(f"  the index of {folder.name} is whole ({seconds:.0f} s, {(folder / 'search.db').stat().st_size / 1e6:.0f} MB)")
        alone, pairs = measured(system, say, terms(folder), times)
    refused = [query for query, taken in (alone | pairs).items() if taken.size < 0]
    figures = [
        *_figures("one term", alone), *_figures("two terms", pairs),
        Figure("queries that were refused", len(refused), "", 1, note=", ".join(refused[:3])),
    ]  # fmt: skip
    return figures, {"queries": {query: asdict(taken) for query, taken in (alone | pairs).items()}, "index_seconds": seconds}


def _figures(words: str, found: dict[str, Taken]) -> list[Figure]:
    slow, dear = max(found, key=lambda query: found[query].p99), max(found, key=lambda query: found[query].processor)
    return [
        Figure(f"first page of {PAGE} by {words}, p99", found[slow].p99, "ms", MOST_MS, note=f"slowest of {len(found)}: {slow}"),
        Figure("  processor time of the system", found[dear].processor, "ms a query", note=f"dearest: {dear}"),
    ]


def _sentence(found: dict[str, Taken]) -> str:
    return ", ".join(f"{name} at most {max(getattr(taken, name) for taken in found.values()):.1f} ms" for name in ("p50", "p99", "processor"))
