"""Seeded kills of the system as processes over real servers, under load, each seed followed by the checker.

KILLS_SEED=17 runs that seed alone; a failure prints its seed and what was done.
"""

import os
from collections.abc import Iterator

import pytest

from tests.kills.killing_processes import KINDS, Blows
from tests.support.processes_system import Deployment
from tests.support.servers import WITHOUT, own_servers

pytestmark = pytest.mark.servers
NAMES = tuple(name for name in ("postgres", "redis", "rabbitmq", "mongo") if name not in WITHOUT)
GIVEN = os.environ.get("KILLS_SEED")
SEEDS = [int(GIVEN)] if GIVEN else range(len(KINDS) + 3)


@pytest.fixture(scope="module")
def blows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Blows]:
    path = tmp_path_factory.mktemp("killed")
    points = path / "points"
    points.mkdir()
    with own_servers(*NAMES) as servers:
        settings = {"OBSERVATORY_PROCESSORS": "2", "OBSERVATORY_QUIET": "0", "OBSERVATORY_TEST_KILL": str(points)}
        made = Deployment(path, servers, NAMES, **settings)
        with made.running():
            yield Blows(made, points)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_or_done_twice_over_kills(blows: Blows, seed: int) -> None:
    try:
        blows.suffer(seed)
    finally:
        print(f"KILLS_SEED={seed}; in {blows.deployment.path}; done: {blows.done}")
