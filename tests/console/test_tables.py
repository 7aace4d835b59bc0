"""Tables fit the terminal: flexible columns give way, then whole columns go; nothing that is kept is unreadable."""

import subprocess
from pathlib import Path

import pytest

from console.text import Column, Painter, table, width
from console.verbs import dead_letters, events, list_jobs, queues, schedules
from tests.support.system import ROOT, System

JOB = ("01a214f9-83a8-739d-95c7-10777f715c59", "text.statistics", "succeeded", "default", "4", "1/5", "32.4 s", "65 ms", "RuntimeError: no such file here")


@pytest.mark.parametrize(
    ("room", "titles"),
    [
        (None, "ID TYPE STATE QUEUE PRI TRY AGE RAN NOTE"),
        (140, "ID TYPE STATE QUEUE PRI TRY AGE RAN NOTE"),
        (104, "ID TYPE STATE TRY AGE RAN NOTE"),
        (80, "ID TYPE STATE TRY AGE"),
        (72, "ID TYPE STATE AGE"),
        (20, "ID TYPE STATE AGE"),
    ],
)
def test_columns_go_by_their_rank_where_there_is_no_room(room: int | None, titles: str) -> None:
    lines = table(list_jobs.COLUMNS, [JOB], room, Painter(False))
    assert lines[0].split() == titles.split()
    assert lines[1].startswith(JOB[0])  # an id that is cut is none
    if room is not None and room > 70:
        assert max(map(width, lines)) <= room


@pytest.mark.parametrize("columns", [dead_letters.COLUMNS, events.COLUMNS, queues.COLUMNS, schedules.COLUMNS, list_jobs.COLUMNS])
def test_every_list_fits_eighty_columns(columns: tuple[Column, ...]) -> None:
    row = ["x" * (36 if column.least == 36 else 40 if column.least == 40 else 60 if column.flexible else 8) for column in columns]
    assert max(map(width, table(columns, [row], 80, Painter(False)))) <= 80


def test_the_script_works_from_any_folder_and_by_a_link(system: System, tmp_path: Path) -> None:
    link = tmp_path / "bin" / "observatory"
    link.parent.mkdir()
    link.symlink_to(ROOT / "console" / "observatory")
    (tmp_path / "console").mkdir()  # a folder of that name in the way
    (tmp_path / "console" / "__main__.py").write_text("raise SystemExit('not me')")
    (tmp_path / "payload.json").write_text('{"text": "a b"}')
    environment = {"OBSERVATORY_URL": system.url, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run([link, "submit", "text.statistics", "@payload.json", "--wait"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and '"words": 2' in done.stdout, done.stderr
    assert "usage: observatory" in subprocess.run([link, "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True).stdout
