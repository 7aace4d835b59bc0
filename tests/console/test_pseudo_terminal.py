"""The real program in a pseudo-terminal against the real system: key scripts, and the screen that a person sees."""

import base64
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import read_process
from tests.support.system import System, running_system
from tests.support.terminal import Terminal, terminal
from tests.support.waiting import wait_until

CONSOLE = [sys.executable, "-m", "console"]
RESTORED = {"25", "7"}  # of the private modes only the cursor and wrapping are on, as before


@pytest.fixture
def own(system: System, tmp_path: Path) -> Iterator[Terminal]:
    """A console that a test may end."""
    with terminal(CONSOLE, OBSERVATORY_URL=system.url, XDG_CONFIG_HOME=str(tmp_path)) as opened:
        opened.until("live")
        yield opened


@pytest.fixture(scope="module")
def shared(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    with terminal(CONSOLE, OBSERVATORY_URL=system.url, XDG_CONFIG_HOME=str(tmp_path_factory.mktemp("configuration"))) as opened:
        opened.until("live")
        yield opened


@pytest.fixture
def screen(shared: Terminal) -> Terminal:
    """The console that most tests share, back at the dashboard, for a start takes longer than a test."""
    shared.resize(100, 30)
    for _ in range(20):
        shared.pump(0.2)
        if "Throughput" in shared.text:
            break
        shared.press("esc")
        shared.pump(0.3)  # alone: a key that follows an escape at once may be read as one with it
    shared.until("Throughput")
    while shared.pump(0.3):
        pass
    return shared


def test_a_job_is_submitted_by_a_form_and_watched_to_its_end(screen: Terminal, system: System) -> None:
    screen.press("N")
    screen.until("pick a type")
    screen.press("/", "sleep", "enter")
    screen.until("New task: pick a type 1")
    screen.press("enter")
    screen.until("seconds *")
    screen.press("soon")
    screen.until("is no number")
    screen.press("backspace", "backspace", "backspace", "backspace", "0.3", "ctrl-s")
    screen.until("Submitted")
    screen.until(lambda: "succeeded" in screen.line("demo.sleep"))
    screen.press("l", "l")
    screen.until("slept_seconds")


def test_a_filter_finds_one_job_and_a_cancel_is_followed_to_its_end(screen: Terminal, system: System) -> None:
    job_id = system.submit("demo.sleep", {"seconds": 60}, tags=["console-cancel"])
    screen.press("2", "/", "tag:console-cancel", "enter")
    screen.until(lambda: "running" in screen.line(job_id[-12:]))
    screen.press("c")
    screen.until("Cancel demo.sleep")
    screen.press("y")
    screen.until(f"cancel demo.sleep {job_id[-12:]}: cancelled")
    assert system.job(job_id)["status"] == "cancelled"


def test_all_that_match_are_retried_after_their_count_was_confirmed(screen: Terminal, system: System) -> None:
    ids = [system.submit("demo.fail", {"times": 1}, tags=["console-bulk"], max_attempts=1) for _ in range(3)]
    for job_id in ids:
        system.ended(job_id)
    screen.press("2", "/", "tag:console-bulk", "enter")
    screen.until("Jobs 3")
    screen.press("a")
    screen.until("every job that matches tag:console-bulk")
    screen.press("r")
    screen.until("Retry 3 of 3 jobs that match tag:console-bulk?")
    screen.press("y")
    screen.until("retry all that match tag:console-bulk: 3 done")
    for job_id in ids:
        assert system.ended(job_id)["status"] == "succeeded"


def test_a_click_selects_and_opens_and_a_heading_sorts(screen: Terminal, system: System) -> None:
    job_id = system.submit("text.statistics", {"text": "to be"}, tags=["console-click"])
    system.ended(job_id)
    screen.press("2", "/", "tag:console-click", "enter")
    screen.until("Jobs 1")
    screen.until(job_id[-12:])
    lines = screen.text.split("\n")
    screen.click(lines[2].index("TYPE"), 2)
    screen.until("TYPE▲")
    screen.click(5, next(y for y, line in enumerate(lines) if job_id[-12:] in line))
    screen.until("relatives")
    screen.press("esc")
    screen.until("TYPE▲")


def test_a_paste_is_text_also_when_it_arrives_in_pieces(screen: Terminal) -> None:
    screen.press("2")
    screen.until("Jobs ")
    screen.press("/", "\x1b[200~tag:q")
    screen.until("/")
    time.sleep(0.2)  # longer than an escape key is waited for: the rest of the paste must still be text
    screen.press("N:esc\rq", "\x1b[201~")
    screen.until("/tag:qN:esc q")


def test_a_key_that_follows_an_escape_at_once_is_a_key_of_its_own(screen: Terminal) -> None:
    screen.press("5")
    screen.until("Queues ")
    screen.press("?")
    screen.until("Everywhere")
    screen.press("\x1b6")
    screen.until("Schedules ")


def test_what_is_copied_goes_to_the_clipboard_of_the_terminal(screen: Terminal, system: System) -> None:
    job_id = system.submit("demo.noop", {})
    screen.press(":", f"job {job_id}", "enter")
    screen.until("timeline")
    screen.press("i")
    wanted = base64.b64encode(job_id.encode())
    screen.until(lambda: b"\x1b]52;c;" + wanted in screen.sent)


def test_the_size_may_change_at_any_moment(screen: Terminal) -> None:
    for columns, lines in ((200, 60), (40, 8), (30, 5), (80, 24)):
        screen.resize(columns, lines)
        screen.until("too small" if columns < 40 else "q quit")
    assert "success" in screen.text  # the short names of a narrow terminal


def test_escape_sequences_of_a_job_reach_no_terminal(screen: Terminal, system: System) -> None:
    job_id = system.submit("text.statistics", {"text": "\x1b]0;owned\x07\x1b[2J\u202e\x1b[?1049l"}, tags=["console-hostile"])
    system.ended(job_id)
    screen.press(":", f"job {job_id}", "enter")
    screen.until("timeline")
    before = len(screen.sent)
    screen.press("l", "l")
    screen.until('"text"')
    fresh = screen.sent[before:].decode("utf-8", "replace")
    for sequence in ("\x1b]0;", "\x1b[2J", "\u202e", "\x1b[?1049l"):
        assert sequence not in fresh


# ---- restored on any exit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["q", "ctrl-c"])
def test_leaving_restores_the_terminal(own: Terminal, way: str) -> None:
    own.press(way)
    assert own.ended() == 0
    assert own.modes() == RESTORED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_the_terminal(own: Terminal, number: int) -> None:
    own.signal(number)
    assert own.ended() == 128 + number
    assert own.modes() == RESTORED


def test_a_crash_restores_the_terminal_and_is_told(system: System, tmp_path: Path) -> None:
    broken = (
        "import sys\nfrom console import loop\nfrom console.cli import main\nfrom console.messages import Pressed\ntook = loop.update\n"
        "def update(state, message):\n    if message == Pressed('X'):\n        raise ValueError('planted')\n    return took(state, message)\n"
        "loop.update = update\nsys.exit(main([]))\n"
    )
    command = [sys.executable, "-c", broken]
    with terminal(command, OBSERVATORY_URL=system.url, XDG_CONFIG_HOME=str(tmp_path), OBSERVATORY_DEBUG="1") as screen:
        screen.until("live")
        screen.press("X")
        assert screen.ended() != 0
        assert screen.modes() == RESTORED
        assert b"planted" in screen.sent
    with terminal(command, OBSERVATORY_URL=system.url, XDG_CONFIG_HOME=str(tmp_path)) as screen:
        screen.until("live")
        screen.press("X")
        screen.until("A fault of the console")  # it goes on all the same
        screen.press("5")
        screen.until("Queues ")


def test_a_terminal_that_goes_away_ends_the_console(own: Terminal) -> None:
    own.hang_up()
    assert own.ended() != 0


def test_it_is_suspended_and_continued(screen: Terminal) -> None:
    screen.press("\x1a")
    wait_until(lambda: (screen.pump(), read_process(screen.pid))[1].state == "T")  # type: ignore[union-attr]
    screen.until(lambda: screen.modes() == RESTORED)
    screen.signal(signal.SIGCONT)
    screen.until(lambda: "1049" in screen.modes())
    screen.press("5")
    screen.until("Queues ")


# ---- the network ------------------------------------------------------------------------------------------------


def test_keys_answer_while_the_server_hangs(tmp_path: Path) -> None:
    """A server that takes connections and never answers. The bound is generous; the ratio to typing elsewhere is not at stake."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with terminal(CONSOLE, OBSERVATORY_URL=url, XDG_CONFIG_HOME=str(tmp_path)) as screen:
            screen.until("Distributed Task Observatory")
            took = []
            for _ in range(5):
                begun = time.monotonic()
                screen.press("?")
                screen.until("Everywhere")
                took.append(time.monotonic() - begun)
                screen.press("x")
                screen.until(lambda: "Everywhere" not in screen.text)
            assert statistics.median(took) < 1.0
            screen.until("it did not answer in time")
            screen.press("q")
            assert screen.ended() == 0


def test_what_nobody_answers_is_marked_stale_and_is_live_again_by_itself(tmp_path: Path) -> None:
    with running_system(tmp_path / "data") as system, terminal(CONSOLE, OBSERVATORY_URL=system.url, XDG_CONFIG_HOME=str(tmp_path)) as screen:
        job_id = system.submit("demo.noop", {})
        screen.until(job_id[-12:])
        assert system.process is not None
        os.kill(system.process.pid, signal.SIGSTOP)
        screen.until("STALE")
        screen.until(lambda: " old" in screen.line("Queues"))
        assert job_id[-12:] in screen.text  # the last data stays
        screen.press("5")  # and other screens are a key away
        screen.until("Queues ")
        os.kill(system.process.pid, signal.SIGCONT)
        screen.until(lambda: "live" in screen.text.split("\n")[0] and "STALE" not in screen.text)


def test_a_server_that_answers_with_something_else_is_said_so(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdout is not None
        port = server.stdout.readline().decode().split(" port ")[1].split()[0]
        with terminal(CONSOLE, OBSERVATORY_URL=f"http://127.0.0.1:{port}", XDG_CONFIG_HOME=str(tmp_path)) as screen:
            screen.until("404")
        server.terminate()


# ---- scripts, and lesser terminals --------------------------------------------------------------------------------------


def test_without_a_terminal_it_says_so_and_ends(system: System) -> None:
    done = subprocess.run(CONSOLE, env={**os.environ, "OBSERVATORY_URL": system.url}, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 2
    assert "no terminal" in done.stderr


def test_scripts_get_one_frame_as_text_and_its_data_as_json(system: System) -> None:
    import json

    job_id = system.submit("demo.noop", {}, tags=["console-once"])
    system.ended(job_id)
    once = [*CONSOLE, "--once", "jobs tag:console-once", "--size", "100x20"]
    environment = {**os.environ, "OBSERVATORY_URL": system.url}
    shown = subprocess.run(once, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
    assert len(shown.rstrip("\n").split("\n")) == 20
    assert job_id[-12:] in shown and "\x1b" not in shown
    data = json.loads(subprocess.run([*once, "--json"], env=environment, capture_output=True, text=True, timeout=60, check=True).stdout)
    assert [row["id"] for row in data["data"]["/v1/jobs"]["items"]] == [job_id]


def test_one_frame_of_the_dashboard_tells_ages_by_the_servers_clock(system: System) -> None:
    job_id = system.submit("demo.noop", {})
    once = [*CONSOLE, "--once", "dashboard", "--size", "140x44"]

    def line() -> str:
        shown = subprocess.run(once, env={**os.environ, "OBSERVATORY_URL": system.url}, capture_output=True, text=True, timeout=60, check=True).stdout
        return next(line for line in shown.splitlines() if job_id[-12:] in line)

    wait_until(lambda: " now " not in line(), 30)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "screen"}, {"TERM": "vt100"}])
def test_keys_and_frames_work_on_terminals_with_fewer_colours(system: System, tmp_path: Path, environment: dict[str, str]) -> None:
    with terminal(CONSOLE, OBSERVATORY_URL=system.url, XDG_CONFIG_HOME=str(tmp_path), **environment) as screen:
        screen.until("live")
        assert b"38;5;" not in screen.sent
        screen.press("5")
        screen.until("Queues ")
        screen.press("down", "up", "esc")
        screen.until("Throughput")


def test_a_terminal_without_unicode_gets_ascii_alone(system: System, tmp_path: Path) -> None:
    with terminal(CONSOLE, OBSERVATORY_URL=system.url, XDG_CONFIG_HOME=str(tmp_path), LANG="C", LC_ALL="C", PYTHONUTF8="0") as screen:
        screen.until("live")
        assert screen.sent.isascii()
        assert "+- Throughput" in screen.text
