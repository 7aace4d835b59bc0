"""Once keys are set: nothing is answered without one but the probes, and each operation asks for its role."""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.access import ROLES, Role
from functions.dead_letter.web import ROUTES as DEAD_LETTER
from functions.gateway.web import ROUTES as GATEWAY
from functions.read_model.web import ROUTES as READ_MODEL
from functions.runtime.entrypoint import COMMON_ROUTES
from functions.runtime.http import Route
from tests.support.keys import KEYS, SETTING, bearer
from tests.support.system import Answer, System, running_system

PROBES = {"/health/liveness", "/health/readiness"}
OPERATIONS = [*GATEWAY, *DEAD_LETTER, *READ_MODEL]
NOBODY = "01943a9e-1f2c-7a6b-8d3e-5f4c3b2a1d0e"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("keyed") / "data", OBSERVATORY_API_KEYS=SETTING) as system:
        yield system


def ask(system: System, route: Route, headers: dict[str, str]) -> Answer:
    """The operation with a made-up address and no useful body."""
    path = "/".join(NOBODY if segment.startswith("{") else segment for segment in route.path.split("/"))
    method = "HEAD" if route.path == "/v1/stream" else route.method  # a stream has no end
    return system.request(method, path, b"{}" if method == "POST" else None, {"content-type": "application/json", **headers})


@pytest.mark.parametrize("route", OPERATIONS, ids=lambda route: f"{route.method} {route.path}")
def test_every_operation_refuses_who_has_no_key_or_too_low_a_role(keyed: System, route: Route) -> None:
    assert route.needs is not None
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic YTpi"}, {"authorization": f"Bearer {KEYS['operate']}x"}):
        answer = ask(keyed, route, headers)
        assert (answer.status, answer.headers["www-authenticate"][:6]) == (401, "Bearer"), headers
        assert route.path == "/v1/stream" or "Authorization: Bearer KEY" in answer.json()["detail"]
    for role, needed in ROLES.items():
        status = ask(keyed, route, bearer(role)).status
        assert status == 403 if needed < route.needs else status not in (401, 403), (role, status)


def test_what_changes_anything_asks_for_more_than_to_look() -> None:
    looking = {(route.method, route.path) for route in OPERATIONS if route.needs == Role.READ and route.method not in ("GET", "HEAD")}
    assert looking == {("POST", "/v1/contracts/check")}  # it takes a schema along, and keeps nothing


def test_the_data_is_its_owners_alone(keyed: System) -> None:
    assert keyed.data.stat().st_mode & 0o077 == 0


def test_the_description_says_for_each_operation_what_it_needs(keyed: System) -> None:
    document = keyed.request("GET", "/openapi.json", headers=bearer("read")).json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    declared = {(route.method, route.path): route.needs for route in (*GATEWAY, *DEAD_LETTER, *READ_MODEL)}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path in PROBES:
                assert operation["security"] == []
                continue
            needs = declared.pop((method.upper(), path), None)
            assert needs is None or operation["security"] == [{"key": [needs.word]}]
            assert {"401", "403"} <= operation["responses"].keys(), path
    assert not declared


def test_probes_are_open_and_tell_nothing(keyed: System) -> None:
    assert {route.path for route in COMMON_ROUTES if route.needs is None} == PROBES
    assert [keyed.request("GET", path).json() for path in sorted(PROBES)] == [{"status": "alive"}, {"status": "ready"}]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/no/such"), ("DELETE", "/v1/jobs"), ("GET", "/favicon.ico"), ("OPTIONS", "/"), ("GET", "/v1/jobs/%2e%2e/x")]
)
def test_strangers_do_not_learn_what_there_is(keyed: System, method: str, path: str) -> None:
    assert keyed.request(method, path).status == 401


def test_two_keys_in_one_request_are_none(keyed: System) -> None:
    import http.client
    from urllib.parse import urlsplit

    connection = http.client.HTTPConnection(urlsplit(keyed.url).netloc, timeout=10)
    connection.putrequest("GET", "/v1/jobs")
    for role in ("read", "operate"):
        connection.putheader("Authorization", bearer(role)["authorization"])
    connection.endheaders()
    assert connection.getresponse().status == 400
    connection.close()


def test_the_name_of_the_key_is_the_actor_in_the_log(keyed: System) -> None:
    job = keyed.request("POST", "/v1/jobs", {"type": "demo.noop", "payload": {}, "delay_seconds": 3600}, bearer("submit")).json()["id"]
    assert keyed.request("POST", f"/v1/jobs/{job}/cancel", headers=bearer("operate")).status == 202
    events = keyed.request("GET", f"/v1/jobs/{job}/events", headers=bearer("read")).json()["items"]
    assert [(event["type"].split(".")[3], event["actor"]) for event in events] == [
        ("accepted", "the-submit-key"), ("scheduled", "the-submit-key"), ("cancelled", "the-operate-key")
    ]  # fmt: skip
    text = json.dumps(events) + keyed.said()
    assert not any(key in text for key in KEYS.values())


def test_no_key_is_ever_in_an_answer_or_a_log(keyed: System) -> None:
    odd = [f"/v1/jobs?key={KEYS['operate']}", "/v1/jobs?limit=x", "/no/such", "/v1/jobs/x"]
    answers: list[Any] = [keyed.request("GET", path, headers=bearer(role)) for path in odd[1:] for role in KEYS]
    assert not any(key.encode() in answer.body for key in KEYS.values() for answer in answers)
    assert keyed.request("GET", odd[0]).status == 401  # a key in the address opens nothing
    assert not any(key in keyed.said() for key in KEYS.values())


def test_metrics_are_opened_by_a_setting_of_their_own(keyed: System, tmp_path: Any) -> None:
    assert keyed.request("GET", "/metrics").status == 401
    assert keyed.request("GET", "/metrics", headers=bearer("read")).status == 200
    with running_system(tmp_path / "data", OBSERVATORY_API_KEYS=SETTING, OBSERVATORY_METRICS_ACCESS="open") as system:
        assert system.request("GET", "/metrics").status == 200
        assert system.request("GET", "/v1/stats").status == 401


def test_a_browser_is_asked_for_the_key_by_a_page_that_tells_nothing(keyed: System) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    pages = [keyed.request("GET", path, headers=browser) for path in ("/", "/v1/jobs", "/no/such")]
    assert {page.status for page in pages} == {401} and len({page.body for page in pages}) == 1
    page = pages[0]
    assert page.headers["content-type"].startswith("text/html") and page.headers["www-authenticate"].startswith("Bearer")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and page.headers["cache-control"] == "no-store"
    for element, source in (("script", "script-src"), ("style", "style-src")):
        text = page.body.decode().partition(f"<{element}>")[2].partition(f"</{element}>")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{source} 'sha256-{digest}'" in policy
    assert keyed.request("GET", "/", headers={**browser, **bearer("read")}).status == 200
