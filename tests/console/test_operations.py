"""Actions on jobs: asked for with their count, and followed from the yes to the end of the last job."""

from typing import Any

from console import operations
from console.messages import Act, Acted, Pressed, Received, Want
from console.render import render
from console.state import State
from console.update import update, wants
from console.wants import BULKS
from tests.console.scenes import BULK, JOBS, NOW, answer, job, press, scene, send


def agreed(state: State) -> tuple[State, list[Act]]:
    state, effects = update(state, Pressed("y"))
    return state, [effect for effect in effects if isinstance(effect, Act)]


def frame(state: State) -> str:
    return render(state).text()


def read(state: State, documents: dict[str, Any]) -> State:
    """What is followed, answered: jobs by their id, and bulk operations by theirs."""
    for want in operations.wants(state):
        ids = dict(want.query).get("id", "").split(",")
        document = documents[want.path] if want.path in documents else {"items": [documents[found] for found in ids if found in documents]}
        state = send(state, Received(want, document, NOW))
    return state


def test_a_cancel_is_confirmed_with_its_count_before_it_is_sent() -> None:
    state = press(scene("jobs"), "m", "m", "c")
    assert state.question is not None
    assert "Cancel 2 jobs?" in state.question.text
    state, sent = agreed(state)
    assert [act.path for act in sent] == [f"/v1/jobs/{found['id']}/cancel" for found in JOBS[:2]]
    assert "cancel 0/2" in frame(state)
    assert state.view.marked == frozenset()


def test_no_leaves_everything_as_it_is() -> None:
    for key in ("n", "esc", "q"):
        state, effects = update(press(scene("jobs"), "c"), Pressed(key))
        assert (state.question, effects) == (None, ())


def test_what_cannot_be_done_is_said_and_not_asked() -> None:
    state = press(scene("jobs"), "r")
    assert state.question is None
    assert "has not failed" in frame(state)
    assert "has not ended" in frame(press(scene("jobs"), "R"))


def test_of_those_marked_only_the_able_ones_are_asked_for() -> None:
    state = press(scene("jobs"), "M", "r")
    assert state.question is not None
    assert "Retry 2 jobs?" in state.question.text
    assert "4 of those marked cannot be" in state.question.text


def test_a_cancel_is_followed_until_each_job_has_ended() -> None:
    state, sent = agreed(press(scene("jobs"), "m", "m", "c"))
    state = send(state, *(Acted(act, {"id": found["id"], "status": "running"}) for act, found in zip(sent, JOBS, strict=False)))
    first, second = JOBS[0]["id"], JOBS[1]["id"]
    state = read(state, {first: {**JOBS[0], "status": "cancelled"}, second: JOBS[1]})
    assert "cancel 1/2" in frame(state)
    state = read(state, {first: {**JOBS[0], "status": "cancelled"}, second: {**JOBS[1], "status": "succeeded"}})
    assert state.operations == ()
    assert "cancel 2 jobs: 1 cancelled, 1 succeeded" in frame(state)


def test_a_rerun_follows_the_new_job_and_not_the_old_one() -> None:
    state, [act] = agreed(press(scene("jobs"), "down", "down", "R"))
    state = send(state, Acted(act, {"id": "new", "status": "queued"}))
    assert [dict(want.query)["id"] for want in operations.wants(state)] == ["new"]
    state = read(state, {"new": job(9, "failed", id="new")})
    assert "rerun text.statistics 000000000003: failed" in frame(state)


def test_a_refusal_ends_what_it_is_about_and_is_told() -> None:
    state, [act] = agreed(press(scene("jobs"), "c"))
    state = send(state, Acted(act, None, "the job has ended already"))
    assert state.operations == ()
    assert "the job has ended already" in frame(state)


def test_more_jobs_than_one_list_takes_are_followed_in_several() -> None:
    state = scene("jobs")
    many = [job(number, "running") for number in range(150)]
    state = press(send(state, Received(wants(state)[0], {"items": many}, NOW)), "M", "c")
    state, sent = agreed(state)
    state = send(state, *(Acted(act, {"id": found["id"]}) for act, found in zip(sent, many, strict=True)))
    assert [len(dict(want.query)["id"].split(",")) for want in operations.wants(state)] == [100, 50]


