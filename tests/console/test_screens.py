"""What the lists and pages of the terminal console do: pure states, keys in, states and frames out."""

import re
from dataclasses import replace
from typing import Any

import pytest

from console import timeline
from console.messages import Act, Acted, Attach, Clicked, Connect, Copy, Happened, Keep, Pressed, Received, Refused, Ticked, Unreached
from console.render import render
from console.screens import SCREENS
from console.screens.panels import instances
from console.state import State
from console.update import update, wants
from console.wants import ALERTS, AUDIT
from tests.console.frames import CHECKED
from tests.console.scenes import ALERTS as RAISED
from tests.console.scenes import BULK, DOCUMENTS, EVENTS, JOBS, LETTER, NOW, QUEUES, STATS, WALL, command, event, job, press, scene, send, typed
from tests.console.scenes import CONTRACTS as KINDS


def frame(state: State) -> str:
    return render(state).text()


def acts(effects: Any) -> list[tuple[str, str, Any]]:
    return [(act.method, act.path, act.body) for act in effects if isinstance(act, Act)]


def jobs_read(state: State, jobs: list[dict[str, Any]], next_cursor: str | None = None) -> State:
    return send(state, Received(wants(state)[0], {"items": jobs, "next_cursor": next_cursor}, NOW))


# ---- lists ------------------------------------------------------------------------------------------------------


def test_enter_opens_the_selected_job_and_escape_goes_back_to_it() -> None:
    state = press(scene("jobs"), "j", "down", "enter")
    assert (state.view.screen, state.view.subject) == ("job", JOBS[2]["id"])
    assert "Traceback" in frame(state)
    assert press(state, "esc").view.chosen == JOBS[2]["id"]


def test_the_selection_stays_on_its_job_when_new_ones_arrive() -> None:
    state = press(scene("jobs"), "down", "down")
    state = jobs_read(state, [job(40), job(41), *JOBS])
    assert (state.view.chosen, state.view.cursor) == (JOBS[2]["id"], 4)


def test_a_list_stays_at_the_newest_job_until_somebody_moves() -> None:
    state = jobs_read(scene("jobs"), [job(40), *JOBS])
    assert state.view.chosen == job(40)["id"]
    state = jobs_read(press(state, "down", "g"), [job(41), job(40), *JOBS])
    assert state.view.chosen == job(41)["id"]
    state = jobs_read(press(state, "down"), [job(42), job(41), job(40), *JOBS])
    assert (state.view.chosen, state.view.cursor) == (job(40)["id"], 2)


def test_sorting_by_a_column_and_turning_it_round() -> None:
    state = press(scene("jobs"), "s")
    assert [row["status"] for row in SCREENS["jobs"].rows(state, state.view)] == sorted(found["status"] for found in JOBS)  # type: ignore[attr-defined]
    assert "STATE▲" in frame(state)
    assert "STATE▼" in frame(press(state, "S"))


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_it_round() -> None:
    state = scene("jobs")
    heading = frame(state).split("\n")[2]
    click = Clicked("press", heading.index("TYPE"), 2)
    assert (send(state, click).view.sort, send(state, click, click).view.descending) == ("type", True)


def test_a_click_selects_and_a_click_on_the_selected_opens() -> None:
    state = scene("jobs")
    line = next(y for y, said in enumerate(frame(state).split("\n")) if JOBS[3]["id"][-12:] in said)
    state = send(state, Clicked("press", 5, line))
    assert state.view.chosen == JOBS[3]["id"]
    assert send(state, Clicked("press", 5, line)).view.screen == "job"


def test_the_wheel_moves_the_selection() -> None:
    state = send(scene("jobs"), Clicked("wheel-down", 5, 10))
    assert state.view.cursor == 3
    assert send(state, Clicked("wheel-up", 5, 10)).view.cursor == 0


