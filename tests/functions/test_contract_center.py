"""The contract centre over the running system: refusals with samples, differences, and schemas that are tried out."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ContractViolation, Overloaded
from functions.read_model import contract_list
from functions.read_model.trials import Trials
from tests.support.system import ROOT, System, running_system
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("contracts") / "data"
    with running_system(folder, OBSERVATORY_TASKS="tests.functions.contract_tasks", PYTHONPATH=str(ROOT)) as started:
        jobs = [{"type": "text.statistics", "payload": {"text": "x" * n}} for n in range(300)]
        jobs += [{"type": "contract.secret", "payload": {"password": f"hidden-{n}", "n": n}} for n in range(20)]
        assert started.request("POST", "/v1/jobs/batch", {"jobs": jobs}).status == 200
        yield started


def check(system: System, name: str, schema: Any, **more: Any) -> Any:
    answer = system.request("POST", "/v1/contracts/check", {"name": name, "schema": schema, **more})
    assert answer.status == 200, answer.body
    return answer.json()


LONG = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 85}}}


def test_it_says_how_many_of_the_last_a_schema_would_refuse(system: System) -> None:
    found = check(system, "text.statistics", LONG)
    assert (found["kind"], found["checked"], found["complete"], found["refused"]) == ("task", 300, True, 214)
    assert found["words"] == "This schema would refuse 214 of the last 300 payloads."
    assert found["faults"] == [{"pointer": "/text", "detail": "must have 85 or fewer characters", "count": 214}]
    newest = found["examples"][0]
    assert len(found["examples"]) == 10 and newest["url"] == f"/v1/jobs/{newest['job']}"
    assert system.job(newest["job"])["payload"] == {"text": "x" * 299}
    assert check(system, "text.statistics", LONG, last=100) | {"examples": []} == found | {
        "checked": 100, "refused": 100, "words": "This schema would refuse 100 of the last 100 payloads.",
        "faults": [{**found["faults"][0], "count": 100}], "examples": []}  # fmt: skip


def test_the_present_schema_takes_what_was_taken(system: System) -> None:
    present = system.request("GET", "/v1/contracts/text.statistics").json()
    found = check(system, "text.statistics", present)
    assert (found["refused"], found["same_as_now"]) == (0, True)
    assert found["words"] == "This schema takes all of the last 300 payloads."


def test_events_and_jobs_are_tried_by_their_own_schemas(system: System) -> None:
    for name in ("job.accepted", "dev.observatory.job.accepted.v1"):
        found = check(system, name, {"required": ["colour"]}, last=7)
        assert (found["kind"], found["checked"], found["refused"]) == ("event", 7, 7)
        assert found["examples"][0]["event"].startswith("job/")
    assert check(system, "job.accepted", system.request("GET", "/v1/contracts/job.accepted").json(), last=300)["refused"] == 0
    assert check(system, "job", system.request("GET", "/v1/contracts/job").json(), last=300)["refused"] == 0
    assert check(system, "schedule.fired", {"type": "string"})["words"] == "There is no event to hold this schema against."


def test_secrets_are_neither_shown_nor_asked_for(system: System) -> None:
    for pattern in ("^hidden", "^other"):
        schema = {"type": "object", "properties": {"password": {"type": "string", "pattern": pattern}, "n": {"type": "integer", "maximum": 4}}}
        found = check(system, "contract.secret", schema)
        assert (found["checked"], found["refused"]) == (20, 15)
        assert {fault["pointer"] for fault in found["faults"]} == {"/n"}
        assert "hidden" not in str(found)
        events = check(system, "job.accepted", {"type": "object", "properties": {"payload": {"properties": {"password": {"pattern": pattern}}}}}, last=20)
        assert events["refused"] == 0 and "hidden" not in str(events)


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [({"name": "none", "schema": {}}, "/name"), ({"name": "job.requested", "schema": {}}, "/name"), ({"name": "job-request", "schema": {}}, "/name"),
     ({"name": "demo.noop"}, "/schema"), ({"name": "demo.noop", "schema": []}, "/schema"), ({"name": "demo.noop", "schema": {}, "last": 0}, "/last"),
     ({"name": "demo.noop", "schema": {}, "last": 10_001}, "/last"), ({"name": "demo.noop", "schema": {}, "odd": 1}, "/odd"),
     ({"name": "text.statistics", "schema": {"type": "strin"}}, "/schema"), ({"name": "text.statistics", "schema": {"$ref": "http://a.example"}}, "/schema"),
     ({"name": "text.statistics", "schema": {"$ref": "file:///etc/passwd"}}, "/schema")],
)  # fmt: skip
def test_what_cannot_be_tried_is_refused_in_words(system: System, wish: Any, pointer: str) -> None:
    answer = system.request("POST", "/v1/contracts/check", wish)
    assert answer.status == 422
    assert [fault["pointer"] for fault in answer.json()["faults"]] == [pointer]


def bomb(depth: int) -> dict[str, Any]:
    """A schema that means the same twice at each level: 2 to the depth in all."""
    levels = {f"l{n}": {"allOf": [{"$ref": f"#/$defs/l{n + 1}"}, {"$ref": f"#/$defs/l{n + 1}", "minProperties": 0}]} for n in range(depth)}
    return {"$ref": "#/$defs/l0", "$defs": {**levels, f"l{depth}": {"type": "object"}}}


async def test_a_schema_that_takes_for_ever_is_given_up() -> None:
    with pytest.raises(ContractViolation) as refused:
        await Trials(seconds=1.5).run(bomb(40), [{"a": 1}] * 50)
    assert "take too long" in refused.value.faults[0].message


async def test_a_schema_that_ends_its_process_harms_nobody_else(system: System) -> None:
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"properties": {"a": deep}}
    answer = system.request("POST", "/v1/contracts/check", {"name": "text.statistics", "schema": deep})
    assert answer.status in (200, 400, 422)
    assert system.request("GET", "/health/readiness").status == 200


async def test_one_schema_is_tried_at_a_time() -> None:
    trials = Trials()
    first = asyncio.create_task(trials.run({}, [{}]))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await trials.run({}, [{}])
    assert (await first)["refused"] == 0
    assert (await trials.run({}, [{}]))["refused"] == 0


# ---- what is listed -----------------------------------------------------------------------------------------------


def test_refusals_are_counted_and_shown_redacted(system: System) -> None:
    assert system.request("POST", "/v1/jobs", {"type": "contract.secret", "payload": {"password": "hidden-too", "n": "x"}}).status == 422
    assert system.request("POST", "/v1/jobs", {"type": "demo.noop", "payload": {"odd": 1}}).status == 422
    assert system.request("POST", "/v1/jobs", {"type": "nobody.knows", "payload": {}}).status == 422
    (refusal,) = wait_until(lambda: system.request("GET", "/v1/contracts?type=contract.secret").json()["refusals"])
    assert (refusal["type"], refusal["reason"], refusal["count"]) == ("contract.secret", "contract-violation", 1)
    assert "hidden" not in str(refusal) and len(refusal["samples"]) == 1
    every = wait_until(lambda: found if len(found := system.request("GET", "/v1/contracts").json()["refusals"]) == 3 else None)
    assert {each["type"] for each in every} == {"contract.secret", "demo.noop", "unknown"}
    assert [each["type"] for each in system.request("GET", "/v1/contracts?type=unknown").json()["refusals"]] == ["unknown"]
    assert system.request("GET", "/v1/contracts?type=%00").json()["refusals"] == []


def test_each_contract_names_its_versions_and_differences(system: System) -> None:
    items = {item["name"]: item for item in system.request("GET", "/v1/contracts").json()["items"]}
    for item in items.values():
        assert item["versions"][-1]["version"] == item["version"]
        assert all(system.request("GET", version["url"]).status == 200 for version in item["versions"])
        assert all(difference["breaks"] == [] for difference in item["differences"])
    assert items["contract.secret"]["differences"] == []


def test_a_change_since_the_release_is_told_with_what_it_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    from contracts import governance, schema_files

    def narrowed(name: str) -> dict[str, Any]:
        return {**real(name), "required": [*real(name).get("required", ()), "queue"]} if name == "job-request" else real(name)

    real = schema_files.schema
    monkeypatch.setattr(schema_files, "schema", narrowed)
    monkeypatch.setattr(governance, "taken_away", lambda name: [governance.Finding(name, "", "needs 'queue' now")])
    contract_list._differences.cache_clear()
    try:
        (difference,) = contract_list._document("job-request")["differences"]
    finally:
        contract_list._differences.cache_clear()
    assert (difference["between"], difference["count"], difference["breaks"]) == ("released to present", 1, ["the document needs 'queue' now"])
    assert difference["changes"][0]["pointer"] == "/required"


def test_the_files_of_released_schemas_are_there() -> None:
    assert (ROOT / "contracts" / "released" / "schemas" / "job.json").exists()
    assert Path(ROOT / "contracts" / "released" / "consumers.json").exists()
