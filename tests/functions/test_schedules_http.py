"""Schedules over HTTP on the running system: every operation, every refusal, and what nobody may see."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts import validation
from tests.support.system import Answer, System, running_system
from tests.support.waiting import wait_until

NOOP = {"type": "demo.noop", "payload": {}}
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def secretive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("secretive") / "data", OBSERVATORY_TASKS="tests.functions.scheduled_tasks") as system:
        yield system


def fresh() -> str:
    return f"s-{uuid.uuid4().hex[:10]}"


def put(system: System, name: str, **parts: Any) -> Answer:
    document = {"template": NOOP, **({} if {"cron", "every_seconds"} & parts.keys() else {"every_seconds": 3_600}), **parts}
    return system.request("PUT", f"/v1/schedules/{name}", document)


def wish(system: System, name: str, what: str, document: Any = None, **headers: str) -> Answer:
    return system.request("POST", f"/v1/schedules/{name}/{what}", document, {key.replace("_", "-"): value for key, value in headers.items()})


def get(system: System, name: str) -> Any:
    return system.request("GET", f"/v1/schedules/{name}").json()


def story(system: System, name: str) -> list[str]:
    items = system.request("GET", f"/v1/events?subject=schedule/{name}").json()["items"]
    return [event["type"].split(".")[3] for event in reversed(items)]


# ---- the whole life ---------------------------------------------------------------------------------------------


def test_a_schedule_is_put_shown_changed_and_deleted(system: System) -> None:
    name = fresh()
    made = put(system, name, cron="30 2 * * *", timezone="Europe/Berlin")
    assert made.status == 201 and made.headers["location"] == f"/v1/schedules/{name}"
    shown = get(system, name)
    validation.validate("schedule", shown)
    assert (shown["in_words"], shown["declared_by"], shown["last_at"]) == ("At 02:30 every day (Europe/Berlin)", "person", None)
    assert len(shown["next_runs"]) == 5 and shown["next_runs"][0] == shown["next_at"]
    assert put(system, name, cron="30 2 * * *", timezone="Europe/Berlin").json()["outcome"] == "unchanged"
    changed = put(system, name, every_seconds=7_200, overlap="queue", misfires="none")
    assert changed.status == 200 and changed.json()["outcome"] == "updated"
    assert get(system, name)["in_words"] == "Every 2 hours"
    assert system.request("DELETE", f"/v1/schedules/{name}").json() == {"name": name, "deleted": True}
    assert system.request("GET", f"/v1/schedules/{name}").status == 404
    assert story(system, name) == ["created", "updated", "deleted"]


def test_it_fires_by_itself(system: System) -> None:
    name = fresh()
    put(system, name, every_seconds=1)
    shown = wait_until(lambda: found if (found := get(system, name))["last_job_status"] == "succeeded" else None)
    job = system.job(shown["last_job_id"])
    assert job["schedule"] == name
    fired = system.request("GET", f"/v1/events?subject=schedule/{name}&type=schedule.fired").json()["items"][-1]
    assert system.request("GET", f"/v1/jobs/{fired['data']['job_id']}/events").json()["items"][0]["causation"] == fired["id"]
    system.request("DELETE", f"/v1/schedules/{name}")


def test_it_is_run_now_once_a_key(system: System) -> None:
    name = fresh()
    put(system, name)
    first, again = wish(system, name, "run", idempotency_key=name), wish(system, name, "run", idempotency_key=name)
    assert (first.status, again.status) == (202, 200) and first.json()["id"] == again.json()["id"]
    done = wish(system, name, "run?wait=20")
    assert done.status == 200 and done.json()["status"] == "succeeded" and done.json()["id"] != first.json()["id"]
    assert get(system, name)["last_job_id"] == done.json()["id"]
    assert system.request("POST", "/v1/jobs", NOOP, {"idempotency-key": name}).status == 409  # the key is a run's


def test_it_is_paused_with_a_reason_and_resumed(system: System) -> None:
    name = fresh()
    put(system, name)
    paused = wish(system, name, "pause", {"reason": "holidays"})
    assert paused.status == 202 and paused.json()["paused"] is True
    shown = get(system, name)
    assert (shown["pause_reason"], shown["next_at"], shown["next_runs"]) == ("holidays", None, [])
    assert wish(system, name, "pause").status == 202  # asking twice is no fault
    assert wish(system, name, "run?wait=20").json()["status"] == "succeeded"  # a person still may
    assert wish(system, name, "resume").json()["next_at"]
    assert story(system, name) == ["created", "paused", "fired", "resumed"]


def test_schedules_are_listed_in_pages_by_name(system: System) -> None:
    prefix = fresh()
    names = [f"{prefix}-{n}" for n in range(5)]
    for name in reversed(names):
        put(system, name)
    found, path = [], "/v1/schedules?limit=2"
    while True:
        page = system.request("GET", path).json()
        found += [item["name"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        path = f"/v1/schedules?limit=2&cursor={page['next_cursor']}"
    assert found == sorted(found)
    assert [name for name in found if name.startswith(prefix)] == names


# ---- refusals ---------------------------------------------------------------------------------------------------


def test_every_fault_of_a_schedule_is_listed_at_once(system: System) -> None:
    name = fresh()
    template = {"type": "demo.sleep", "payload": {"seconds": -1, "odd": 2}, "queue": "nowhere", "run_at": "2030-01-01T00:00:00Z", "timeout_seconds": 86_399}
    answer = put(system, name, cron="61 2 * * *", timezone="Europe/Belin", odd=1, overlap="sometimes", template=template)
    assert answer.status == 422 and answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    validation.validate("problem", problem)
    pointers = {fault["pointer"] for fault in problem["faults"]}
    assert pointers == {
        "/odd", "/overlap", "/cron", "/timezone", "/template/run_at", "/template/payload/odd", "/template/payload/seconds", "/template/queue",
    }  # fmt: skip
    assert system.request("GET", f"/v1/schedules/{name}").status == 404 and story(system, name) == []


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ({"cron": "* * * *"}, "/cron"),
        ({"cron": "0 0 31 2 *"}, "/cron"),
        ({"cron": "x" * 300}, "/cron"),
        ({"cron": "* * * * *", "every_seconds": 5}, ""),
        ({"every_seconds": 5, "timezone": "UTC"}, ""),
        ({"every_seconds": 0.5}, "/every_seconds"),
        ({"every_seconds": "5"}, "/every_seconds"),
        ({"cron": "* * * * *", "timezone": "../../etc/passwd"}, "/timezone"),
        ({"misfires": "some"}, "/misfires"),
        ({"paused": "yes"}, "/paused"),
        ({"template": {"type": "demo.noop"}}, "/template/payload"),
        ({"template": {"type": "no.such", "payload": {}}}, "/template/type"),
        ({"template": {**NOOP, "parent_id": "x"}}, "/template/parent_id"),
        ({"template": {**NOOP, "depends_on": []}}, "/template/depends_on"),
        ({"template": {**NOOP, "idempotency_key": "x"}}, "/template/idempotency_key"),
        ({"template": "demo.noop"}, "/template"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_at_its_place(system: System, parts: dict[str, Any], pointer: str) -> None:
    answer = put(system, fresh(), **parts)
    assert answer.status == 422, answer.body
    assert pointer in {fault["pointer"] for fault in answer.json()["faults"]}


@pytest.mark.parametrize("name", ["Upper", "a%20b", "x" * 101, "-first", "%2e%2e", "a%00b"])
def test_a_name_that_cannot_be_is_refused(system: System, name: str) -> None:
    assert put(system, name).status in (400, 404, 422)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"template": {}, "template": {}}', b"\xff"])
def test_a_body_that_is_no_request_is_refused(system: System, body: bytes) -> None:
    assert system.request("PUT", f"/v1/schedules/{fresh()}", body, JSON).status in (400, 422)


def test_what_is_not_there_is_404_and_other_methods_405(system: System) -> None:
    name = fresh()
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/run"), ("POST", "/pause"), ("POST", "/resume")):
        answer = system.request(method, f"/v1/schedules/{name}{path}")
        assert answer.status == 404 and name in answer.json()["detail"], (method, path)
    assert system.request("PATCH", f"/v1/schedules/{name}").status == 405
    assert system.request("GET", f"/v1/schedules/{name}?odd=1").status == 400
    assert system.request("GET", "/v1/schedules?cursor=odd!").status == 400


def test_a_run_takes_no_reason(system: System) -> None:
    name = fresh()
    put(system, name)
    assert wish(system, name, "run", {"reason": "why not"}).status == 422
    assert wish(system, name, "run?wait=soon").status == 400


# ---- declared in code, and secret -------------------------------------------------------------------------------


def test_what_code_declares_stands_there_and_is_changed_there(secretive: System) -> None:
    shown = get(secretive, "scheduled.secret")
    assert (shown["declared_by"], shown["cron"], shown["timezone"]) == ("code", "30 2 * * *", "Europe/Berlin")
    assert put(secretive, "scheduled.secret").status == 409
    assert secretive.request("DELETE", "/v1/schedules/scheduled.secret").status == 409
    assert wish(secretive, "scheduled.secret", "pause").status == 202
    tasks = {task["type"]: task for task in secretive.request("GET", "/v1/tasks").json()["items"]}
    assert tasks["scheduled.secret"]["cron"] == "30 2 * * *"


def test_no_answer_and_no_event_shows_a_template_s_secret(secretive: System) -> None:
    secret, name = "opensesame", fresh()
    answer = put(secretive, name, template={"type": "scheduled.secret", "payload": {"token": secret, "days": 3}})
    assert answer.status == 201
    refused = put(secretive, fresh(), cron="x", template={"type": "scheduled.secret", "payload": {"token": secret, "days": "x"}})
    job = wish(secretive, name, "run?wait=20").json()
    seen = [
        answer.body, refused.body, secretive.request("GET", f"/v1/schedules/{name}").body, secretive.request("GET", "/v1/schedules").body,
        secretive.request("GET", "/v1/events?limit=500").body, secretive.request("GET", f"/v1/jobs/{job['id']}").body,
        secretive.request("GET", "/v1/tasks").body, secretive.request("GET", "/v1/contracts").body, secretive.said().encode(),
    ]  # fmt: skip
    assert all(secret.encode() not in text and b"s3cr3t" not in text for text in seen)
    assert job["result"] == {"characters": len(secret)}  # the handler got the secret itself


def test_the_mask_of_a_secret_is_not_stored_in_its_place(secretive: System) -> None:
    shown = get(secretive, "scheduled.secret")["template"]
    answer = put(secretive, fresh(), template=shown)
    assert answer.status == 422 and "mask" in answer.json()["faults"][0]["detail"]


def test_a_declared_schedule_follows_its_code_over_restarts(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_system(data, OBSERVATORY_TASKS="tests.functions.scheduled_tasks") as first:
        wait_until(lambda: get(first, "scheduled.often")["last_job_status"] == "succeeded")
        wish(first, "scheduled.secret", "pause", {"reason": "moving"})
    with running_system(data) as second:  # without the tasks, their schedules are gone
        assert [item["name"] for item in second.request("GET", "/v1/schedules").json()["items"]] == []
    with running_system(data, OBSERVATORY_TASKS="tests.functions.scheduled_tasks") as third:
        assert story(third, "scheduled.secret") == ["created", "paused", "deleted", "created"]
        wish(third, "scheduled.secret", "pause")
        third.kill()
    with running_system(data, OBSERVATORY_TASKS="tests.functions.scheduled_tasks") as fourth:
        assert get(fourth, "scheduled.secret")["paused"] is True