def test_the_end_of_a_page_leads_to_the_next_and_back() -> None:
    """Keyset pages: the next one is asked for by the cursor that the server gave, so none is skipped or repeated."""
    state = jobs_read(press(scene("jobs"), "G"), JOBS, "after-6")
    state = send(state, Pressed("down"))
    assert dict(wants(state)[0].query)["cursor"] == "after-6"
    state = jobs_read(state, [job(7), job(8)])
    assert (state.view.cursor, state.view.chosen) == (0, job(7)["id"])
    assert "201 to 202" in frame(state)
    state = send(state, Pressed("up"))
    assert (state.view.pages, state.view.chosen) == ((), JOBS[-1]["id"])


def test_a_filter_begins_at_the_first_page_again() -> None:
    state = jobs_read(press(scene("jobs"), "G"), JOBS, "after-6")
    state = press(typed(send(state, Pressed("down"), Pressed("/")), "state:failed"), "enter")
    assert (state.view.pages, dict(wants(state)[0].query)["q"]) == ((), "state:failed")


def test_a_refusal_is_shown_in_place_of_the_list() -> None:
    state = scene("jobs")
    want = wants(state)[0]
    state = send(replace(state, data={}), Refused(want, 400, "state: knows no 'faild'", NOW))
    assert "knows no 'faild'" in frame(state)


def test_one_list_that_is_not_answered_leaves_the_others_live() -> None:
    state = scene()
    state = send(state, Refused(wants(state)[0], 0, "it did not answer in time", NOW + 1))
    assert state.link.condition == "live"
    assert "it did not answer in time" in frame(state)


def test_escape_clears_marks_then_the_filter_then_goes_back() -> None:
    state = press(command(scene(), "jobs state:failed"), "m")
    assert press(state, "esc").view.marked == frozenset()
    assert press(state, "esc", "esc").view.query == ""
    assert press(state, "esc", "esc", "esc").view.screen == "dashboard"


def test_a_screen_is_found_as_it_was_left() -> None:
    state = press(command(scene(), "jobs state:failed"), "s")
    state = press(press(state, "5"), "2")
    assert (state.view.query, state.view.sort) == ("state:failed", "state")


# ---- the dashboard ----------------------------------------------------------------------------------------------


def test_the_dashboard_shows_totals_times_and_queues() -> None:
    shown = frame(scene("dashboard"))
    for words in ("12,345", "41.5/s", "400 ms", "paused", "processor", "at zero", "of 12,374"):
        assert words in shown


def test_a_function_whose_pod_has_told_nothing_yet_is_starting() -> None:
    assert instances({"name": "gateway", "instances": [], "pods": 1}) == ("1 starting", "warn")
    assert instances({"name": "gateway", "instances": [{}, {}], "pods": 2}) == ("2 up", "ok")
    assert instances({"name": "gateway", "instances": [], "pods": 0})[0] == instances({"name": "gateway", "instances": []})[0] == "at zero"


def test_the_dashboard_turns_to_other_windows_of_time() -> None:
    assert "5 min" in frame(press(scene(), "w"))
    assert "9.9/s" in frame(press(scene(), "w", "w"))


def test_throughput_of_the_last_seconds_comes_from_what_was_read() -> None:
    state = replace(scene(), samples=())
    for second in range(1, 4):
        totals = {"succeeded": 100 * second, "failed": 0, "cancelled": 0}
        state = send(state, Received(wants(state)[1], {**STATS, "totals": totals}, NOW + second), Ticked(NOW + second, WALL + second))
    assert "100/s" in frame(state)


def test_statistics_that_lag_are_said_so() -> None:
    state = scene()
    assert "statistics are 70 events behind" in frame(send(state, Received(wants(state)[1], {**STATS, "lag": 70}, NOW)))
    assert "statistics are 1 event behind" in frame(send(state, Received(wants(state)[1], {**STATS, "lag": 1}, NOW)))


def test_an_alert_and_how_late_the_figures_are_share_a_line() -> None:
    state = scene("dashboard", 80, 24)
    state = send(state, Received(ALERTS, {"items": RAISED}, NOW), Received(wants(state)[1], {**STATS, "lag": 70}, NOW))
    [line] = [line for line in frame(state).splitlines() if "behind" in line]
    assert line.startswith("─ ▲ 16 of 32 jobs of type demo.fail")
    assert line.endswith("… statistics are 70 events behind ─")


