"""Forms made from JSON Schemas: fields, faults as one types, and what is sent."""

from typing import Any

import pytest

from console.messages import Act, Acted, Copy, Pasted, Pressed, Received
from console.render import render
from console.state import State
from console.update import update, wants
from console.widgets.form import Form, Section
from console.widgets.line import Line
from contracts import validation
from tests.console.scenes import DOCUMENTS, JOBS, LETTER, NOW, TASKS, press, scene, send, typed


def frame(state: State) -> str:
    return render(state).text()


def sent(state: State, *keys: str) -> list[Act]:
    effects: tuple[Any, ...] = ()
    for key in keys:
        state, effects = update(state, Pressed(key))
    return [act for act in effects if isinstance(act, Act)]


def form() -> State:
    return press(scene(), "N", "enter")


def test_a_form_is_made_from_the_schema_and_shows_faults_as_one_types() -> None:
    state = form()
    assert (state.view.screen, state.view.subject) == ("form", "demo.everything")
    assert "times *" in frame(state)
    assert "is missing" in frame(state)
    state = typed(state, "x")
    assert "is no integer" in frame(state)
    state = typed(press(state, "backspace"), "200")
    assert "must be 100 or less" in frame(state)
    state = typed(press(state, "backspace"), "")
    assert "to mend" not in frame(state)


def test_a_form_with_lists_objects_choices_and_flags_becomes_the_payload() -> None:
    state = press(typed(form(), "3"), "down")
    state = press(state, "space", "space", "down")  # mode: fast, slow
    state = press(state, "space", "down")  # flag: true
    state = press(state, "+", "+", "down")
    state = press(typed(state, "a b"), "down")
    state = press(typed(state, "c"), "ctrl-d", "down")
    state = typed(state, "Oslo")
    [act] = sent(state, "ctrl-s")
    payload = {"times": 3, "mode": "slow", "loud": True, "names": ["a b"], "place": {"city": "Oslo"}}
    assert (act.path, act.body) == ("/v1/jobs", {"type": "demo.everything", "payload": payload})


def test_a_form_with_faults_is_not_submitted_and_goes_to_the_first() -> None:
    state, effects = update(press(form(), "down", "down"), Pressed("ctrl-s"))
    assert effects == ()
    assert state.view.local.at == 0
    assert "to mend" in frame(state)


def test_letters_are_text_in_a_form_and_escape_leaves_it() -> None:
    state = typed(press(form(), *["down"] * 4), "q:N?/")
    assert state.view.screen == "form"
    assert press(state, "esc").view.screen == "dashboard"


def test_what_is_secret_is_not_shown() -> None:
    state = typed(press(form(), *["down"] * 6), "hunter2")
    assert "hunter2" not in frame(state)
    assert "*******" in frame(state)


def edited(payload: dict[str, Any]) -> State:
    """The form of a job with this payload, which is to be changed."""
    old = {**JOBS[2], "type": "demo.everything", "payload": payload}
    state = send(scene("job", subject=JOBS[2]["id"]), Received(wants(scene("job", subject=JOBS[2]["id"]))[0], old, NOW), Pressed("e"))
    for want in wants(state):
        state = send(state, Received(want, old if want.path.startswith("/v1/jobs/") else DOCUMENTS[want.path], NOW))
    return state


def test_a_secret_of_the_job_that_is_edited_has_to_be_given_again() -> None:
    state = edited({"times": 3, "secret": "[redacted]"})
    assert "secret *" in frame(state) and "give it again" in frame(state)
    assert sent(state, "ctrl-s") == []
    state = press(state, *["down"] * 6)
    assert sent(typed(state, "[redacted]"), "ctrl-s") == []
    [act] = sent(typed(state, "hunter3"), "ctrl-s")
    assert act.body["payload"] == {"times": 3, "secret": "hunter3"}


