"""Seeded kills of the real system under load, at the named points, of its parent, its workers, everything; then the checker.

KILLS_SEED=17 runs the folder of that seed alone; a failure prints its seed and what was done.
"""

import os
from pathlib import Path

import pytest

from tests.kills.killing import Folder

FOLDERS, KILLS_A_FOLDER = 20, 10
GIVEN = os.environ.get("KILLS_SEED")
SEEDS = [int(GIVEN)] if GIVEN else range(FOLDERS)


@pytest.mark.kills
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_or_done_twice_over_ten_kills(tmp_path: Path, seed: int) -> None:
    suffer(tmp_path, seed, KILLS_A_FOLDER)


@pytest.mark.parametrize("seed", [1_001, 1_002])
def test_nothing_is_lost_or_done_twice_over_four_kills(tmp_path: Path, seed: int) -> None:
    suffer(tmp_path, seed, 4)


def suffer(path: Path, seed: int, kills: int) -> None:
    folder = Folder(path, seed)
    try:
        found = folder.suffer(kills)
    except BaseException:
        print(f"KILLS_SEED={seed}; in {path}; done: {folder.done}")
        raise
    shown = "\n".join(found[:20])
    assert not found, f"KILLS_SEED={seed}; in {path}; done: {folder.done}; {len(found)} violations, the first are\n{shown}"
