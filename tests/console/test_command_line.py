"""The command line as a user's shell runs it: real process, real system, real exit codes."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import run_console
from tests.support.system import System, running_system

NOWHERE = "http://127.0.0.1:9"


def console(system: System | str, *arguments: str, stdin: str = "", environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    url = system if isinstance(system, str) else system.url
    ours = {"OBSERVATORY_URL": url, "NO_COLOR": "1", "XDG_CONFIG_HOME": "/nonexistent"}
    variables = {**{k: v for k, v in os.environ.items() if not k.startswith("OBSERVATORY_")}, **ours, **(environment or {})}
    return run_console(arguments, variables, stdin)


def answer(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def test_submit_waits_and_prints_the_result(system: System) -> None:
    done = console(system, "submit", "text.statistics", "--text", "to be or not to be", "--wait")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["words"] == 6
    assert "succeeded" in done.stderr


def test_the_exit_code_of_wait_is_the_jobs(system: System) -> None:
    assert console(system, "submit", "demo.fail", "times=3", "--max-attempts", "1", "--wait").returncode == 1


@pytest.mark.parametrize("payload", [["text=a b"], ["--text", "a b"], ['{"text": "a b"}'], ["-"]])
def test_a_payload_comes_in_many_ways(system: System, payload: list[str]) -> None:
    job = answer(console(system, "submit", "text.statistics", *payload, "--wait", "--json", stdin='{"text": "a b"}'))
    assert job["result"]["words"] == 2


def test_many_jobs_come_as_json_lines(system: System, tmp_path: Path) -> None:
    lines = tmp_path / "payloads.jsonl"
    lines.write_text('{"text": "a"}\n{"text": "b c"}\n{"txt": "odd"}\n')
    done = console(system, "submit", "text.statistics", f"@{lines}", "--json")
    items = answer(done, 3)["items"]
    assert [item["status"] for item in items[:2]] and items[2]["status"] == 422


def test_list_and_show_tell_the_same_job(system: System) -> None:
    job = answer(console(system, "submit", "demo.sleep", "seconds=0.05", "--tag", "shown", "--wait", "--json"))
    listed = answer(console(system, "list", "--tag", "shown", "--json"))["items"]
    assert listed[0]["id"] == job["id"]
    shown = answer(console(system, "show", job["id"], "--json"))
    assert shown["job"]["status"] == "succeeded" and shown["attempts"][0]["outcome"] == "succeeded"
    text = console(system, "show", job["id"]).stdout
    for word in ("timeline", "accepted", "started", "succeeded", "attempts", "payload", "result"):
        assert word in text
    assert job["id"] in console(system, "list", "--tag", "shown").stdout


def test_watch_follows_a_job_to_its_end(system: System) -> None:
    job = answer(console(system, "submit", "demo.sleep", "seconds=0.4", "--json"))
    done = console(system, "watch", job["id"])
    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stderr


def test_cancel_and_its_refusal(system: System) -> None:
    job = answer(console(system, "submit", "demo.noop", "--delay", "3600", "--json"))
    assert "cancelled" in console(system, "cancel", job["id"], "--reason", "not now").stdout
    ended = answer(console(system, "submit", "demo.noop", "--wait", "--json"))
    assert console(system, "cancel", ended["id"]).returncode == 3
    assert console(system, "watch", job["id"]).returncode == 7


@pytest.mark.parametrize("verb", [["stats"], ["queues"], ["schedules"], ["tasks"], ["events"], ["dead-letters"], ["list"], ["doctor"]])
def test_every_reading_verb_has_a_text_and_a_json_form(system: System, verb: list[str], tmp_path: Path) -> None:
    here = {"OBSERVATORY_DATA": str(tmp_path)}
    text = console(system, *verb, environment=here)
    assert text.returncode == 0, text.stderr
    assert isinstance(answer(console(system, *verb, "--json", environment=here)), dict)


def test_run_needs_no_server() -> None:
    done = console(NOWHERE, "run", "text.statistics", "--text", "hello world", "--json")
    assert answer(done)["result"]["words"] == 2
    assert console(NOWHERE, "run", "demo.fail", "times=1").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["list"], 4, "make run"),
        (["frobnicate"], 2, "no verb"),
        (["list", "--state", "odd"], 2, "no state"),
        (["submit"], 2, "task type"),
        (["run", "no.such"], 3, "no.such"),
    ],
)
def test_faults_are_sentences_with_exit_codes(arguments: list[str], code: int, words: str) -> None:
    done = console(NOWHERE, *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["watch"], ["bulk", "retry"], ["bulk", "discard", "--reason", "none"], ["events", "--follow", "--query"], ["dead-letters", "--query"]],
)
def test_a_query_s_fault_is_shown_at_its_place_once(arguments: list[str]) -> None:
    at = 2 if arguments[0] == "bulk" else len(arguments)
    asked = [*arguments[:at], "id:a nosuch:b", *arguments[at:]]
    done = console(NOWHERE, *asked)
    assert done.returncode == 2 and done.stderr.splitlines()[:2] == ["id:a nosuch:b", "     ^^^^^^"], done.stderr
    assert len(done.stderr.splitlines()) == 3
    as_json = console(NOWHERE, *asked, "--json")
    assert json.loads(as_json.stderr)["error"]["faults"][0]["offset"] == 5 and not as_json.stdout


@pytest.mark.parametrize("arguments", [["list", "--nosuch"], ["submit"], ["queues", "--limit", "x"]])
def test_a_misused_command_line_is_told_as_json_where_json_is_asked_for(arguments: list[str]) -> None:
    done = console(NOWHERE, *arguments, "--json")
    assert done.returncode == 2 and json.loads(done.stderr)["error"]["kind"] == "usage" and not done.stdout
    assert console(NOWHERE, *arguments).stderr.endswith(f"(see python -m console {arguments[0]} --help)\n")


def test_a_list_that_fails_prints_no_half_document() -> None:
    done = console(NOWHERE, "list", "--json")
    assert (done.returncode, done.stdout) == (4, "") and json.loads(done.stderr)["exit_code"] == 4


def test_run_refuses_as_a_server_would() -> None:
    assert console(NOWHERE, "run", "text.statistics").returncode == console(NOWHERE, "run", "text.statistics", "odd=1").returncode == 3


def test_bulk_says_what_it_needs_and_what_was_nothing(system: System) -> None:
    done = console(system, "bulk", "discard", "status:kept", "--yes")
    assert done.returncode == 2 and "--reason" in done.stderr
    assert console(system, "bulk", "list", "odd").returncode == 2
    assert "nothing to do" in console(system, "bulk", "cancel", "tag:of-nobody", "--yes").stdout


def test_refusals_list_every_fault(system: System) -> None:
    done = console(system, "submit", "text.statistics", '{"text": 7, "odd": 1}')
    assert done.returncode == 3
    assert "/payload" in done.stderr and "Traceback" not in done.stderr
    assert console(system, "show", "01943a9e-1f2c-7a6b-8d3e-5f4c3b2a1d0e").returncode == 5
    assert console(system, "submit", "no.such", "a=1").returncode == 3


def test_doctor_names_what_is_wrong_without_a_server(tmp_path: Path) -> None:
    done = console(NOWHERE, "doctor", environment={"OBSERVATORY_DATA": str(tmp_path / "data")})
    assert done.returncode == 1
    assert "make run" in done.stdout


def test_help_has_examples_and_exit_codes() -> None:
    assert "exit codes" in console(NOWHERE, "--help").stdout
    for verb in ("submit", "list", "show", "watch", "cancel", "run", "stats", "events", "dead-letters", "schedules", "doctor", "demo"):
        assert "examples" in console(NOWHERE, verb, "--help").stdout, verb


def test_the_demo_agrees_with_wc_and_sha256sum(system: System) -> None:
    found = answer(console(system, "demo", "--limit", "25", "--json"))
    assert found["failed"] == 0 and found["jobs"] == 50
    for file in found["items"]:
        lines, words, octets = map(int, subprocess.run(["wc", "-lwc", file["path"]], capture_output=True, text=True, check=True).stdout.split()[:3])
        assert (file["lines"], file["words"], file["bytes"]) == (lines, words, octets), file["path"]
        digest = subprocess.run(["sha256sum", file["path"]], capture_output=True, text=True, check=True).stdout.split()[0]
        assert file["sha256"] == digest
    listing = "".join(f"{file['sha256']}  {file['path']}\n" for file in found["items"])
    assert found["digest_of_digests"] == hashlib.sha256(listing.encode()).hexdigest()


def test_list_takes_a_query_and_points_at_its_fault(system: System) -> None:
    mine, other = (system.submit("text.statistics", {"text": f"so say {who}"}, tags=["asked"]) for who in ("anna", "otto"))
    for query, expected in {
        "tag:asked anna": [mine],
        'tag:asked "say otto" OR payload.text:none': [other],
        "-anna tag:asked": [other],
    }.items():
        assert [job["id"] for job in answer(console(system, "list", query, "--json"))["items"]] == expected
    assert [job["id"] for job in answer(console(system, "list", "tag:asked", "-otto", "--json"))["items"]] == [mine]
    wrong = console(system, "list", "tag:asked sate:failed")
    assert wrong.returncode == 2
    assert "\n          ^^^^\n" in wrong.stderr and "did you mean state?" in wrong.stderr


# ---- wishes -----------------------------------------------------------------------------------------------------


def test_a_failed_job_is_retried_and_an_ended_one_rerun(system: System) -> None:
    job_id = answer(console(system, "submit", "demo.fail", "times=1", "--max-attempts", "1", "--wait", "--json"), 1)["id"]
    done = console(system, "retry", job_id, "no-such", "--reason", "once more")
    assert done.returncode == 5 and f"{job_id} queued" in done.stdout and "no-such" in done.stderr
    assert system.ended(job_id)["status"] == "succeeded"
    assert "rerun" in console(system, "retry", job_id).stderr
    (again,) = answer(console(system, "rerun", job_id, "--json"))["items"]
    assert system.job(again["id"])["parent_id"] == job_id
    lines = console(system, "graph", again["id"]).stdout.splitlines()
    assert [line.split()[1] for line in lines[1:]] == [job_id, again["id"]] and lines[2].split()[-1] == "1"
    assert len(answer(console(system, "graph", job_id, "--json"))["nodes"]) == 2


def test_a_graph_shows_what_comes_after_what(system: System) -> None:
    parent = answer(console(system, "submit", "demo.noop", "--wait", "--json"))["id"]
    child = answer(console(system, "submit", "demo.noop", "--after", parent, "--wait", "--json"))["id"]
    first, second = console(system, "graph", child).stdout.splitlines()[1:]
    assert first.split()[:2] == ["1", parent] and second.split()[:2] == ["2", child] and second.split()[-1] == "1"
    assert console(system, "graph", "no-such").returncode == 5


def test_queues_are_paused_and_resumed(system: System) -> None:
    assert console(system, "queues", "pause", "io", "--reason", "tests").stdout == "io paused\n"
    row = next(line for line in console(system, "queues").stdout.splitlines() if line.startswith("io"))
    assert "paused by anonymous" in row and "ago" in row
    assert console(system, "queues", "resume", "io").stdout == "io resumed\n"
    unknown = console(system, "queues", "pause", "nowhere")
    assert unknown.returncode == 3 and "bulk, default, io" in unknown.stderr
    assert console(system, "queues", "frobnicate").returncode == 2


# ---- schedules --------------------------------------------------------------------------------------------------


def test_a_schedule_is_put_shown_run_paused_and_deleted(system: System) -> None:
    made = console(system, "schedules", "put", "cli-words", "text.statistics", "text=a b", "--cron", "30 2 * * MON-FRI", "--timezone", "Europe/Berlin")
    assert made.returncode == 0, made.stderr
    assert "At 02:30 on Monday through Friday (Europe/Berlin)" in made.stdout
    shown = answer(console(system, "schedules", "show", "cli-words", "--json"))
    assert (shown["template"]["payload"], shown["overlap"], len(shown["next_runs"])) == ({"text": "a b"}, "skip", 5)
    assert "30 2 * * MON-FRI" in console(system, "schedules", "show", "cli-words").stdout
    assert json.loads(console(system, "schedules", "run", "cli-words", "--wait").stdout)["words"] == 2
    assert "paused" in console(system, "schedules", "pause", "cli-words", "--reason", "tests").stdout
    assert "paused by anonymous" in console(system, "schedules").stdout
    assert "next" in console(system, "schedules", "resume", "cli-words").stdout
    assert "deleted" in console(system, "schedules", "delete", "cli-words").stdout
    assert console(system, "schedules", "show", "cli-words").returncode == 5


def test_submit_with_every_makes_a_schedule(system: System) -> None:
    done = answer(console(system, "submit", "demo.noop", "--every", "1h30m", "--name", "cli-noop", "--overlap", "queue", "--priority", "7", "--json"))
    assert (done["every_seconds"], done["overlap"], done["template"]) == (5_400, "queue", {"type": "demo.noop", "payload": {}, "priority": 7})
    assert console(system, "schedules", "delete", "cli-noop").returncode == 0


def test_a_whole_schedule_comes_from_a_file(system: System) -> None:
    request = {"cron": "0 4 * * *", "template": {"type": "demo.noop", "payload": {}}}
    made = answer(console(system, "schedules", "put", "cli-file", "-", "--paused", "--json", stdin=json.dumps(request)))
    assert (made["paused"], made["cron"]) == (True, "0 4 * * *")
    assert console(system, "schedules", "delete", "cli-file").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["schedules", "frobnicate"], 2, "schedules takes"),
        (["schedules", "put"], 2, "name the schedule"),
        (["schedules", "put", "x", "demo.noop", "--every", "soon"], 2, "no span"),
        (["schedules", "put", "x", "demo.noop", "--every", "5", "--after", "job"], 2, "--after: belongs to one job"),
        (["schedules", "put", "x", "demo.noop", "--cron", "61 * * * *", "--timezone", "Europe/Belin"], 3, "Europe/Berlin"),
        (["schedules", "put", "x", "demo.noop"], 3, "cron"),
        (["schedules", "run", "no-such"], 5, "no-such"),
        (["submit", "demo.noop", "--every", "5m"], 2, "--name"),
        (["submit", "demo.noop", "--cron", "* * * * *", "--name", "x", "--wait"], 2, "--wait"),
    ],
)
def test_a_schedule_that_cannot_be_is_a_sentence(system: System, arguments: list[str], code: int, words: str) -> None:
    done = console(system, *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr


def test_a_task_s_own_field_called_name_is_reached_as_before(tmp_path: Path) -> None:
    """`--name` is an option only where a schedule is asked for."""
    (tmp_path / "greeting_tasks.py").write_text(
        "from dataclasses import dataclass\nfrom functions.processor.tasks import task\n\n\n@dataclass\nclass Greeting:\n    name: str\n\n\n"
        "@task('cli.greeting')\ndef greet(payload: Greeting) -> str:\n    return 'hello ' + payload.name\n"
    )
    with running_system(tmp_path / "data", OBSERVATORY_TASKS="greeting_tasks", PYTHONPATH=str(tmp_path)) as own:
        assert json.loads(console(own, "submit", "cli.greeting", "--name", "ada", "--wait").stdout) == "hello ada"


def test_contracts_are_listed_shown_and_tried(system: System, tmp_path: Path) -> None:
    for words in ("a", "a b c"):
        assert console(system, "submit", "text.statistics", "--text", words, "--wait").returncode == 0
    listed = answer(console(system, "contracts", "--json"))["items"]
    assert {"text.statistics", "job", "dev.observatory.job.queued.v1"} <= {item["name"] for item in listed}
    assert "text.statistics" in console(system, "contracts").stdout
    assert "x-fault" in console(system, "contracts", "show", "text.statistics").stdout
    draft = tmp_path / "draft.json"
    draft.write_text('{"title": "text.statistics", "properties": {"text": {"type": "string", "maxLength": 2}}}')
    done = console(system, "contracts", "check", str(draft), "--last", "1")
    assert done.returncode == 3 and "would refuse 1 of the last 1 payload" in done.stdout and "/text" in done.stdout
    assert answer(console(system, "contracts", "check", "-", "--name", "demo.noop", "--json", stdin="{}"))["refused"] == 0
    assert console(system, "contracts", "check", str(tmp_path / "none.json")).returncode == 2
    assert console(system, "contracts", "show", "none").returncode == 5


def test_alerts_are_listed(system: System) -> None:
    assert console(system, "alerts").returncode == 0
    assert isinstance(answer(console(system, "alerts", "--json"))["items"], list)