def test_a_job_that_is_gone_is_followed_no_longer() -> None:
    state, [act] = agreed(press(scene("jobs"), "c"))
    assert read(send(state, Acted(act, {"id": JOBS[0]["id"]})), {}).operations == ()


def test_all_that_match_are_counted_by_the_server_before_anybody_says_yes() -> None:
    state = press(scene("jobs", query="state:failed"), "a")
    state, [rehearsal] = next(iter(update(state, Pressed("r")))), [e for e in update(state, Pressed("r"))[1] if isinstance(e, Act)]
    assert rehearsal.body == {"action": "retry", "q": "state:failed", "dry_run": True}
    found = {"action": "retry", "q": "state:failed", "dry_run": True, "matched": 230, "able": 214, "refused": 16, "samples": [JOBS[2]]}
    state = send(state, Acted(rehearsal, found))
    assert "Retry 214 of 230 jobs that match state:failed?" in frame(state)
    state, [act] = agreed(state)
    assert (act.path, act.body) == ("/v1/bulk", {"action": "retry", "q": "state:failed"})
    state = send(state, Acted(act, {"id": "b1", "matched": 214, "done": 0, "status": "running"}))
    state = read(state, {"/v1/bulk/b1": {"id": "b1", "status": "running", "done": 100, "outcomes": {"done": 100}}})
    assert "retry 100/214" in frame(state)
    state = read(state, {"/v1/bulk/b1": {"id": "b1", "status": "finished", "done": 214, "outcomes": {"done": 210, "illegal-move": 4}}})
    assert "210 done, 4 could not be" in frame(state)
    assert state.operations == ()


def test_nothing_that_matches_is_said_and_not_asked() -> None:
    state = press(scene("jobs", query="tag:x"), "a")
    rehearsal = next(e for e in update(state, Pressed("c"))[1] if isinstance(e, Act))
    found = {"action": "cancel", "q": "tag:x", "matched": 0, "able": 0, "samples": []}
    state = send(send(state, Pressed("c")), Acted(rehearsal, found))
    assert state.question is None
    assert "No job matches." in frame(state)


def test_what_is_under_way_is_listed_and_goes_on_while_one_looks_elsewhere() -> None:
    state, [act] = agreed(press(scene("jobs"), "c"))
    state = send(state, Acted(act, {"id": JOBS[0]["id"]}))
    state = press(state, "5", "o")
    assert "cancel" in frame(state)
    assert all(want in wants(state) for want in operations.wants(state))
    for want in operations.wants(state):
        state = answer(state, want)
    assert state.operations != ()  # it runs still


def test_enter_opens_the_outcomes_of_a_bulk_operation_and_what_was_refused_is_not_green() -> None:
    found = {**BULK, "action": "cancel", "status": "finished", "done": 12, "matched": 12, "outcomes": {"illegal-move": 12}}
    state = send(scene("operations", 80, 24), Received(BULKS, {"items": [found]}, NOW))
    assert "12 could not be" in frame(state)
    canvas = render(state)
    line = next(y for y, said in enumerate(frame(state).split("\n")) if "finished" in said)
    assert not any(style.startswith("ok") for style in canvas.styles[line])
    state = send(press(state, "enter"), Received(Want(f"/v1/bulk/{BULK['id']}"), found, NOW))
    assert state.view.screen == "operation"
    assert "12  could not be" in frame(state) and "so there is nothing to" in frame(state)
    assert press(state, "enter").view.subject == JOBS[3]["id"]


def test_enter_opens_what_this_console_follows_with_its_jobs() -> None:
    state, sent = agreed(press(scene("jobs"), "m", "m", "c"))
    state = send(state, *(Acted(act, {"id": found["id"], "status": "running"}) for act, found in zip(sent, JOBS, strict=False)))
    state = press(state, "o", "enter")
    assert state.view.screen == "operation" and JOBS[0]["id"] in frame(state)
    state = read(state, {JOBS[0]["id"]: {**JOBS[0], "status": "cancelled"}})
    assert "cancelled" in frame(state)
    state = read(state, {JOBS[0]["id"]: {**JOBS[0], "status": "cancelled"}, JOBS[1]["id"]: {**JOBS[1], "status": "cancelled"}})
    assert JOBS[0]["id"] in frame(state)  # it is over, and stays as it was last seen
    assert press(state, "enter").view.screen == "job"
