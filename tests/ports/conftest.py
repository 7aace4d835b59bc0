"""Fixtures of the port suites."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """In memory where there is such a place: behaviour is the same there, and each commit costs no disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="observatory-") as folder:
        yield Path(folder)
