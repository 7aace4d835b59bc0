"""`make run PROFILE=servers`: the same system as several processes, used as a person uses it."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from eventing.brokers.rabbitmq.topology import Topology
from eventing.triggers import load_triggers
from tests.flows.test_dead_letters import wish
from tests.support.postgres import Databases
from tests.support.processes_system import SETTINGS, ProcessesSystem, delete_queues
from tests.support.servers import server_url
from tests.support.system import ROOT, System
from tests.support.waiting import wait_until
from tests.support.webhook import Webhook, lead_to, listening


@pytest.fixture(scope="module")
def hooks() -> Iterator[list[Webhook]]:
    with listening(503, 204) as found:
        yield found


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, postgres_databases: Databases, hooks: list[Webhook]) -> Iterator[ProcessesSystem]:
    path = tmp_path_factory.mktemp("processes")
    triggers = path / "triggers"
    for name, hook in zip(("broken", "sound"), hooks, strict=True):
        lead_to(triggers, name, hook)
    settings = SETTINGS | {
        "OBSERVATORY_POSTGRES_URL": postgres_databases.make(), "OBSERVATORY_REDIS_URL": server_url("redis"),
        "OBSERVATORY_RABBITMQ_URL": server_url("rabbitmq"), "OBSERVATORY_TRIGGERS": str(triggers),
    }  # fmt: skip
    try:
        with ProcessesSystem(path / "data", **settings) as started:
            yield started
    finally:
        delete_queues(server_url("rabbitmq"), [*load_triggers(), *load_triggers([triggers])])


servers = pytest.mark.servers


@servers
def test_a_job_goes_through_the_processes_and_every_screen_agrees(system: ProcessesSystem) -> None:
    answer = system.request("POST", "/v1/jobs?wait=20", {"type": "text.statistics", "payload": {"text": "to be or not to be"}})
    assert answer.status == 200 and answer.json()["result"]["words"] == 6
    job = system.job(answer.json()["id"])
    assert job["status"] == "succeeded"
    events = system.request("GET", f"/v1/jobs/{job['id']}/events").json()["items"]
    assert [event["type"].split(".")[-2] for event in events] == ["accepted", "queued", "started", "succeeded"]
    wait_until(lambda: system.request("GET", "/v1/stats").json()["lag"] == 0)
    functions = {item["name"]: item for item in system.request("GET", "/v1/functions").json()["items"]}
    instances = {instance["instance"].partition("/")[2] for item in functions.values() for instance in item["instances"]}
    assert instances >= {"front", "processor", "metrics-engine", "scheduler", "dead-letter"}


@servers
def test_jobs_are_found_by_payload_and_error(system: ProcessesSystem) -> None:
    lost = system.submit("demo.fail", {"times": 9}, max_attempts=1)
    kept = system.submit("text.statistics", {"text": "a very peculiar word"})
    assert (system.ended(lost)["status"], system.ended(kept)["status"]) == ("failed", "succeeded")
    for query, job in (("error:failing", lost), ("payload.times:9", lost), ("peculiar", kept), ("type:text.statistics%20peculiar", kept)):
        found = system.request("GET", f"/v1/jobs?q={query}")
        assert found.status == 200, found.body
        assert [item["id"] for item in found.json()["items"]] == [job], query


@servers
def test_what_is_due_later_starts_when_it_is_due(system: ProcessesSystem) -> None:
    began = time.monotonic()
    job = system.submit("demo.noop", {}, delay_seconds=1)
    assert system.ended(job)["status"] == "succeeded"
    assert 1.0 <= time.monotonic() - began < 15


@servers
def test_a_schedule_fires(system: ProcessesSystem) -> None:
    template = {"type": "demo.noop", "payload": {}}
    assert system.request("PUT", "/v1/schedules/soon", {"every_seconds": 1, "template": template}).status in (200, 201)
    wait_until(lambda: system.request("GET", "/v1/schedules/soon").json()["last_job_id"])
    assert system.request("DELETE", "/v1/schedules/soon").status in (200, 204)


@servers
def test_a_running_job_is_cancelled_in_another_process(system: ProcessesSystem) -> None:
    job = system.submit("demo.sleep", {"seconds": 60})
    wait_until(lambda: system.job(job)["status"] == "running")
    assert system.request("POST", f"/v1/jobs/{job}/cancel", {"reason": "enough"}).status == 202
    assert system.ended(job)["status"] == "cancelled"


def kept(system: ProcessesSystem, event_id: str) -> Any:
    """An event's dead letter, once it is there; those of the tests before may come late."""
    return wait_until(lambda: [each for each in system.request("GET", "/v1/dead-letters?status=kept").json()["items"] if each["event_id"] == event_id])[0]


