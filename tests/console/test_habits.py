"""What is the same on every screen: help, palette, leaving, the footer, the mouse, hostile text."""

from dataclasses import replace

import pytest

from console import text
from console.keys import shown
from console.messages import Clicked, Happened, Pressed, Quit, Received, Resized, Suspend
from console.render import key_places, render, tab_places
from console.screens import SCREENS, TABS
from console.state import State, View
from console.terminal import line_sequence
from console.theme import NAMES, STATE_STYLES, Theme
from console.update import update, wants
from console.wants import STATS as WANTED
from tests.console.scenes import ATTEMPT, BULK, EVENTS, JOBS, LETTER, NOW, STATS, away, job, press, scene, send

SUBJECTS = {"job": JOBS[2]["id"], "dead-letter": LETTER["id"], "letter-form": LETTER["id"], "form": "demo.everything", "schedule": "nightly",
            "contract": "/v1/contracts/demo.everything", "function": "scheduler", "operation": BULK["id"]}  # fmt: skip
FORMS = ("form", "letter-form", "schedule")
FREE = sorted(set(SCREENS) - {"launcher", *FORMS})
HOSTILE = "\x1b[2J\x1b]0;x\x07 \u202egnp.exe\u2066 日本語 e\u0301\u0301\u0301 \U0001f469\u200d\U0001f469\u200d\U0001f467 \u200b\ufeff\x00\x9b1m\r\n\tend"


def frame(state: State) -> str:
    return render(state).text()


def opened(screen: str) -> State:
    return scene(screen, subject=SUBJECTS.get(screen, ""))


def empty(screen: str) -> State:
    """A screen of which nothing was read, or of which the server says that there is nothing."""
    state = State("http://127.0.0.1:8080", columns=120, lines=40, now=NOW, views=(View("dashboard"), View(screen, SUBJECTS.get(screen, ""))))
    lists = [] if screen in SUBJECTS else SCREENS[screen].wants(state, state.view)[:1]
    return send(state, *(Received(want, {"items": []}, NOW) for want in lists))


@pytest.mark.parametrize("screen", FREE)
@pytest.mark.parametrize("make", [opened, empty])
def test_help_palette_going_back_and_leaving_work_on_every_screen(screen: str, make: object) -> None:
    state: State = make(screen)  # type: ignore[operator]
    assert press(state, "?").help == 0
    assert press(state, ":").prompt is not None
    assert press(state, "5").view.screen == "queues"
    assert update(state, Pressed("q"))[1] == (Quit(),)
    assert update(state, Pressed("ctrl-c"))[1] == (Quit(),)
    assert update(state, Pressed("ctrl-z"))[1] == (Suspend(),)
    assert len(press(state, "esc").views) == 1
    assert press(state, "N").view.screen == "new-task"


@pytest.mark.parametrize("screen", sorted(SCREENS))
def test_the_help_lists_every_key_of_the_screen(screen: str) -> None:
    state = replace(opened(screen) if screen != "launcher" else away(), columns=200, lines=80, help=0)
    shown_ = frame(state)
    for table in SCREENS[screen].keys:
        for entry in table:
            assert entry.help in shown_


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
@pytest.mark.parametrize("screen", FREE)
def test_the_footer_is_made_from_the_key_table_and_always_has_help_and_quit(screen: str, columns: int) -> None:
    state = send(opened(screen), Resized(columns, 24))
    foot = render(state).text().split("\n")[-1]
    assert "? help" in foot and "q quit" in foot
    known = {key for table in SCREENS[screen].keys for entry in table for key in entry.keys} | {"?", ":", "q", "N"}
    places = list(key_places(state))
    assert {key for key, _, _ in places} <= known
    for key, first, after in places:
        assert foot[first:after].startswith(shown(key))


def test_the_footer_of_a_form_names_no_letter_as_a_key() -> None:
    for screen in FORMS:
        assert all(len(key) > 1 for key, _, _ in key_places(opened(screen)))


def test_a_key_at_the_foot_can_be_clicked() -> None:
    state = scene("jobs")
    key, first, _ = next(place for place in key_places(state) if place[0] == "s")
    assert send(state, Clicked("press", first, state.lines - 1)).view.sort == "state", key


def test_a_tab_in_the_header_can_be_clicked() -> None:
    state = scene("jobs")
    for name, first, _ in tab_places(state):
        assert send(state, Clicked("press", first + 1, 0)).view.screen == name
    assert [name for name, _, _ in tab_places(state)] == list(TABS)