# ---- stale and live ---------------------------------------------------------------------------------------------


def test_what_is_shown_is_marked_stale_when_the_server_goes_away_and_live_when_it_comes_back() -> None:
    state = send(scene(), Unreached("nothing listens", 1, 0.5, NOW + 1), Ticked(NOW + 5, 0))
    shown = frame(state)
    assert "STALE 5 s" in shown
    assert "nothing listens" in shown
    assert "12,345" in shown
    state = send(state, *(Received(want, state.document(want), NOW + 6) for want in wants(state)))
    assert "STALE" not in frame(state)
    assert "live" in frame(state)


def test_a_figure_that_alone_gets_old_is_marked_with_its_age() -> None:
    state = send(scene(), Ticked(NOW + 6, WALL + 6))
    fresh = [want for want in wants(state) if want.path != "/v1/queues"]
    state = send(state, *(Received(want, DOCUMENTS[want.path], NOW + 6) for want in fresh))
    line = next(line for line in frame(state).split("\n") if "Queues" in line)
    assert "6 s old" in line
    assert "STALE 6 s" in frame(state)


def test_nothing_that_was_read_once_gets_stale() -> None:
    state = send(scene("new-task"), Ticked(NOW + 600, WALL + 600))
    assert state.stale(*SCREENS["new-task"].wants(state, state.view)) is None


def test_ages_are_by_the_servers_clock() -> None:
    state = send(scene(), Received(ALERTS, {"items": [], "as_of": "2026-11-24T08:10:00.000000Z"}, NOW))
    assert "12 m 0 s" in frame(state)


# ---- finding ----------------------------------------------------------------------------------------------------


def test_letters_are_text_while_one_types_a_filter() -> None:
    state = typed(press(scene("jobs"), "/"), "state:failed")
    assert "state:failed" in frame(state).split("\n")[-1]
    state = press(state, "enter")
    assert state.view.query == "state:failed"
    assert ("q", "state:failed") in wants(state)[0].query


def test_a_filter_is_completed_with_what_there_is() -> None:
    state = typed(press(scene("jobs"), "/"), "typ")
    assert "the task type" in frame(state)
    state = press(state, "tab")
    assert state.prompt is not None and state.prompt.line.text == "type:"
    state = press(state, "tab")
    assert state.prompt is not None and state.prompt.line.text == "type:demo.everything "
    assert press(state, "enter").view.query == "type:demo.everything"


def test_tab_puts_the_completion_into_the_line_and_typing_goes_on_after_it() -> None:
    state = typed(press(typed(press(scene("jobs"), "/"), "sta"), "tab"), "fai")
    assert state.prompt is not None and state.prompt.line.text == "state:fai"
    assert press(state, "tab", "enter").view.query == "state:failed"
    state = press(typed(press(scene("jobs"), "/"), "t"), "tab")
    seen = []
    for _ in range(20):
        assert state.prompt is not None
        seen.append(state.prompt.line.text)
        state = press(state, "tab")
    assert {"t", "type:", "tag:"} <= set(seen)
    assert state.prompt is not None and press(state, "shift-tab").prompt.line.text == seen[-1]  # type: ignore[union-attr]
    state = replace(scene(), contexts=(("prod", "https://observatory.example"),))
    state = typed(press(typed(press(state, ":"), "ct"), "tab"), " prod")
    assert update(state, Pressed("enter"))[1] == (Connect("https://observatory.example", "prod"),)


def test_a_filter_that_is_wrong_is_said_where_one_types_and_is_not_applied() -> None:
    state = typed(press(scene("jobs"), "/"), "state:nothing")
    assert "at character" in frame(state)
    state = press(state, "enter")
    assert state.prompt is not None and state.view.query == ""