@servers
def test_webhooks_are_called_and_a_dead_letter_is_replayed_to_its_trigger_alone(system: ProcessesSystem, hooks: list[Webhook]) -> None:
    broken, sound = hooks
    for letter in system.request("GET", "/v1/dead-letters?status=kept").json()["items"]:
        wish(system, letter, "discard", {"reason": "of the tests before"})
    job = system.submit("text.statistics", {"text": "to be"})
    (event,) = wait_until(lambda: [event for event in sound.taken if event["subject"] == f"job/{job}"])
    letter = kept(system, event["id"])
    assert (letter["trigger"], letter["attempts"]) == ("broken", 2)
    broken.status = 204
    answer = wish(system, letter, "replay", {"reason": "it is mended"})
    assert answer.status == 202 and answer.json()["status"] == "replayed"
    for hook in hooks:  # each once; what the tests before left under way may come in between
        assert [event["subject"] for event in hook.taken].count(f"job/{job}") == 1


@servers
def test_many_letters_are_replayed_once_each_though_every_process_could(system: ProcessesSystem, hooks: list[Webhook]) -> None:
    broken, many = hooks[0], 30
    broken.status = 503
    jobs = [item["id"] for item in system.request("POST", "/v1/jobs/batch", {"jobs": [{"type": "demo.noop", "payload": {}}] * many}).json()["items"]]
    subjects = {f"job/{job}" for job in jobs}
    letters = wait_until(lambda: found if len(found := of_subjects(system, subjects)) == many else None, 60)
    broken.status, broken.seconds = 204, 0.1  # so that it goes on over some ticks
    begun = len(broken.taken)
    answer = system.request("POST", "/v1/bulk", {"action": "replay", "q": " OR ".join(f"id:{letter['id']}" for letter in letters)}).json()
    done = wait_until(lambda: found if (found := system.request("GET", answer["url"]).json())["status"] == "finished" else None, 60)
    broken.seconds = 0.0
    assert done["outcomes"] == {"done": many}
    assert sorted(event["subject"] for event in broken.taken[begun:] if event["subject"] in subjects) == sorted(subjects)


def of_subjects(system: System, subjects: set[str]) -> list[Any]:
    """The letters that are kept of these jobs' ends."""
    items = system.request("GET", "/v1/dead-letters?status=kept&limit=200").json()["items"]
    return [letter for letter in items if letter["event_id"].rpartition("/")[0] in subjects and letter["trigger"] == "broken"]


@servers
def test_a_message_that_is_no_event_is_a_dead_letter_and_one_for_the_processor_is_replayed_by_http(system: ProcessesSystem) -> None:
    put(Topology(load_triggers()).queue(load_triggers()[0]), b"no event", "text/plain")
    letter = kept(system, f"sha256:{hashlib.sha256(b'no event').hexdigest()}")
    assert (letter["trigger"], letter["bytes"]) == ("processor-default", 8)
    event = next(item for item in system.request("GET", "/v1/events?limit=100").json()["items"] if item["type"].endswith("job.queued.v1"))
    answer = wish(system, letter, "replay", {"event": event, "reason": "what was meant"})
    assert answer.status == 202, answer.body
    assert answer.json()["outcome"] == "delivered (200)"


def put(queue: str, body: bytes, content_type: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(server_url("rabbitmq")))
    connection.channel().basic_publish("", queue, body, pika.BasicProperties(content_type=content_type, delivery_mode=2))
    connection.close()


@servers
def test_each_process_tells_its_health_on_an_address_of_its_own(system: ProcessesSystem) -> None:
    from urllib.request import urlopen

    addresses = [line.split("=", 1)[1] for process in system.processes() for line in environment_of(process.pid) if "SUBSCRIBERS" in line]
    assert len(set(addresses)) == 1
    for address in {pair.split("=", 1)[1] for pair in addresses[0].split(",")}:
        with urlopen(f"{address}/health/readiness", timeout=10) as answer:
            assert answer.status == 200