def test_what_stands_for_a_secret_is_not_copied_as_if_it_could_be_sent() -> None:
    old = {**JOBS[2], "payload": {"user": "ada", "secret": "[redacted]", "keys": [{"pin": "[redacted]"}]}}
    state = scene("job", subject=JOBS[2]["id"], tab=4)
    state = send(state, Received(wants(state)[0], old, NOW))
    for key in ("y", "Y"):
        said, effects = update(state, Pressed(key))
        [copy] = [effect for effect in effects if isinstance(effect, Copy)]
        assert "<give secret again>" in copy.text and "<give pin again>" in copy.text and "[redacted]" not in copy.text
        assert said.note is not None and "without its secrets" in said.note.text
    assert "<give secret again>" in frame(state) and "[redacted]" not in frame(state) and "Its secrets are not shown" in frame(state)


def test_an_empty_item_of_a_list_is_a_fault_unless_the_empty_text_is_meant() -> None:
    state = press(typed(form(), "3"), *["down"] * 3, "+", "+", "down")
    state = press(typed(state, "it1"), "down")
    assert "makes it the empty text" in frame(state)
    assert sent(state, "ctrl-s") == []
    text = {"type": "object", "properties": {"items": {"type": "array", "items": {"type": "string"}}, "word": {"type": "string"}}}
    state = scene("form", subject="demo.everything").change(local=Form.of([Section("payload", "Payload", text)], {"payload": {"items": ["it1"]}}))
    state = press(state, "+", "down", "down", "ctrl-t", "down", "ctrl-t")
    assert "(the empty text)" in frame(state)
    assert "(the empty text)" in frame(state).split("word")[1]  # whole under the caret, too
    assert state.view.local.document("payload") == ({"items": ["it1", ""], "word": ""}, {})
    assert state.view.local.press("ctrl-t").document("payload")[0] == {"items": ["it1", ""]}
    assert press(state, "up", "ctrl-d").view.local.document("payload")[0] == {"items": ["it1"], "word": ""}


def test_sending_the_same_form_again_makes_no_second_job_and_another_form_does() -> None:
    state = typed(form(), "3")
    [first], [again] = sent(state, "ctrl-s"), sent(state, "ctrl-s")
    assert first.key == again.key
    [changed] = sent(typed(state, "4"), "ctrl-s")
    state = press(state, "esc", "N", "enter")
    [other] = sent(typed(state, "3"), "ctrl-s")
    assert len({first.key, changed.key, other.key}) == 3


def test_after_a_submission_the_new_job_is_shown() -> None:
    state = typed(form(), "3")
    [act] = sent(state, "ctrl-s")
    state = send(state, Acted(act, {"id": JOBS[2]["id"], "status": "queued"}))
    assert (state.view.screen, state.view.subject) == ("job", JOBS[2]["id"])


def test_what_the_server_refuses_stands_at_its_field_until_it_is_changed() -> None:
    state = typed(form(), "3")
    [act] = sent(state, "ctrl-s")
    state = send(state, Acted(act, None, "The payload breaks its schema.", (("/payload/times", "three is taken"),)))
    assert state.view.screen == "form"
    assert "three is taken" in frame(state)
    assert "three is taken" not in typed(state, "1").view.local.faults().values()


def test_a_failed_job_is_edited_and_submitted_as_a_new_one() -> None:
    old = {**JOBS[2], "type": "demo.everything", "payload": {"times": 101, "old": {"a": 1}}, "priority": 7}
    state = press(scene("job", subject=JOBS[2]["id"]))
    state = send(state, Received(wants(state)[0], old, NOW), Pressed("e"))
    for want in wants(state):
        state = send(state, Received(want, old if want.path.startswith("/v1/jobs/") else DOCUMENTS[want.path], NOW))
    assert "must be 100 or less" in frame(state)
    state = press(typed(press(state, "backspace", "backspace", "backspace"), "7"), *["down"] * 7)
    assert "old" in frame(state)  # what the schema does not know is there to be seen, and to be removed
    [act] = sent(press(state, "ctrl-u"), "ctrl-s")
    assert act.body["payload"] == {"times": 7}
    assert (act.body["priority"], act.body["parent_id"]) == (7, JOBS[2]["id"])