def test_filters_are_saved_by_name_used_and_forgotten() -> None:
    state = command(scene(), "jobs state:failed")
    state, effects = update(typed(press(state, ":"), "save broken"), Pressed("enter"))
    assert effects == (Keep((("broken", "state:failed"),)),)
    state = press(typed(press(press(state, "esc"), "/"), "@bro"), "tab", "enter")
    assert state.view.query == "state:failed"
    _, effects = update(typed(press(state, ":"), "forget broken"), Pressed("enter"))
    assert effects == (Keep(()),)


def test_the_palette_goes_to_a_screen_with_a_filter() -> None:
    state = command(scene(), "jobs state:failed")
    assert (state.view.screen, state.view.query) == ("jobs", "state:failed")


def test_the_palette_goes_to_another_server() -> None:
    state = replace(scene(), contexts=(("prod", "https://observatory.example"),))
    opened = typed(press(state, ":"), "ctx p")
    assert "https://observatory.example" in frame(opened)
    assert update(press(opened, "tab"), Pressed("enter"))[1] == (Connect("https://observatory.example", "prod"),)
    assert update(typed(press(state, ":"), "ctx http://other:1"), Pressed("enter"))[1] == (Connect("http://other:1", ""),)
    assert "There is no context" in frame(command(state, "ctx stage"))


def test_a_job_is_gone_to_by_the_end_of_its_id() -> None:
    state = command(scene("jobs"), f"job {JOBS[3]['id'][-12:]}")
    assert (state.view.screen, state.view.subject) == ("job", JOBS[3]["id"])
    assert command(scene("events"), f"job {JOBS[2]['id'][-12:]}").view.subject == JOBS[2]["id"]
    assert command(scene(), f"job {job(9)['id']}").view.subject == job(9)["id"]
    for given, words in (("98230139922a", "No job seen here ends in 98230139922a"), ("0", "give more of the id"), ("00000000000", "No job")):
        state = command(scene("jobs"), f"job {given}") if given != "0" else command(jobs_read(scene("jobs"), [job(16), job(32)]), "job 0")
        assert state.view.screen == "jobs" and words in frame(state)


def test_what_the_palette_does_not_know_is_said() -> None:
    assert "There is no 'frobnicate'" in frame(command(scene(), "frobnicate"))


def test_what_was_said_goes_with_its_screen_and_with_its_act() -> None:
    state = press(scene("jobs"), "r")
    assert "has not failed" in frame(state)
    assert "has not failed" in frame(press(state, "down"))
    assert "has not failed" not in frame(press(state, "5"))
    assert "has not failed" not in frame(press(state, "enter"))
    said, effects = update(press(scene("audit"), "down"), Pressed("x"))
    assert "Folding the log ..." in frame(said)
    assert "Folding the log ..." not in frame(send(said, *(Acted(act, {}) for act in effects if isinstance(act, Act))))
    letter = scene("dead-letter", 80, subject=LETTER["id"])
    assert "put aside" in frame(send(letter, Acted(Act("POST", "/x", asker="dead-letters"), {"status": "discarded"})))  # the new screen's own stays


def test_where_one_has_scrolled_to_is_not_written_over_what_is_told() -> None:
    told = {**DOCUMENTS[f"/v1/dead-letters/{LETTER['id']}"], "reason": "the subscriber answered 503 with " + "many words " * 9 + "at the end"}
    state = scene("dead-letter", 80, 24, subject=LETTER["id"])
    lines = frame(send(state, Received(wants(state)[0], told, NOW))).split("\n")
    assert re.search(r"… \d+/\d+$", lines[2])
    assert "at the end" in " ".join(lines[3:])  # and in full below