def environment_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


@servers
def test_a_front_that_is_killed_refuses_no_connection(system: ProcessesSystem) -> None:
    """The supervisor holds the port: requests wait for the next front instead."""
    (front,) = system.processes("front")
    front.signal(signal.SIGKILL)
    wait_until(lambda: not front.is_alive)
    assert system.request("GET", "/health/readiness").status == 200
    assert "front ended (killed by SIGKILL) and starts again" in system.said()


@servers
def test_a_stop_lets_running_jobs_end_and_the_next_start_goes_on(system: ProcessesSystem) -> None:
    running, waiting = system.submit("demo.sleep", {"seconds": 1.5}), system.submit("demo.noop", {}, delay_seconds=3)
    wait_until(lambda: system.job(running)["status"] == "running")
    assert system.stop() == 0
    system.start()
    assert system.job(running)["status"] == "succeeded" and system.job(running)["attempt"] == 1
    assert system.ended(waiting)["status"] == "succeeded"
    assert "Traceback" not in system.said()


@servers
def test_a_second_one_on_the_same_folder_says_that_one_runs(system: ProcessesSystem) -> None:
    said = started(OBSERVATORY_DATA=str(system.data), **dict.fromkeys(("OBSERVATORY_RABBITMQ_URL",), "amqp://x"), **servers_named())
    assert said.returncode == 0 and said.stdout.startswith(f"Already running: process {system.process.pid}, {system.url}")  # type: ignore[union-attr]


# ---- what cannot start ------------------------------------------------------------------------------------------


def servers_named() -> dict[str, str]:
    return {"OBSERVATORY_POSTGRES_URL": "postgresql://localhost:1/x", "OBSERVATORY_REDIS_URL": "redis://localhost:1/0"}


def started(**environment: str) -> "subprocess.CompletedProcess[str]":
    """What it says when it is started so and ends by itself."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("OBSERVATORY_")} | environment
    command = [sys.executable, "-m", "functions.runtime.processes"]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_without_servers_it_says_which_are_missing_and_how_to_get_them(tmp_path: Path) -> None:
    said = started(OBSERVATORY_DATA=str(tmp_path))
    assert said.returncode == 1 and "Traceback" not in said.stderr
    assert "OBSERVATORY_POSTGRES_URL, OBSERVATORY_REDIS_URL, OBSERVATORY_RABBITMQ_URL" in said.stderr and "make servers" in said.stderr


def test_a_port_that_is_held_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        said = started(OBSERVATORY_DATA=str(tmp_path), OBSERVATORY_PORT=port, OBSERVATORY_RABBITMQ_URL="amqp://localhost:1", **servers_named())
    assert said.returncode == 1 and f"port {port}" in said.stderr and "OBSERVATORY_PORT" in said.stderr


def test_a_url_that_is_none_ends_everything_with_a_sentence(tmp_path: Path) -> None:
    said = started(OBSERVATORY_DATA=str(tmp_path), OBSERVATORY_PORT="0", OBSERVATORY_RABBITMQ_URL="rabbit", **servers_named())
    assert said.returncode == 1 and "OBSERVATORY_RABBITMQ_URL" in said.stderr and "Traceback" not in said.stderr


def test_while_its_stores_are_away_it_answers_503_and_says_which(tmp_path: Path) -> None:
    settings = servers_named() | {"OBSERVATORY_RABBITMQ_URL": "amqp://localhost:1"}
    system = ProcessesSystem(tmp_path / "data", **settings)
    system.start(wait=False)
    try:
        wait_until(lambda: System._own_url(system), 30)
        system.url = str(System._own_url(system))
        answer = wait_until(lambda: found if (found := asked(system)) is not None and found.status == 503 else None, 60)
        assert answer.headers["retry-after"] and answer.json()["type"].endswith("store-unavailable")
        wait_until(lambda: "not ready yet: the job store does not answer" in system.said(), 30)
        assert system.stop() == 0
        assert "Traceback" not in system.said()
    finally:
        system.kill()


def asked(system: System) -> Any:
    try:
        return system.request("POST", "/v1/jobs", {"type": "demo.noop", "payload": {}})
    except (OSError, json.JSONDecodeError):
        return None