def test_a_dead_letter_is_edited_under_its_schema_and_replayed() -> None:
    state = scene("letter-form", subject=LETTER["id"])
    assert "must be 3 or more" in frame(state)
    assert sent(state, "ctrl-s") == []
    state = press(typed(press(state, "backspace"), "5"), "ctrl-s")
    assert "Send the edited event to broken?" in frame(state)
    [act] = sent(state, "y")
    assert act.path == f"/v1/dead-letters/{LETTER['id']}/replay"
    assert act.body["event"]["data"] == {"count": 5, "extra": {"deep": [1]}}
    assert act.body["event"]["id"] == "job/x/4"
    state = send(send(state, Pressed("y")), Acted(act, {**LETTER, "status": "replayed", "outcome": "delivered (204)"}))
    assert state.view.screen == "dashboard"
    assert "delivered (204)" in frame(state)


def test_a_replay_that_fails_again_is_said_though_it_was_answered() -> None:
    _, effects = update(press(scene("dead-letters"), "r"), Pressed("y"))
    [act] = [effect for effect in effects if isinstance(effect, Act)]
    state = send(scene("dead-letters"), Acted(act, {**LETTER, "outcome": "failed (503)"}))
    assert state.note is not None and (state.note.style, "failed (503)" in state.note.text) == ("bad", True)


def test_a_schedule_is_changed_with_its_payload_by_the_schema_of_its_task() -> None:
    state = scene("schedule", subject="nightly")
    state = press(typed(press(state, *["down"] * 9, "backspace"), "4"), "ctrl-s")
    [act] = sent(typed(press(scene("schedule", subject="nightly"), *["down"] * 9, "backspace"), "4"), "ctrl-s")
    assert (act.method, act.path) == ("PUT", "/v1/schedules/nightly")
    assert act.body["template"] == {"type": "demo.everything", "payload": {"times": 4}}
    assert (act.body["cron"], act.body["timezone"]) == ("30 2 * * MON-FRI", "Europe/Oslo")


def test_an_interval_is_saved_without_the_time_zone_that_its_document_tells() -> None:
    [act] = sent(scene("schedule", subject="poll"), "ctrl-s")
    assert act.body == {"every_seconds": 20, "overlap": "queue", "misfires": "none", "template": {"type": "demo.everything", "payload": {"times": 1}}}
    assert validation.faults("schedule-request", act.body) == []


def test_a_paste_goes_into_the_field_with_its_line_breaks() -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    state = scene("form", subject="demo.everything").change(local=Form.of([Section("payload", "Payload", schema)]))
    state = send(state, Pasted("one\r\ntwo\x1b[31m"))
    assert state.view.local.document("payload")[0] == {"text": "one\ntwo"}
    assert "one⏎two" in frame(state)


@pytest.mark.parametrize(
    "payload",
    [
        {"times": 3, "mode": "slow", "loud": False, "names": [], "place": {}},
        {"times": 3, "names": ["1", "true", ""], "place": {"city": "null"}},
        {"times": 3, "other": "5", "deeper": {"x": [1, {"y": None}]}, "place": {"city": "Oslo", "zip": "0150"}},
    ],
)
def test_what_a_form_is_filled_with_is_what_it_gives_back(payload: dict[str, Any]) -> None:
    filled = Form.of([Section("payload", "Payload", TASKS[0]["schema"])], {"payload": payload})
    given = filled.document("payload")[0]
    expected = {name: value for name, value in payload.items() if value not in ([], {})}
    assert given == expected


def test_a_text_of_a_megabyte_does_not_slow_the_form() -> None:
    line = Line.of("x" * 1_000_000)
    assert line.shown(60) == ("x" * 59, 59)
    assert Line("x" * 1_000_000, 10).shown(60) == ("x" * 60, 10)


def test_wide_characters_keep_the_caret_in_its_place() -> None:
    said, caret = Line("日本語abc", 3).shown(8)
    assert (said, caret) == ("日本語ab", 6)
