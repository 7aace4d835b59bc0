"""Fixtures that every test may use."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.postgres import postgres_databases, postgres_url
from tests.support.system import System, running_system

__all__ = ["postgres_databases", "postgres_url"]  # fixtures
MEMORY = Path("/dev/shm")


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """In memory where there is such a place: behaviour is the same there, and each commit costs no disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="observatory-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One running embedded system for all tests that only add to it."""
    with running_system(tmp_path_factory.mktemp("shared") / "data") as started:
        yield started


@pytest.hookimpl(trylast=True)  # after the fixtures of the session, which still work with the servers when a run is interrupted
def pytest_sessionfinish() -> None:
    servers.stop_started()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped, a line a reason, so that an absent server is named and the failures are not lost among hundreds of lines."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped if isinstance(report.longrepr, tuple))
    for reason, tests in sorted(reasons.items()):
        terminalreporter.write_line(f"{tests} skipped: {reason}")
