"""Fixtures that every test may use."""

from collections.abc import Iterator

import pytest

from tests.support import servers
from tests.support.system import System, running_system


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One running embedded system for all tests that only add to it."""
    with running_system(tmp_path_factory.mktemp("shared") / "data") as started:
        yield started


def pytest_sessionfinish() -> None:
    servers.stop_started()
