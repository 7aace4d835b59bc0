"""submit, many: streams in batches as they come, what cannot be read or taken in its place; and when a job is to begin."""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from console.json_sources import Unreadable, read
from console.payloads import BadArgument, merged, pair
from console.verbs.arguments import instant_from, span
from console.verbs.submit_many import chunks
from tests.console.test_command_line import answer, console
from tests.support.system import ROOT, System
from tests.support.waiting import wait_until

LINES = '{"echo": 1}\n\n{"echo": 2}\nno JSON\n[3]\n{"odd": 4}\n{"echo": 5}\n'


def test_each_line_stands_in_its_place_and_the_good_ones_are_taken(system: System, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text(LINES)
    items = answer(console(system, "submit", "demo.noop", f"@{tmp_path}/lines", "--wait", "--json"), 3)["items"]
    assert [item["status"] for item in items] == ["succeeded", "succeeded", 400, 400, 422, "succeeded"]
    assert [item["result"] for item in items if item["status"] == "succeeded"] == [1, 2, 5]
    said = console(system, "submit", "demo.noop", "-", stdin=LINES)
    assert said.returncode == 3 and said.stdout == "3 accepted, 3 refused\n"
    assert "item 3: line 4 not valid JSON" in said.stderr and "item 5: The payload breaks its schema." in said.stderr


def test_a_source_that_is_sent_twice_makes_its_jobs_once(system: System) -> None:
    lines = '{"type": "demo.noop", "payload": {}}\n{"type": "demo.noop", "payload": {}, "depends_on": ["#0"]}\n'
    first, second = (console(system, "submit", "-", "--idempotency-key", "twice", "--quiet", stdin=lines).stdout for _ in range(2))
    assert first == second and len(first.split()) == 2
    assert "(2 of them known before)" in console(system, "submit", "-", "--idempotency-key", "twice", stdin=lines).stdout
    assert system.job(first.split()[1])["depends_on"] == [first.split()[0]]


def test_a_pipe_that_goes_on_is_submitted_as_it_comes(system: System) -> None:
    environment = {**{k: v for k, v in os.environ.items() if not k.startswith("OBSERVATORY_")}, "OBSERVATORY_URL": system.url}
    command = [sys.executable, "-m", "console", "submit", "demo.noop", "-", "--tag", "piped", "--quiet"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write('{"echo": 1}\n{"echo": 2}\n')
        process.stdin.flush()
        taken = [process.stdout.readline().strip() for _ in range(2)]  # while the pipe is open
        process.stdin.write('{"echo": 3}\n')
        process.stdin.close()
        taken.append(process.stdout.readline().strip())
    found = wait_until(lambda: (got := system.request("GET", "/v1/jobs?tag=piped").json()["items"]) and len(got) == 3 and got)
    assert [job["id"] for job in reversed(found)] == taken


@pytest.mark.parametrize(
    ("text", "one", "many"),
    [
        ('{"a": 1}', {"a": 1}, []),
        ('\n {"a": 1}\n\n', {"a": 1}, []),
        ('{\n"a": 1\n}', {"a": 1}, []),
        ('[{"a": 1}]', {"a": 1}, []),
        ('[\n{"a": 1},\n{"b": 2}]', None, [{"a": 1}, {"b": 2}]),
        ('{"jobs": [{"a": 1}, {"b": 2}]}', None, [{"a": 1}, {"b": 2}]),
        ("[]", None, []),
        ('{"a": 1}\n{"b": 2}', None, [{"a": 1}, {"b": 2}]),
        ('{"a": 1}\n{"b": 2,}\n7\n', None, [{"a": 1}, 2, 3]),
    ],
)
def test_what_a_source_holds(tmp_path: Path, text: str, one: object, many: list[object]) -> None:
    (tmp_path / "source").write_text(text)
    source = read(f"@{tmp_path}/source")
    assert source.one == one
    assert [item.line if isinstance(item, Unreadable) else item for item in source.stream] == many


@pytest.mark.parametrize(("text", "words"), [("", "is empty"), ('{\n"a": 1,\n', "source"), ("[1]", "item 1 is no JSON object"), ("nothing", "not valid JSON")])
def test_a_source_that_is_no_json_is_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "source").write_text(text)
    with pytest.raises(BadArgument, match=words):
        read(f"@{tmp_path}/source")


def test_chunks_end_where_the_next_one_keeps_one_waiting() -> None:
    items = iter([{"n": 1}, {"n": 2}, None, None, {"n": 3}, Unreadable(9, "is odd")])
    first, second = chunks(items, "key")
    assert [each["idempotency_key"] for each in first] == ["key/0", "key/1"]  # type: ignore[index]
    assert second[0] == {"idempotency_key": "key/2", "n": 3} and "line 9 is odd" in str(second[1])
    assert [len(chunk) for chunk in chunks(iter([{}] * 2_500), None)] == [1_000, 1_000, 500]


# ---- when -------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 25, 22, 30, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-24T18:00:00Z", "2026-12-24T18:00:00.000000Z"),
        ("2026-12-24T18:00+02:00", "2026-12-24T16:00:00.000000Z"),
        ("+90m", "2026-11-25T23:00:00.000000Z"),
        ("+1d2h", "2026-11-26T23:30:00.000000Z"),
        ("23:00", "2026-11-25T22:00:00.000000Z"),
        ("8:15", "2026-11-26T07:15:00.000000Z"),
        ("today 8:15", "2026-11-25T07:15:00.000000Z"),
        ("Tomorrow 23:00:05", "2026-11-26T22:00:05.000000Z"),
    ],
)
def test_an_instant_is_written_in_many_ways(text: str, expected: str) -> None:
    assert instant_from(text, NOW) == expected


