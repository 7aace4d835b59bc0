"""The terminal console's screens as text: pure states, keys in, frames out."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console import text
from console.render import render
from console.screens import SCREENS
from console.state import Act, Clicked, Pressed, Quit, Received, Refused, Resized, State, Ticked, Unreached
from console.update import update, wants
from tests.console.scenes import JOBS, NOW, job, press, scene, send, typed

SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("screen", ["dashboard", "jobs"])
def test_a_screen_shows_what_was_read_at_every_size(screen: str, size: tuple[int, int]) -> None:
    frame = render(scene(screen, *size)).text()
    lines = frame.split("\n")
    assert len(lines) == size[1]
    assert max(map(text.width, lines)) <= size[0]
    assert "text.statistics" in frame
    assert "ValueError: no" in frame
    assert "its queue is" in frame
    assert JOBS[0]["id"][-12:] in frame


def test_the_dashboard_shows_totals_times_and_queues() -> None:
    frame = render(scene("dashboard")).text()
    assert "12,345" in frame
    assert "41.5/s" in frame
    assert "400 ms" in frame
    assert "paused" in frame
    assert "processor" in frame


def test_enter_opens_the_selected_job_and_escape_goes_back_to_it() -> None:
    state = press(scene("jobs"), "j", "down", "enter")
    assert (state.view.screen, state.view.subject) == ("job", JOBS[2]["id"])
    assert "Traceback" in render(state).text()
    assert press(state, "esc").view.chosen == JOBS[2]["id"]


def test_the_selection_stays_on_its_job_when_new_ones_arrive() -> None:
    state = press(scene("jobs"), "down", "down")
    want = SCREENS["jobs"].wants(state, state.view)[0]
    fresh = [job(40), job(41), *JOBS]
    state = send(state, Received(want, {"items": fresh}, NOW + 1))
    assert (state.view.chosen, state.view.cursor) == (JOBS[2]["id"], 4)


def test_a_cancel_is_confirmed_with_its_count_before_it_is_sent() -> None:
    state = press(scene("jobs"), "m", "m", "c")
    assert state.question is not None
    assert "2 jobs" in state.question.text
    state, effects = update(state, Pressed("y"))
    assert [effect.path for effect in effects if isinstance(effect, Act)] == [f"/v1/jobs/{found['id']}/cancel" for found in JOBS[:2]]
    assert "2 under way" in render(state).text()


def test_no_leaves_everything_as_it_is() -> None:
    state, effects = update(press(scene("jobs"), "c"), Pressed("n"))
    assert (state.question, effects) == (None, ())


def test_a_job_that_cannot_be_retried_is_said_so() -> None:
    state = press(scene("jobs"), "r")
    assert state.question is None
    assert "has not failed" in render(state).text()


def test_letters_are_text_while_one_types_a_filter() -> None:
    state = typed(press(scene("jobs"), "/"), "state:failed")
    assert "state:failed" in render(state).text().split("\n")[-1]
    state = press(state, "enter")
    assert state.view.query == "state:failed"
    assert ("q", "state:failed") in wants(state)[0].query


def test_the_palette_goes_to_a_screen_with_a_filter() -> None:
    state = press(typed(press(scene(), ":"), "jobs state:failed"), "enter")
    assert (state.view.screen, state.view.query) == ("jobs", "state:failed")


def test_sorting_by_a_column_and_turning_it_round() -> None:
    state = press(scene("jobs"), "s")
    assert [row["status"] for row in SCREENS["jobs"].rows(state, state.view)] == sorted(found["status"] for found in JOBS)  # type: ignore[attr-defined]
    assert "STATE▲" in render(state).text()
    assert "STATE▼" in render(press(state, "S")).text()


def test_a_click_selects_and_a_click_on_the_selected_opens() -> None:
    state = scene("jobs")
    line = next(y for y, said in enumerate(render(state).text().split("\n")) if JOBS[3]["id"][-12:] in said)
    state = send(state, Clicked("press", 5, line))
    assert state.view.chosen == JOBS[3]["id"]
    assert send(state, Clicked("press", 5, line)).view.screen == "job"


def test_what_is_shown_is_marked_stale_when_the_server_goes_away_and_live_when_it_comes_back() -> None:
    state = send(scene(), Unreached("nothing listens", 1, 0.5, NOW + 1), Ticked(NOW + 5, 0))
    frame = render(state).text()
    assert "STALE 5" in frame
    assert "nothing listens" in frame
    assert "12,345" in frame
    state = send(state, Received(wants(state)[0], state.document(wants(state)[0]), NOW + 6))
    assert "STALE" not in render(state).text()
    assert "live" in render(state).text()


def test_a_refusal_is_shown_in_place_of_the_list() -> None:
    state = scene("jobs")
    want = wants(state)[0]
    state = send(replace(state, data={}), Refused(want, 400, "state: knows no 'faild'", NOW))
    assert "knows no 'faild'" in render(state).text()


def test_text_from_jobs_cannot_steer_the_terminal_nor_break_columns() -> None:
    message = "\x1b[2J\x1b]0;x\x07 \u202egnp.exe 日本語 e\u0301\u0301\u0301"
    evil = job(1, "failed", error={"type": "E", "message": message, "traceback": None}, type="\x1b[31mred")
    state = scene("jobs")
    canvas = render(send(state, Received(wants(state)[0], {"items": [evil]}, NOW)))
    assert "\x1b" not in canvas.text()
    assert "\u202e" not in canvas.text()
    assert all(sum(text.width(cell) for cell in line) == canvas.columns for line in canvas.cells)


def test_q_leaves() -> None:
    assert update(scene(), Pressed("q"))[1] == (Quit(),)


def test_the_help_lists_every_key_of_the_screen() -> None:
    frame = render(press(scene("jobs"), "?")).text()
    for words in ("Filter by the query language.", "Mark or unmark", "Leave the console"):
        assert words in frame


def test_a_form_is_made_from_the_schema_and_shows_faults_as_one_types() -> None:
    state = press(press(scene(), "N"), "enter")
    assert (state.view.screen, state.view.subject) == ("form", "demo.everything")
    frame = render(state).text()
    assert "times *" in frame
    assert "is missing" in frame
    state = typed(state, "x")
    assert "is no integer" in render(state).text()
    state = typed(press(state, "backspace"), "200")
    assert "at most 100" in render(state).text()


def test_a_form_with_lists_objects_choices_and_flags_becomes_the_payload() -> None:
    state = press(press(scene(), "N"), "enter")
    state = press(typed(state, "3"), "down")
    state = press(press(state, "space", "space"), "down")  # mode: fast, slow
    state = press(press(state, "space"), "down")  # flag: true
    state = press(press(state, "+", "+", "down"))
    state = press(typed(state, "a b"), "down")
    state = press(typed(state, "c"), "ctrl-d", "down")
    state = typed(state, "Oslo")
    state, effects = update(state, Pressed("ctrl-s"))
    assert [(act.path, act.body) for act in effects if isinstance(act, Act)] == [
        ("/v1/jobs", {"type": "demo.everything", "payload": {"times": 3, "mode": "slow", "loud": True, "names": ["a b"], "place": {"city": "Oslo"}}})
    ]


def test_a_form_with_faults_is_not_submitted() -> None:
    state, effects = update(press(press(scene(), "N"), "enter"), Pressed("ctrl-s"))
    assert effects == ()
    assert "to mend" in render(state).text()


KEYS = ["up", "down", "left", "right", "enter", "esc", "tab", "shift-tab", "pgup", "pgdn", "home", "end", "space", "backspace",
        *"abcdefghijklmnoprstuvwxyzGMNRSY:/?0123456789"]
MESSAGES = st.one_of(
    st.sampled_from(KEYS).map(Pressed),
    st.builds(Resized, st.integers(1, 220), st.integers(1, 70)),
    st.builds(Clicked, st.sampled_from(["press", "double", "wheel-up", "wheel-down"]), st.integers(0, 219), st.integers(0, 69)),
    st.builds(Unreached, st.text(max_size=20), st.integers(1, 9), st.floats(0, 5), st.just(NOW + 9)),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(MESSAGES, max_size=25), st.sampled_from(sorted(SCREENS)))
def test_random_keys_and_sizes_neither_crash_nor_draw_outside(messages: list[Any], screen: str) -> None:
    state: State = scene(screen, subject=JOBS[2]["id"] if screen == "job" else "") if screen != "dashboard" else scene()
    for message in messages:
        state, _ = update(state, message)
        canvas = render(state)
        assert len(canvas.cells) == state.lines
        assert all(len(line) == state.columns and sum(map(text.width, line)) == state.columns for line in canvas.cells)
