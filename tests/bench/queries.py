"""Searches over a million jobs of all kinds: each term alone and in pairs, the first page of 50, by HTTP on one connection."""

import http.client
import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from functions.runtime.data_folder import DATABASE
from tests.bench.figures import Figure
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
        f"age>{rest + 345_600}s", "duration>1s", "duration<1ms", "attempt>=2", "attempt=3", "error:ConnectionError", 'error:"no such file"',
        "payload.customer.id:777", "payload.customer.region:n", "payload.path:data/loading/part-7.csv", "count", "word777", "rows", '"count load"',
        '"wrote 777 rows"', "state:failed OR tag:team-1",
    ]  # fmt: skip


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


def p99_of(asker: Asker, query: str, times: int) -> tuple[float, int]:
    """The time of 99 of a hundred, and how many jobs the page holds (-1: it was refused)."""
    answers = [asker.ask(query) for _ in range(times)]
    page = answers[-1][1]
    return percentile(sorted(took for took, _ in answers), 99), len(page["items"]) if page["status"] == 200 else -1


def wait_indexed(system: System, say: Say) -> float:
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


def measured(system: System, say: Say, wanted: Sequence[str]) -> dict[str, tuple[float, int]]:
    """Each term alone and each pair -> its p99 in milliseconds, and the size of its page."""
    asker = Asker(system)
    for term in wanted:
        asker.ask(term)
    found = {term: p99_of(asker, term, ALONE) for term in wanted}
    say(f"  {len(found)} terms alone, slowest {max(took for took, _ in found.values()):.1f} ms")
    for one, other in combinations(wanted, 2):
        found[f"{one} {other}"] = p99_of(asker, f"{one} {other}", PAIRED)
    return found


def searches(folder: Path, say: Say) -> tuple[list[Figure], dict[str, Any]]:
    """On the folder itself, where the index stays for the next time: nothing there is due, and nothing is dropped."""
    with System(folder, **KEEP_ALL) as system:
        seconds = wait_indexed(system, say)
        say(f"  the index of {folder.name} is whole ({seconds:.0f} s, {(folder / 'search.db').stat().st_size / 1e6:.0f} MB)")
        wanted = terms(folder)
        found = measured(system, say, wanted)
    alone = {query: found[query] for query in wanted}
    pairs = {query: taken for query, taken in found.items() if query not in alone}
    refused = [query for query, (_, size) in found.items() if size < 0]
    figures = [_slowest("one term", alone), _slowest("two terms", pairs), Figure("queries that were refused", len(refused), "", 1, note=", ".join(refused[:3]))]
    return figures, {"milliseconds_p99_and_size": found, "index_seconds": seconds}


def _slowest(words: str, found: dict[str, tuple[float, int]]) -> Figure:
    query = max(found, key=lambda each: found[each][0])
    took = sorted(milliseconds for milliseconds, _ in found.values())
    note = f"slowest of {len(found)}: {query}; half of them under {took[len(took) // 2]:.1f} ms"
    return Figure(f"first page of {PAGE} by {words}, p99", found[query][0], "ms", MOST_MS, note=note)