@pytest.mark.parametrize(
    ("screen", "words"),
    [
        ("jobs", ["01943a9e-1f2c-7a6b-8d3e-000000000001", "queue default", "try 1/5", "tags nightly"]),
        ("queues", ["WORKERS", "workers seen 1, 2 s ago", "names worker-1"]),
        ("schedules", ["5 m 0 s ago", "last 5 m 0 s ago succeeded", "when At 02:30 on Monday through Friday (Europe/Oslo)"]),
        ("functions", ["STARTS", "COLD START", "940 ms", "does runs the jobs of the queues"]),
        ("dashboard", ["1 worker seen, the last 2 s ago", "Recent events", "job.failed"]),
        ("operations", ["outcomes 48 done, 2 could not be"]),
    ],
)
def test_on_a_small_terminal_nothing_of_the_selected_row_is_lost(screen: str, words: list[str]) -> None:
    shown = frame(scene(screen, 80, 24))
    assert [word for word in words if word not in shown] == []


def test_a_long_text_of_the_selected_row_goes_on_over_the_lines_below_the_table() -> None:
    message = "the file of the day before yesterday cannot be read, for somebody took it away"
    failed = job(3, "failed", error={"type": "ValueError", "message": message, "traceback": None})
    shown = frame(jobs_read(scene("jobs", 80, 24), [failed]))
    assert f"ValueError: {message}" in " ".join(" ".join(line.split()) for line in shown.split("\n")[-5:-1])


def test_what_to_do_about_an_alert_is_told_whole_on_a_small_terminal() -> None:
    mend = "Look at the errors of this type, mend the cause of them, and retry all that failed once the cause is gone."
    state = send(press(scene("dashboard", 80, 24), "A"), Received(ALERTS, {"items": [{**RAISED[0], "mend": mend}]}, NOW))
    assert mend in " ".join(frame(state).split())


def test_a_fault_of_a_filter_is_told_whole_on_a_small_terminal() -> None:
    state = typed(press(scene("jobs", 80, 24), "/"), "status:nothing")
    assert state.prompt is not None and len(state.prompt.fault) > 80
    assert " ".join(state.prompt.fault.split()) in " ".join(frame(state).split())


def test_a_sentence_of_the_help_is_told_whole_on_a_small_terminal() -> None:
    state, seen = press(scene("jobs", 80, 24), "?"), []
    while True:
        seen.append(" ".join(line.strip(" │") for line in frame(state).split("\n")))
        after = press(state, "pgdn")
        if after.help == state.help:
            break
        state = after
    words = " ".join(" ".join(seen).split())
    assert "…" not in words
    assert "tabs and these keys at the foot can be clicked." in words


# ---- other lists ------------------------------------------------------------------------------------------------


def test_events_of_the_stream_stand_above_those_that_were_read_and_none_twice() -> None:
    fresh = {**EVENTS[0], "position": "9", "time": "2026-11-24T07:59:59.000000Z"}
    state = send(scene("events"), Happened((EVENTS[3], fresh), NOW))
    rows = SCREENS["events"].rows(state, state.view)  # type: ignore[attr-defined]
    assert [row["position"] for row in rows] == ["9", "5", "3", "2", "1"]


def test_an_event_of_no_job_says_so() -> None:
    fresh = {**EVENTS[0], "position": "9", "type": "dev.observatory.queue.paused.v1", "subject": "queue/default", "data": {"name": "default"}}
    state = send(scene("events"), Happened((fresh,), NOW))
    assert "It is about no job." in frame(press(state, "J"))
    assert "It is about no job." in frame(press(state, "enter", "J"))
    assert "queue/default" in frame(send(scene(), Happened(({**fresh, "subject": "queue/default"},), NOW)))


def test_the_address_stays_in_the_header_when_figures_are_stale_and_an_alert_is_up() -> None:
    for columns in (80, 120, 200):
        state = send(scene(columns=columns), Received(ALERTS, {"items": DOCUMENTS["/v1/dead-letters"]["items"]}, NOW))
        state = send(state, Unreached("no server answers", 3, 2.0, NOW + 1), Ticked(NOW + 12, WALL + 12))
        head = frame(state).split("\n")[0]
        assert "127.0.0.1:8080" in head and "1 alert" in head and "STALE 12 s" in head


