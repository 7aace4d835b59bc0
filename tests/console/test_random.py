"""Random keys, sizes, clicks and answers: the console neither crashes nor draws outside of its terminal."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from console import text
from console.messages import Acted, Clicked, Happened, Launched, LaunchEnded, Pasted, Pressed, Received, Refused, Resized, Staged, Ticked, Unreached
from console.render import render
from console.screens import SCREENS
from console.state import State
from console.update import update, wants
from tests.console.scenes import DOCUMENTS, EVENTS, NOW, WALL, away, scene
from tests.console.test_habits import HOSTILE, SUBJECTS

KEYS = ["up", "down", "left", "right", "enter", "esc", "tab", "shift-tab", "pgup", "pgdn", "home", "end", "space", "backspace", "delete", "insert", "f1",
        "ctrl-u", "ctrl-w", "ctrl-s", "ctrl-d", "ctrl-l", "ctrl-r", "ctrl-a", "ctrl-k", *"abcdefghijklmnoprstuvwxyzACGJLMNRSY:/?@+-[]0123456789"]  # fmt: skip
MESSAGES = st.one_of(
    st.sampled_from(KEYS).map(Pressed),
    st.sampled_from(["answer", "refuse", "act", "act-refused"]),
    st.builds(Resized, st.integers(1, 220), st.integers(1, 70)),
    st.builds(Clicked, st.sampled_from(["press", "double", "wheel-up", "wheel-down"]), st.integers(0, 219), st.integers(0, 69)),
    st.builds(Unreached, st.text(max_size=20), st.integers(1, 9), st.floats(0, 5), st.just(NOW + 9)),
    st.builds(Pasted, st.one_of(st.text(max_size=30), st.just(HOSTILE))),
    st.builds(Ticked, st.floats(NOW, NOW + 100), st.floats(WALL, WALL + 100)),
    st.builds(Launched, st.just(7), st.just("/tmp/log")),
    st.builds(Staged, st.sampled_from(["tools", "cluster", HOSTILE]), st.sampled_from(["begun", "done", "failed", "?"]), st.none(), st.text(max_size=9)),
    st.builds(LaunchEnded, st.text(max_size=50), st.integers(0, 1)),
    st.just(Happened((EVENTS[1], {**EVENTS[2], "position": "77", "jobtype": HOSTILE}), NOW)),
)
START = {**SUBJECTS, "contract": "/v1/contracts/demo.everything"}


def step(state: State, message: Any, pending: list[Any]) -> State:
    """One message, or one of those that are made from the state: an answer to what it wants, or to what it did."""
    if message == "answer":
        for want in wants(state):
            if want.path in DOCUMENTS:
                state, _ = update(state, Received(want, DOCUMENTS[want.path], NOW))
        return state
    if message == "refuse":
        return update(state, Refused(wants(state)[0], 400, HOSTILE, NOW))[0]
    if message in ("act", "act-refused"):
        if not pending:
            return state
        document = {"id": "x", "status": "queued", "action": "retry", "q": "", "matched": 3, "able": 2, "in_words": "now"}
        told = Acted(pending.pop(), document) if message == "act" else Acted(pending.pop(), None, HOSTILE, (("/payload/times", HOSTILE),))
        return update(state, told)[0]
    state, effects = update(state, message)
    pending += [effect for effect in effects if hasattr(effect, "path")]
    return state


@settings(max_examples=80, deadline=None)
@given(st.lists(MESSAGES, max_size=20), st.sampled_from(sorted(SCREENS)), st.booleans())
def test_random_keys_sizes_and_answers_neither_crash_nor_draw_outside(messages: list[Any], screen: str, ascii_only: bool) -> None:
    state = away() if screen == "launcher" else scene(screen, subject=START.get(screen, ""))
    state = replace(state, ascii_only=ascii_only)
    pending: list[Any] = []
    for message in messages:
        state = step(state, message, pending)
        canvas = render(state)
        assert (len(canvas.cells), {len(line) for line in canvas.cells}) == (state.lines, {state.columns})
        assert all(sum(map(text.width, line)) == state.columns for line in canvas.cells)
        assert not ascii_only or canvas.text().isascii()