@pytest.mark.parametrize("text", ["soon", "25:00", "tomorrow", "+", "+soon", "2026-13-01", ""])
def test_what_is_no_instant_says_what_is(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        instant_from(text, NOW)


def test_spans_have_units() -> None:
    assert [span(text) for text in ("90", "1.5", "500ms", "30s", "10m", "1h30m", "2d", "1d 2h")] == [90, 1.5, 0.5, 30, 600, 5_400, 172_800, 93_600]
    for text in ("", "soon", "5 parsecs", "-1", "1s1m"):
        with pytest.raises(argparse.ArgumentTypeError):
            span(text)


def test_a_job_is_put_off_in_words(system: System) -> None:
    done = console(system, "submit", "demo.noop", "--at", "+2h", "--tag", "put-off")
    assert done.returncode == 0 and "scheduled for 20" in done.stdout and "UTC (in " in done.stdout
    assert console(system, "submit", "demo.noop", "--at", "later").returncode == 2
    delayed = answer(console(system, "submit", "demo.noop", "--delay", "1h", "--tag", "put-off", "--json"))
    listed = console(system, "list", "tag:put-off", "--quiet").stdout
    assert set(listed.split()) >= {delayed["id"]}
    cancelled = console(system, "cancel", "-", stdin=listed)
    assert cancelled.returncode == 0 and cancelled.stdout.count("cancelled") == len(listed.split())


def test_waiting_for_many_has_an_end(system: System) -> None:
    lines = '{"seconds": 0.01}\n{"seconds": 30}\n'
    done = console(system, "submit", "demo.sleep", "-", "--wait", "0.3", "--tag", "long", stdin=lines)
    assert done.returncode == 6 and "after 0.3 s" in done.stderr, done.stderr
    console(system, "bulk", "cancel", "tag:long", "--yes")


def test_json_of_many_is_one_document(system: System) -> None:
    done = console(system, "submit", "demo.noop", "-", "--json", stdin='{"echo": 1}\n{"odd": 1}\n')
    assert [item.get("status") for item in json.loads(done.stdout)["items"]] == ["queued", 422]
    assert answer(console(system, "submit", "demo.noop", "-", "--json", stdin="[]")) == {"items": []}


@pytest.mark.parametrize("how", ["authorization=@{}", "authorization=-", "--authorization=@{}", "--authorization=-"])
def test_a_secret_is_taken_from_a_file_or_from_standard_input(system: System, tmp_path: Path, how: str) -> None:
    """What the store keeps is what the file holds, without its last newline; no warning, for no list of processes showed it."""
    (tmp_path / "secret").write_text("Bearer very-secret\n")
    asked = ["submit", "http.call", "url=http://127.0.0.1:9/", how.format(tmp_path / "secret"), "--delay", "1h", "--json"]
    done = console(system, *asked, stdin="Bearer very-secret\n")
    assert done.returncode == 0 and not done.stderr, done.stderr
    with sqlite3.connect(f"file:{system.data}/observatory.db?mode=ro", uri=True) as store:
        (payload,) = store.execute("SELECT payload FROM jobs WHERE id = ?", (answer(done)["id"],)).fetchone()
    assert json.loads(payload)["authorization"] == "Bearer very-secret"
    console(system, "bulk", "cancel", "type:http.call state:scheduled", "--yes")


def test_a_secret_s_file_that_is_not_there_is_named(system: System) -> None:
    done = console(system, "submit", "http.call", "url=http://127.0.0.1:9/", "authorization=@/no/such")
    assert done.returncode == 2 and "/no/such: No such file" in done.stderr


def test_a_secret_on_the_command_line_is_warned_of(system: System) -> None:
    request = '{"url": "http://127.0.0.1:9/", "authorization": "Bearer very-secret"}'
    open_ = console(system, "submit", "http.call", "url=http://127.0.0.1:9/", "authorization=Bearer very-secret", "--delay", "1h")
    assert open_.returncode == 0 and "command lines are public" in open_.stderr and "very-secret" not in open_.stdout + open_.stderr
    safe = console(system, "submit", "http.call", "-", "--delay", "1h", "--tag", "secret", stdin=request)
    assert safe.returncode == 0 and not safe.stderr
    assert "Secret: give it by authorization=@FILE" in " ".join(console(system, "tasks", "http.call").stdout.split())
    console(system, "bulk", "cancel", "type:http.call state:scheduled", "--yes")


def test_a_field_within_an_object_is_given_by_its_path() -> None:
    inner = {"type": "object", "properties": {"street": {"type": "string"}, "number": {"type": "integer"}, "far": {"type": "object", "properties": {"x": {}}}}}
    fields = {"inner": inner, "a.b": {"type": "string"}, "plain": {"type": "string"}}
    parts = ["inner.street=Main", "inner.number=7", "inner.far.x:=[1]", "a.b=as it stands", "plain=c.d"]
    with pytest.raises(BadArgument, match="inner is given twice"):
        merged([pair(part, fields) for part in ("inner.number=7", "inner.number=8")], fields)
    assert merged([pair(part, fields) for part in parts], fields) == {
        "inner": {"street": "Main", "number": 7, "far": {"x": [1]}}, "a.b": "as it stands", "plain": "c.d"}  # fmt: skip


def test_a_schedule_refuses_by_the_option_what_belongs_to_one_job(system: System) -> None:
    done = console(system, "submit", "demo.noop", "--every", "10m", "--name", "beat", "--at", "+1h")
    assert done.returncode == 2 and "--at: belongs to one job" in done.stderr
    shown = console(system, "schedules", "put", "--help").stdout
    assert "--timezone" in shown and "--expires" not in shown and "--every" in console(system, "submit", "--help").stdout
