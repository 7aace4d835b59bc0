"""Exit codes, streams and colours: what scripts and terminals rely on."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from console import cli, exits
from tests.console.test_command_line import NOWHERE, console
from tests.support.system import ROOT, System

NO_JOB = "01943a9e-1f2c-7a6b-8d3e-5f4c3b2a1d0e"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, ["submit", "demo.noop", "--wait"]),
        (1, ["submit", "demo.fail", "times=1", "permanent=true", "--wait"]),
        (2, ["list", "--limit", "none"]),
        (2, ["frobnicate"]),
        (3, ["submit", "demo.noop", "odd=1"]),
        (4, ["list", "--url", NOWHERE]),
        (5, ["show", NO_JOB]),
        (6, ["submit", "demo.sleep", "seconds=20", "--wait", "100ms"]),
        (7, ["watch", "CANCELLED"]),
        (0, ["bulk", "retry", "tag:no-such", "--dry-run"]),
        (2, ["bulk", "retry", "tag:no-such"]),
    ],
)
def test_each_code_is_reached_and_means_what_the_help_says(system: System, code: int, words: list[str]) -> None:
    if "CANCELLED" in words:
        job = system.submit("demo.noop", delay_seconds=3600)
        system.request("POST", f"/v1/jobs/{job}/cancel")
        words = [job if word == "CANCELLED" else word for word in words]
    done = console(system, *words)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "console/" not in done.stderr  # a trace of ours; a job's own is shown
    as_json = console(system, *words, "--json") if words[0] != "frobnicate" else done
    assert as_json.returncode == code


def test_the_codes_of_the_help_are_those_of_the_module() -> None:
    told = {int(number) for number in re.findall(r"\b(\d+)  |\band (\d+)|, (\d+) ", exits.MEANINGS) for number in number if number}
    assert told == {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert exits.MEANINGS in console("", "--help").stdout


def test_an_error_in_json_is_json(system: System) -> None:
    done = console(system, "submit", "demo.noop", "odd=1", "--json")
    told = json.loads(done.stderr)
    assert (done.stdout, told["exit_code"], told["error"]["status"], told["error"]["kind"]) == ("", 3, 422, "contract-violation")
    assert told["error"]["faults"][0]["pointer"] == "/payload/odd"
    told = json.loads(console(NOWHERE, "list", "--json").stderr)
    assert (told["exit_code"], told["error"]["status"], told["error"]["kind"]) == (4, None, "server-unreachable")


def test_every_verb_has_help_with_examples() -> None:
    for verb in cli.VERBS:
        text = console("", verb.name, "--help").stdout
        assert "examples:" in text and "--json" in text and "--context" in text, verb.name


# ---- pipes and signals ------------------------------------------------------------------------------------------


def start(system: System, *words: str, **streams: int) -> "subprocess.Popen[bytes]":
    environment = {**{k: v for k, v in os.environ.items() if not k.startswith("OBSERVATORY_")}, "OBSERVATORY_URL": system.url}
    command = [sys.executable, "-m", "console", *words]
    return subprocess.Popen(command, cwd=ROOT, env=environment, preexec_fn=_hear_ctrl_c, **streams)  # type: ignore[call-overload]


def _hear_ctrl_c() -> None:
    """Whoever started the tests in the background made them, and all below, deaf to it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("words", [["list", "--all", "--json"], ["events", "--limit", "200"], ["events", "--follow", "--after", "0"]])
def test_a_reader_that_leaves_ends_it_quietly(system: System, words: list[str]) -> None:
    for _ in range(30):
        system.submit("demo.noop")
    with start(system, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(60) in (exits.BROKEN_PIPE, exits.OK) and said == b"", said


def test_ctrl_c_ends_it_without_a_trace(system: System) -> None:
    job = system.submit("demo.noop", delay_seconds=3600)
    for words in (["watch", job], ["events", "--follow"]):
        with start(system, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            streams = wait_for_a_stream(system)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
            assert (process.returncode, said) == (exits.INTERRUPTED, b""), (words, said)
        assert streams
    system.request("POST", f"/v1/jobs/{job}/cancel")


def wait_for_a_stream(system: System) -> int:
    """The live streams that are open, once there is one."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = re.search(rb"observatory_live_streams[^\n]* (\d+)", system.request("GET", "/metrics").body)
        if found and int(found[1]):
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError("no live stream was opened")


# ---- a terminal -------------------------------------------------------------------------------------------------


def on_a_terminal(system: System, *words: str, **environment: str) -> str:
    """What a terminal of 100 columns gets."""
    ours, theirs = pty.openpty()
    variables = {**{k: v for k, v in os.environ.items() if not k.startswith(("OBSERVATORY_", "NO_COLOR"))}, "OBSERVATORY_URL": system.url,
                 "TERM": "xterm-256color", "COLUMNS": "100", **environment}  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "console", *words], cwd=ROOT, env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            said += os.read(ours, 65_536)
        except OSError:  # its other end is closed
            break
    os.close(ours)
    process.wait(60)
    return said.decode()


def test_colours_are_for_terminals_that_want_them(system: System) -> None:
    system.ended(system.submit("demo.noop", tags=["painted"]))
    assert "\x1b[32msucceeded\x1b[0m" in on_a_terminal(system, "list", "tag:painted")
    for plain in (on_a_terminal(system, "list", "tag:painted", NO_COLOR="1"), on_a_terminal(system, "list", "tag:painted", TERM="dumb"),
                  console(system, "list", "tag:painted", environment={"NO_COLOR": ""}).stdout):  # fmt: skip
        assert "succeeded" in plain and "\x1b[" not in plain


def test_lines_fit_the_terminal(system: System) -> None:
    for words in (["list"], ["events"], ["queues"], ["schedules"], ["dead-letters"], ["tasks"], ["contracts"], ["stats"]):
        for line in on_a_terminal(system, *words, NO_COLOR="1", COLUMNS="90").splitlines():
            assert len(line) <= 90, (words, line)


def test_what_a_job_says_cannot_steer_the_terminal(system: System, tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\r\nnext"
    job = system.submit("demo.fail", {"times": 1, "permanent": True, "message": evil}, tags=["evil"])
    system.ended(job)
    for words in (["list", "tag:evil"], ["show", job], ["watch", job], ["events", "--subject", f"job/{job}"]):
        said = console(system, *words)
        assert not re.search(r"[\x1b\x07\u202e]", said.stdout + said.stderr), words
