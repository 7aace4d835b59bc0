"""The supervisor's parts: who runs, what is printed, what happens to a process that can never run."""

import asyncio
import os
import socket

import pytest

from contracts.errors import ConfigurationError
from functions.runtime import settings as settings_module
from functions.runtime.processes.output import LONGEST, Lines, prefixes
from functions.runtime.processes.roster import Entry, addresses, roster, workers_each
from functions.runtime.processes.supervisor import Child, Supervisor
from functions.runtime.processes.telling import banner

URLS = {
    "OBSERVATORY_POSTGRES_URL": "postgresql://ada:secret@db:5432/jobs", "OBSERVATORY_REDIS_URL": "redis://:secret@cache:6379/0",
    "OBSERVATORY_RABBITMQ_URL": "amqps://ada:secret@queue:5671/jobs",
}  # fmt: skip


def settings(**more: str):
    return settings_module.load(URLS | {f"OBSERVATORY_{name.upper()}": value for name, value in more.items()})


def test_the_roster_has_each_function_once_and_as_many_processors_and_fronts_as_are_wished() -> None:
    assert [entry.name for entry in roster(settings())] == ["front", "processor", "metrics-engine", "scheduler", "dead-letter"]
    many = roster(settings(processors="3", fronts="2"))
    assert [entry.name for entry in many][:5] == ["front-1", "front-2", "processor-1", "processor-2", "processor-3"]
    assert {entry.role for entry in many if entry.ends == 0} == {"front", "processor"}  # those who commit end first


def test_a_server_that_no_setting_names_is_told_with_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"needs OBSERVATORY_REDIS_URL, OBSERVATORY_RABBITMQ_URL: .*make servers"):
        roster(settings_module.load({"OBSERVATORY_POSTGRES_URL": "postgresql://db/jobs"}))


def test_processors_share_the_workers_that_were_not_asked_for() -> None:
    all_of_them = settings().worker_count
    assert workers_each(settings(processors="2")) == max(all_of_them // 2, 1)
    assert workers_each(settings(processors="100")) == 1
    assert workers_each(settings(processors="2", workers="7")) == 7


def test_functions_are_reached_by_the_port_of_their_role() -> None:
    text = addresses({"processor": 1, "metrics-engine": 2}, ["processor", "processor-io", "metrics-engine", "", "nobody"])
    assert settings_module.load({"OBSERVATORY_SUBSCRIBERS": text}).subscriber_urls == {
        "processor": "http://127.0.0.1:1", "processor-io": "http://127.0.0.1:1", "metrics-engine": "http://127.0.0.1:2"
    }  # fmt: skip
    with pytest.raises(ConfigurationError, match="OBSERVATORY_SUBSCRIBERS"):
        settings_module.load({"OBSERVATORY_SUBSCRIBERS": "processor"})


def test_what_processes_say_comes_in_whole_lines_behind_their_names() -> None:
    said: list[str] = []
    column = prefixes(["front", "processor-1"])
    lines = Lines(column["front"], said.append)
    for piece in (b"one\ntw", b"", b"o\nthree \xff", b"\n\nlast"):
        lines.feed(piece)
    lines.end()
    lines.end()
    assert "".join(said) == "".join(f"front        {line}\n" for line in ("one", "two", "three \ufffd", "", "last"))
    assert column["processor-1"] == "processor-1  "


def test_a_line_that_never_ends_is_cut() -> None:
    said: list[str] = []
    lines = Lines("", said.append)
    for _ in range(5):
        lines.feed(b"x" * LONGEST)
    assert len("".join(said)) >= 4 * LONGEST and len(lines._rest) <= LONGEST


def test_the_banner_shows_where_everything_is_and_no_password() -> None:
    found = settings()
    text = banner(found, "http://127.0.0.1:8080", roster(found), {"processor": 9001}, 1.5)
    assert "queue:5671/jobs" in text and "db:5432/jobs" in text and "processor :9001" in text and "event log" not in text
    assert "secret" not in text


async def test_a_process_that_can_never_run_ends_all_and_says_why() -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        environment = dict(os.environ) | URLS | {"OBSERVATORY_TICK_SECONDS": "soon"}
        entry = Entry("scheduler", "scheduler", 1)
        supervisor = Supervisor([Child(entry, listener, environment, Lines("scheduler  ", said.append))], 1.0, said.append)
        async with asyncio.timeout(60):
            assert await supervisor.run() == 1
    assert "scheduler  error: OBSERVATORY_TICK_SECONDS='soon' is not a number" in "".join(said)
    assert supervisor.children[0].starts == 1
