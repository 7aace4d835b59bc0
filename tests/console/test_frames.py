"""Every screen as text, at three sizes, as it was when somebody last looked at it."""

from dataclasses import replace

import pytest

from console import text
from console.render import render
from console.state import State
from tests.console.frames import FOLDER, FRAMES, SIZES, shown


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_a_screen_looks_as_it_did(name: str) -> None:
    """After a change that is meant, `python -m tests.console.frames` writes the frames anew: look at their difference."""
    assert shown(name) == (FOLDER / f"{name}.txt").read_text("utf-8")


def test_every_frame_that_is_kept_belongs_to_a_screen() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(FRAMES)


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_no_line_is_wider_than_its_terminal(name: str) -> None:
    for columns, lines in SIZES:
        canvas = render(FRAMES[name](columns, lines))
        assert len(canvas.cells) == lines
        assert {sum(text.width(cell) for cell in line) for line in canvas.cells} == {columns}


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_a_terminal_without_unicode_gets_ascii_alone(name: str) -> None:
    state: State = replace(FRAMES[name](100, 30), ascii_only=True)
    assert render(state).text().isascii()