def test_the_fields_of_a_contract_are_told_with_choices_defaults_lists_and_what_is_within() -> None:
    schema = {"type": "object", "required": ["kind"], "$defs": {"inner": {"type": "object", "properties": {"street": {"type": "string"}}}}, "properties": {
        "kind": {"enum": ["a", "b", "c"]}, "brand": {"type": "string", "default": "b"}, "items": {"type": "array", "items": {"type": "string"}},
        "inner": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/inner"}]}, "secret": {"type": "string", "x-secret": True, "default": "hush"},
        "deep": {"type": "array", "items": {"$ref": "#/$defs/inner"}}}}  # fmt: skip
    state = scene("contract", subject="/v1/contracts/demo.everything", local=KINDS[1])
    shown = frame(send(state, Received(wants(state)[0], schema, NOW)))
    for words in ("a | b | c, required", 'string = "b"', "list of string", "object or null", "   street", "list of object"):
        assert words in shown
    assert "hush" not in shown


def test_events_are_asked_for_by_type() -> None:
    state = press(typed(press(scene("events"), "/"), "job.failed"), "enter")
    assert ("type", "job.failed") in wants(state)[0].query


def test_a_queue_is_paused_with_a_reason_after_a_yes() -> None:
    state = press(typed(press(scene("queues"), "p"), "disk full"), "enter")
    assert "Pause default?" in frame(state)
    _, effects = update(state, Pressed("y"))
    assert acts(effects) == [("POST", "/v1/queues/default/pause", {"reason": "disk full"})]


def test_resume_names_only_what_is_paused() -> None:
    state = press(scene("queues"), "down")
    _, effects = update(state, Pressed("u"))
    assert acts(effects) == [("POST", f"/v1/queues/{QUEUES[1]['name']}/resume", {})]


def test_a_schedule_is_run_now_after_a_yes() -> None:
    _, effects = update(press(scene("schedules"), "x"), Pressed("y"))
    assert acts(effects) == [("POST", "/v1/schedules/nightly/run", {})]


def test_a_dead_letter_is_discarded_with_a_reason_alone() -> None:
    state = press(typed(press(scene("dead-letters"), "d"), "known"), "enter")
    _, effects = update(state, Pressed("y"))
    assert acts(effects) == [("POST", f"/v1/dead-letters/{LETTER['id']}/discard", {"reason": "known"})]
    assert press(press(scene("dead-letters"), "d"), "enter").question is None


def test_failed_jobs_are_the_second_tab_of_dead_letters() -> None:
    state = press(scene("dead-letters"), "t")
    assert dict(wants(state)[0].query)["q"] == "state:failed"
    state = press(typed(press(state, "/"), "type:a OR type:b"), "enter")
    assert dict(wants(state)[0].query)["q"] == "state:failed (type:a OR type:b)"


def test_what_an_alert_rests_on_is_one_key_away() -> None:
    from tests.console.scenes import ALERTS as FOUND

    state = press(send(scene(), Received(ALERTS, {"items": FOUND}, NOW)), "A", "enter")
    assert (state.view.screen, state.view.query) == ("jobs", "state:failed type:demo.fail")


@pytest.mark.parametrize(("status", "says"), [("never", False), ("running", False), ("failed", False), ("finished", True)])
def test_only_an_audit_that_ended_says_that_nothing_differs(status: str, says: bool) -> None:
    found = {"status": status, "items": [], "as_of": None, "differences": 0}
    assert ("No difference." in frame(send(scene("audit"), Received(AUDIT, found, NOW)))) is says


def test_the_audit_leads_to_the_job_that_differs() -> None:
    state = press(scene("audit"), "enter")
    assert (state.view.screen, state.view.subject) == ("job", JOBS[2]["id"])
    assert acts(update(scene("audit"), Pressed("x"))[1]) == [("POST", "/v1/audit", {})]


def test_bulk_operations_of_others_are_listed() -> None:
    assert f"{BULK['done']}/{BULK['matched']}" in frame(press(scene(), "o"))


# ---- one job ----------------------------------------------------------------------------------------------------