def test_a_choice_of_a_question_can_be_clicked() -> None:
    state = press(scene("jobs"), "c")
    lines = frame(state).split("\n")
    y = next(y for y, line in enumerate(lines) if "y yes" in line)
    no = send(state, Clicked("press", lines[y].index("n no"), y))
    assert (no.question, no.operations) == (None, ())
    assert send(state, Clicked("press", lines[y].index("y yes"), y)).operations != ()
    assert send(state, Clicked("press", 1, 1)).question is not None


def test_tab_goes_from_screen_to_screen_and_back() -> None:
    state = scene()
    seen = [state.view.screen]
    for _ in range(len(TABS) - 1):
        state = press(state, "tab")
        seen.append(state.view.screen)
    assert seen == list(TABS)
    assert press(state, "shift-tab").view.screen == TABS[-2]


def test_the_name_of_the_environment_stands_in_its_colour() -> None:
    state = replace(scene(), name="production", theme=Theme(256, brand="red"))
    canvas = render(state)
    assert canvas.text().startswith(" production ")
    assert "48;5;124" in line_sequence(canvas, 0, state.theme)


def test_a_deployment_without_a_name_here_is_called_what_it_calls_itself() -> None:
    named = {**STATS, "name": "production"}
    assert frame(send(scene(), Received(WANTED, named, NOW))).startswith(" production ")
    mine = replace(scene(), name="mine")
    assert frame(send(mine, Received(WANTED, named, NOW))).startswith(" mine ")


@pytest.mark.parametrize("theme", [Theme(256), Theme(256, light=True), Theme(16), Theme(16, light=True), Theme(0)])
def test_every_style_that_is_used_is_known_to_every_theme(theme: Theme) -> None:
    for screen in sorted(SCREENS):
        canvas = render(replace(opened(screen) if screen != "launcher" else away(), theme=theme))
        for style in {style for line in canvas.styles for style in line}:
            assert style.partition("@")[0] in {*NAMES, *STATE_STYLES.values()}, (screen, style)
            assert theme.sequence(style).startswith("\x1b[0")


def test_without_colours_no_colour_is_sent() -> None:
    canvas = render(scene())
    sent = "".join(line_sequence(canvas, y, Theme(0)) for y in range(canvas.lines))
    codes = {code for part in sent.split("\x1b[")[1:] for code in part.partition("m")[0].split(";") if "m" in part}
    assert codes <= {"0", "1", "2", "4", "7"}


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_text_from_jobs_cannot_steer_the_terminal_nor_break_columns(columns: int) -> None:
    error = {"type": HOSTILE, "message": HOSTILE, "traceback": HOSTILE}
    evil = job(3, "failed", error=error, type=HOSTILE, queue=HOSTILE, tags=[HOSTILE], payload={HOSTILE: HOSTILE}, worker=HOSTILE, actor=HOSTILE)
    event = {**EVENTS[3], "jobtype": HOSTILE, "actor": HOSTILE, "data": {"error": error, "attempt": HOSTILE}}
    for state in (scene("jobs", columns), scene("job", columns, subject=evil["id"]), scene("job", columns, subject=evil["id"], tab=2), scene(columns=columns)):
        for want in wants(state):
            if want.path.startswith("/v1/jobs"):
                attempt = {**ATTEMPT, "error": error, "worker": HOSTILE, "outcome": HOSTILE}
                lists = {"/v1/jobs": evil, "events": event, "attempts": attempt, "steps": {"step": HOSTILE, "bytes": 1}}
                document = evil if want.path.endswith(evil["id"]) else {"items": [lists.get(want.path) or lists[want.path.rpartition("/")[2]]]}
                state = send(state, Received(want, document, NOW))
        canvas = render(send(state, Happened((event,), NOW)))
        sent = "".join(line_sequence(canvas, y, Theme(0)) for y in range(canvas.lines))
        for character in ("\u202e", "\u2066", "\x00", "\x9b", "\x07", "\x1b[2J", "\x1b]", "\u200b", "\ufeff"):
            assert character not in sent
        assert {sum(text.width(cell) for cell in line) for line in canvas.cells} == {columns}


def test_after_a_character_of_doubtful_width_the_column_is_said_anew() -> None:
    state = scene("jobs")
    evil = job(1, "failed", error={"type": "E", "message": "日本", "traceback": None})
    canvas = render(send(state, Received(wants(state)[0], {"items": [evil]}, NOW)))
    y = next(y for y, line in enumerate(canvas.cells) if "日" in line)
    after = canvas.cells[y].index("本") + 3
    assert f"\x1b[{after}G" in line_sequence(canvas, y, Theme(0))
