"""The launcher: what it starts, what it says of it, and what goes on when the console is left."""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from console.launching import stage_of
from console.messages import Connect, Launch, Launched, LaunchEnded, Pressed, Received, Staged, Ticked
from console.render import render
from console.update import update, wants
from tests.console.scenes import NOW, STATS, WALL, away, scene, send
from tests.support.processes import read_process
from tests.support.terminal import terminal
from tests.support.waiting import free_port, wait_until

CONSOLE = [sys.executable, "-m", "console"]
LINES = [
    '{"stage": "tools", "state": "done", "seconds": 0.4, "message": "docker 27.1"}',
    "a line that is no stage",
    '{"stage": "cluster", "state": "begun", "seconds": 0, "message": ""}',
]


def frame(state: object) -> str:
    return render(state).text()  # type: ignore[arg-type]


# ---- states -----------------------------------------------------------------------------------------------------


def test_what_was_looked_for_is_said_and_what_can_be_started() -> None:
    shown = frame(away())
    for words in ("http://127.0.0.1:8080", "where make run listens", "connection refused", "L  start the embedded", "docker, kind (not found)", "prod"):
        assert words in shown


def test_l_starts_the_embedded_system_once() -> None:
    state, effects = update(away(), Pressed("L"))
    assert effects == (Launch("embedded"),)
    assert update(state, Pressed("L"))[1] == ()
    assert "opening the store" in frame(state)


def test_a_system_is_only_started_where_the_address_is_this_machine() -> None:
    state, effects = update(replace(away(), url="https://observatory.example"), Pressed("L"))
    assert effects == ()
    assert "another machine" in frame(state)


def test_what_is_missing_for_a_cluster_is_said_and_nothing_is_started() -> None:
    state, effects = update(away(), Pressed("C"))
    assert effects == ()
    assert "A cluster needs docker, kind (not found)" in frame(state)


def test_a_cluster_is_started_after_a_yes_and_its_stages_are_shown() -> None:
    able = away()
    able = replace(able, machine=replace(able.machine, cluster_needs=()))
    state, effects = update(send(able, Pressed("C")), Pressed("y"))
    assert effects == (Launch("cluster"),)
    state = send(state, Staged("tools", "begun"), Staged("tools", "done", 0.4, "docker 27.1"), Staged("images", "failed", 12.0, "no space"))
    assert [(stage.stage, stage.state) for stage in state.launching.stages] == [("tools", "done"), ("images", "failed")]  # type: ignore[union-attr]
    shown = frame(send(state, LaunchEnded("images: no space left", 1)))
    assert "It did not start" in shown and "images: no space left" in shown


def test_what_ended_without_a_word_can_be_tried_again() -> None:
    state = send(away(), Pressed("L"), Launched(7, "/tmp/log"), LaunchEnded("port 8080 is taken", 1))
    assert "port 8080 is taken" in frame(state)
    assert update(state, Pressed("L"))[1] == (Launch("embedded"),)


def test_what_was_started_is_named_once_it_answers() -> None:
    state = send(away(), Pressed("L"), Launched(4711, "/tmp/log"))
    state = send(state, Received(wants(state)[0], STATS, NOW + 1))
    assert state.view.screen == "dashboard"
    assert "Process 4711 was started here" in frame(state)


def test_a_server_that_is_slow_to_answer_gets_the_splash_and_a_quick_one_does_not() -> None:
    fresh = replace(scene(), data={}, link=replace(scene().link, condition="connecting", since=NOW, heard=0.0))
    assert send(fresh, Ticked(NOW + 0.3, WALL)).view.screen == "dashboard"
    waiting = send(fresh, Ticked(NOW + 0.9, WALL))
    assert waiting.view.screen == "launcher"
    assert any("\u2800" < character <= "\u28ff" for character in frame(waiting))
    assert frame(waiting) != frame(send(waiting, Ticked(NOW + 1.9, WALL + 1)))  # it turns
    assert frame(replace(waiting, ascii_only=True)).isascii()


def test_the_splash_leaves_whoever_went_somewhere_meanwhile() -> None:
    fresh = replace(scene(), data={}, link=replace(scene().link, condition="connecting", since=NOW, heard=0.0))
    assert send(fresh, Pressed("5"), Ticked(NOW + 0.9, WALL)).view.screen == "queues"
    assert send(fresh, Pressed(":"), Pressed("j"), Ticked(NOW + 0.9, WALL)).prompt is not None