def test_relatives_are_selected_with_the_arrows_and_opened_with_enter() -> None:
    state = press(scene("job", subject=JOBS[2]["id"], tab=3), "down")
    state = send(state, Pressed("enter"))
    assert (state.view.screen, state.view.subject) == ("job", job(10)["id"])


def test_a_job_is_copied_as_a_command_and_as_a_cloudevent() -> None:
    state = scene("job", subject=JOBS[2]["id"])
    [curl] = [effect.text for effect in update(state, Pressed("y"))[1] if isinstance(effect, Copy)]
    [event] = [effect.text for effect in update(state, Pressed("Y"))[1] if isinstance(effect, Copy)]
    assert curl.startswith("curl -s 'http://127.0.0.1:8080/v1/jobs'")
    assert '"type": "dev.observatory.job.requested.v1"' in event


@pytest.mark.parametrize(("tab", "words"), [(0, "0af7651916cd43dd8448eb211c80319c"), (0, "client/7"), (1, "line 2"), (2, '"text"'), (4, "specversion")])
def test_the_tabs_of_a_job_tell_all_of_it(tab: int, words: str) -> None:
    assert words in frame(scene("job", 120, 60, subject=JOBS[2]["id"], tab=tab))


def test_text_longer_than_the_screen_is_scrolled_to_its_end() -> None:
    state = press(scene("job", 80, 14, subject=JOBS[2]["id"]), "G")
    assert "trace id" in frame(state)
    assert "Traceback" in frame(press(state, "k", "k", "k", "k"))


def test_a_schema_of_a_file_is_held_against_what_there_is() -> None:
    state = press(press(scene("contracts"), "down", "enter"), "x")
    _, effects = update(typed(state, "~/new.json"), Pressed("enter"))
    [attached] = [effect for effect in effects if isinstance(effect, Attach)]
    assert (attached.name, attached.path, attached.act.path) == ("schema", "~/new.json", "/v1/contracts/check")
    [today] = acts(update(state, Pressed("enter"))[1])
    assert today[2] == {"name": "demo.everything", "schema": DOCUMENTS["/v1/contracts/demo.everything"]}
    state = send(press(state, "esc"), Acted(attached.act, CHECKED))
    assert "would refuse 214 of the last 1,000" in frame(state)
    assert press(state, "enter").view.screen == "job"


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("cancelled", {"cause": "person", "reason": "wrong file"}, "by eva: wrong file"),
        ("cancelled", {"cause": "parent", "reason": "its parent a is failed"}, "by eva: its parent a is failed"),
        ("queued", {"reason": "parents_ended"}, "parents ended"),
    ],
)
def test_a_timeline_says_who_and_why_in_words(kind: str, data: dict[str, str], words: str) -> None:
    assert timeline.detail({"type": f"dev.observatory.job.{kind}.v1", "actor": "eva" if kind == "cancelled" else None, "data": data}) == words


def test_what_an_attempt_waited_behind_others_of_its_processor_is_waiting_and_not_running() -> None:
    events = [
        event(1, "accepted", type="a.b", queue="default", priority=4, **{"from": None, "to": "queued"}),
        event(2, "started", attempt=1, lease_token=1, worker="one", waited_seconds=1.0, **{"from": "queued", "to": "running"}),
        event(4, "progressed", attempt=1, lease_token=1, progress={"fraction": 0.5}, **{"from": "running", "to": "running"}),
        event(6, "succeeded", attempt=1, lease_token=1, result=None, ran_seconds=2.5, **{"from": "running", "to": "succeeded"}),
    ]
    assert timeline.stretches(events, events[-1]["time"]) == [("queued", 2.5), ("running", 2.5)]
    job = {"status": "succeeded", "created_at": events[0]["time"], "finished_at": events[-1]["time"]}
    where = timeline.spent(job, events, events[-1]["time"])
    assert (where.waited_seconds, where.ran_seconds, where.held_seconds) == (2.5, 2.5, 0.0)
