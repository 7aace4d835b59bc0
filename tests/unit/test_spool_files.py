"""The spool folder: whole files or none, one for each letter, bounded; what cannot be read is set aside."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError, StoreUnavailable
from functions.dead_letter.spool import Spool
from functions.stores.job_store import DeadLetter
from tests.support.system import ROOT

BODY = bytes(range(256)) + b"\n\n\x00"


def letter(number: int = 1, **parts: object) -> DeadLetter:
    made = DeadLetter(f"id-{number}", "metrics-engine", "urn:client", f"event {number} \ud800", None, "the subscriber answered 503\nat x", 4, "text/plain",
                      BODY, {"ce-id": "ö"}, 1_795_000_000_000_000, position=7)  # fmt: skip
    return replace(made, **parts)  # type: ignore[arg-type]


def spool_in(folder: Path, **bounds: int) -> Spool:
    spool = Spool(folder, **bounds)
    spool.open()
    return spool


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_letter_comes_back_whole_also_to_the_next_process(tmp_path: Path) -> None:
    spool_in(tmp_path / "of" / "spool").put(letter())
    spool = spool_in(tmp_path / "of" / "spool")
    (name,) = spool.names()
    assert spool.read(name) == letter()
    spool.remove(name)
    assert (files(tmp_path / "of" / "spool"), spool.waiting) == ([], 0)
    spool.remove(name)  # again is as once


def test_an_event_that_comes_again_finds_its_letter(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    for each in (letter(), letter(id="another", attempts=1), letter(2), letter(trigger="another")):
        spool.put(each)
    spool = spool_in(tmp_path)
    spool.put(letter(id="after a start"))
    assert sorted(spool.read(name).id for name in spool.names()) == ["id-1", "id-1", "id-2"]  # type: ignore[union-attr]


@pytest.mark.parametrize("bounds", [{"letters_max": 2}, {"bytes_max": 1_500}])
def test_a_full_spool_takes_no_more_until_there_is_room(tmp_path: Path, bounds: dict[str, int]) -> None:
    spool = spool_in(tmp_path, **bounds)
    spool.put(letter(1))
    spool.put(letter(2))
    for full in (spool, spool_in(tmp_path, **bounds)):
        with pytest.raises(StoreUnavailable, match="full: 2 dead letters"):
            full.put(letter(3))
        full.put(letter(2))  # is there already
    assert len(files(tmp_path)) == 2
    spool.remove(spool.names()[0])
    spool.put(letter(3))


def test_a_disk_that_takes_nothing_refuses_and_leaves_nothing(tmp_path: Path) -> None:
    spool = spool_in(tmp_path / "spool")
    (tmp_path / "spool").rename(tmp_path / "gone")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        spool.put(letter())
    assert (spool.waiting, files(tmp_path / "gone")) == (0, [])


@pytest.mark.parametrize("harm", [
    lambda content: b"", lambda content: content[:-1], lambda content: content + b"x", lambda content: content.replace(b"503", b"504"),
    lambda content: content.replace(b"\x7f", b"\x7e"), lambda content: b"\x00" * len(content),
])  # fmt: skip
def test_a_damaged_file_is_set_aside_and_stays(tmp_path: Path, harm, caplog: pytest.LogCaptureFixture) -> None:  # type: ignore[no-untyped-def]
    spool = spool_in(tmp_path)
    spool.put(letter())
    (name,) = spool.names()
    harmed = harm((tmp_path / name).read_bytes())
    (tmp_path / name).write_bytes(harmed)
    assert spool.read(name) is None
    assert (spool.waiting, spool.damaged, files(tmp_path)) == (0, 1, [f"{name}.0.damaged"])
    assert (tmp_path / f"{name}.0.damaged").read_bytes() == harmed and "set aside" in caplog.text
    spool.put(letter())  # the next of its name takes nothing from it
    (tmp_path / name).write_bytes(b"")
    spool = spool_in(tmp_path)
    assert spool.read(name) is None
    assert files(tmp_path) == [f"{name}.0.damaged", f"{name}.1.damaged"]


def test_a_process_that_is_killed_while_it_writes_leaves_no_half_of_a_letter(tmp_path: Path) -> None:
    """Killed before the rename, and after it."""
    writes = (
        "import os, signal, sys; from pathlib import Path; from functions.dead_letter import spool as module; from tests.unit.test_spool_files import letter\n"
        "spool = module.Spool(Path(sys.argv[1])); spool.open(); spool.put(letter(1)); point = sys.argv[2]; real = Path.rename\n"
        "def rename(self, target):\n"
        "    if point == 'before': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(self, target); os.kill(os.getpid(), signal.SIGKILL)\n"
        "Path.rename = rename; spool.put(letter(2))\n"
    )
    for point, left in (("before", ["id-1"]), ("after", ["id-1", "id-2"])):
        done = subprocess.run([sys.executable, "-c", writes, str(tmp_path / point), point], cwd=ROOT, check=False, capture_output=True)
        assert done.returncode == -9, done.stderr
        spool = spool_in(tmp_path / point)
        assert sorted(spool.read(name).id for name in spool.names()) == left  # type: ignore[union-attr]
        assert len(files(tmp_path / point)) == len(left)  # the part is gone


def test_a_folder_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="OBSERVATORY_SPOOL"):
        spool_in(tmp_path / "file")