def test_other_servers_can_be_looked_at_from_the_launcher() -> None:
    state = send(away(), *map(Pressed, (":", *"ctx", "space", *"prod")))
    assert update(state, Pressed("enter"))[1] == (Connect("https://observatory.example", "prod"),)


@pytest.mark.parametrize(("line", "stage"), [
    (LINES[0], Staged("tools", "done", 0.4, "docker 27.1")), (LINES[1], None), ("[1]", None), ('{"stage": 1, "state": "done"}', None),
    ('{"stage": "x", "state": "done", "seconds": null}', Staged("x", "done", None, "")),
])  # fmt: skip
def test_stages_are_read_from_lines_of_json(line: str, stage: Staged | None) -> None:
    assert stage_of(line.encode()) == stage


# ---- the real program -------------------------------------------------------------------------------------------


def tools(folder: Path, up: str) -> str:
    """A PATH whose `make` does as `up` says, in place of some minutes and several GB."""
    for name, script in {"docker": "", "kind": "", "kubectl": "", "make": up}.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_a_cluster_that_fails_tells_its_stages_and_why(tmp_path: Path) -> None:
    echo = "\n".join(f"echo '{line}'" for line in LINES)
    failed = '{"stage": "cluster", "state": "failed", "seconds": 3.0, "message": "no such image"}'
    path = tools(tmp_path, f"echo \"$@\" > {tmp_path}/arguments\n{echo}\necho '{failed}'\nexit 1")
    url = f"http://127.0.0.1:{free_port()}"
    with terminal(CONSOLE, OBSERVATORY_URL=url, OBSERVATORY_DATA=str(tmp_path / "data"), XDG_CONFIG_HOME=str(tmp_path), PATH=path) as screen:
        screen.until("stages are shown here")
        screen.press("C")
        screen.until("Start a cluster on this machine")
        screen.press("y")
        screen.until("It did not start")
        assert "docker 27.1" in screen.text
        assert "cluster: no such image" in screen.text
        assert (tmp_path / "arguments").read_text().split() == ["-s", "up", "ARGS=--json"]


def test_a_cluster_goes_on_when_the_console_is_left_and_is_named(tmp_path: Path) -> None:
    path = tools(tmp_path, f"echo '{LINES[0]}'\nexec sleep 600")
    url = f"http://127.0.0.1:{free_port()}"
    with terminal(CONSOLE, OBSERVATORY_URL=url, OBSERVATORY_DATA=str(tmp_path / "data"), XDG_CONFIG_HOME=str(tmp_path), PATH=path) as screen:
        screen.until("stages are shown here")
        screen.press("C", "y")
        screen.until("docker 27.1")
        screen.press("q")
        assert screen.ended() == 0
        said = screen.sent.rpartition(b"?1049l")[2].decode()
    assert "make up goes on" in said
    process = read_process(int(said.partition("process ")[2].partition(".")[0]))
    assert process is not None and process.is_alive
    process.signal(signal.SIGTERM)
    wait_until(lambda: not process.is_alive)


def test_l_starts_a_system_that_goes_on_when_the_console_is_left(tmp_path: Path) -> None:
    url, data = f"http://127.0.0.1:{free_port()}", tmp_path / "data"
    with terminal(CONSOLE, OBSERVATORY_URL=url, OBSERVATORY_DATA=str(data), XDG_CONFIG_HOME=str(tmp_path)) as screen:
        screen.until("connection refused")
        assert "given by OBSERVATORY_URL" in screen.text
        screen.press("L")
        screen.until("live")
        screen.press("q")
        assert screen.ended() == 0
        said = screen.sent.rpartition(b"?1049l")[2].decode()
        assert "goes on" in said and url in said
    process = read_process(int(said.partition("process ")[2].partition(",")[0]))
    assert process is not None and process.is_alive
    process.signal(signal.SIGTERM)
    wait_until(lambda: not process.is_alive, 60)


def test_a_system_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    url = f"http://127.0.0.1:{free_port()}"
    with terminal(CONSOLE, OBSERVATORY_URL=url, OBSERVATORY_DATA=str(tmp_path / "data"), XDG_CONFIG_HOME=str(tmp_path)) as screen:
        screen.until("connection refused")
        began = time.monotonic()
        screen.press("L")
        screen.until("It did not start")
        assert time.monotonic() - began < 30
