"""Without keys: pages in a browser on this machine get nothing by a made-up name, and change nothing from another site."""

import http.client
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.keys import SETTING, bearer
from tests.support.system import Answer, System, running_system

NOOP = b'{"type": "demo.noop", "payload": {}}'
JSON = {"content-type": "application/json"}
DESK = "https://desk.example.com"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    settings = {"OBSERVATORY_ALLOWED_HOSTS": "jobs.example.com, other.example.com:8443", "OBSERVATORY_CORS_ORIGINS": f"{DESK},http://localhost:5173"}
    with running_system(tmp_path_factory.mktemp("local") / "data", **settings) as system:
        yield system


def send(system: System, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None, *, host: str | None = None) -> Answer:
    """The request with these headers and no others; `host` is by default the address itself, empty: none."""
    address = urlsplit(system.url)
    connection = http.client.HTTPConnection(address.netloc, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if host != "":
            connection.putheader("Host", host or address.netloc)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


# ---- DNS rebinding ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("localhost", True), ("LOCALHOST:8080", True), ("127.0.0.1:1", True), ("[::1]:8080", True), ("app.localhost:3000", True),
        ("jobs.example.com", True), ("jobs.example.com:9999", True), ("Jobs.Example.Com", True), ("other.example.com:8443", True),
        ("other.example.com", False), ("evil.example.com", False), ("127.0.0.1.nip.io", False), ("localhost.evil.example", False),
        ("10.0.0.1", False), ("jobs.example.com.evil.example", False), ("xjobs.example.com", False), ("[::2]", False), ("jobs.example.com@evil", False),
    ],
)  # fmt: skip
def test_only_names_of_this_machine_and_configured_ones_are_served(local: System, host: str, served: bool) -> None:
    for method, path, body in (("GET", "/v1/jobs", None), ("GET", "/", None), ("GET", "/metrics", None), ("GET", "/no/such", None), ("POST", "/v1/jobs", NOOP)):
        answer = send(local, method, path, JSON, body, host=host)
        assert (answer.status != 403) is served, (method, path, answer.body)
        if not served:
            assert answer.json()["type"].endswith(":host-not-served") and "OBSERVATORY_ALLOWED_HOSTS" in answer.json()["detail"]


def test_probes_answer_under_any_name(local: System) -> None:
    assert send(local, "GET", "/health/liveness", {}, host="10.1.2.3:8080").status == 200


def test_a_request_without_a_host_is_malformed(local: System) -> None:
    assert send(local, "GET", "/v1/jobs", {}, host="").status == 400


# ---- other sites ------------------------------------------------------------------------------------------------

FOREIGN = [
    {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": ""}, {"origin": "http://localhost:9999"}, {"origin": f"{DESK}.evil.example"},
    {"origin": f"{DESK}:8443"}, {"origin": "http://desk.example.com"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
]  # fmt: skip
CHANGES = ["/v1/jobs", "/v1/jobs/x/cancel", "/v1/queues/default/pause", "/v1/dead-letters/x/discard", "/"]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("path", CHANGES)
def test_a_page_of_another_site_changes_nothing(local: System, path: str, headers: dict[str, str]) -> None:
    answer = send(local, "POST", path, {**JSON, **headers}, NOOP)
    assert answer.status == 403 and answer.json()["type"].endswith(":foreign-origin")
    assert send(local, "POST", path, headers).status == 403  # a POST with nothing in it is one, too


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "Text/Plain;charset=UTF-8"])
@pytest.mark.parametrize("path", CHANGES)
def test_what_a_form_can_send_changes_nothing(local: System, path: str, kind: str) -> None:
    for body in (NOOP, b""):
        assert send(local, "POST", path, {"content-type": kind}, body).status == 415


def test_the_own_page_and_programs_are_let_in(local: System) -> None:
    own = {"origin": local.url}
    for headers in ({}, own, {"origin": DESK}, {"sec-fetch-site": "same-origin", **own}, {"sec-fetch-site": "none"}):
        assert send(local, "POST", "/v1/jobs", {**JSON, **headers}, NOOP).status == 202, headers
    assert send(local, "POST", "/v1/queues/default/resume", {}).status == 202


# ---- pages of configured origins --------------------------------------------------------------------------------


def preflight(system: System, origin: str, path: str = "/v1/jobs", asked: str = "authorization, content-type, idempotency-key, x-odd, ce-id") -> Answer:
    headers = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": asked}
    return send(system, "OPTIONS", path, headers)


def test_a_configured_origin_passes_the_preflight(local: System) -> None:
    answer = preflight(local, DESK)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == DESK
    assert answer.headers["access-control-allow-headers"] == "authorization, content-type, idempotency-key, ce-id"
    assert "POST" in answer.headers["access-control-allow-methods"] and "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers  # nothing here rests on cookies


def test_another_origin_does_not(local: System) -> None:
    answer = preflight(local, "https://evil.example")
    assert answer.status == 403 and "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/no-such", "/v1/jobs?limit=x", "/no/such"])
def test_answers_and_refusals_are_shown_to_configured_origins_alone(local: System, path: str) -> None:
    shown = send(local, "GET", path, {"origin": DESK}).headers
    assert shown["access-control-allow-origin"] == DESK and "Retry-After" in shown["access-control-expose-headers"]
    assert "access-control-allow-origin" not in send(local, "GET", path, {"origin": "https://evil.example"}).headers
    assert "Origin" in send(local, "GET", path, {}).headers["vary"]  # a shared cache may not mix them up


def test_the_live_stream_is_shown_to_configured_origins(local: System) -> None:
    assert send(local, "HEAD", "/v1/stream", {"origin": DESK}).headers["access-control-allow-origin"] == DESK


def test_with_keys_pages_ask_like_everybody(tmp_path: Path) -> None:
    with running_system(tmp_path / "data", OBSERVATORY_API_KEYS=SETTING, OBSERVATORY_CORS_ORIGINS=DESK) as system:
        assert preflight(system, DESK).status == 204  # a browser sends no key with it
        refused = send(system, "POST", "/v1/jobs", {**JSON, "origin": DESK}, NOOP)
        assert refused.status == 401 and refused.headers["access-control-allow-origin"] == DESK
        assert send(system, "POST", "/v1/jobs", {**JSON, **bearer("submit"), "origin": DESK}, NOOP).status == 202
        assert send(system, "GET", "/v1/jobs", bearer("read"), host="jobs.example.com").status == 200  # the key is what counts


# ---- the network ------------------------------------------------------------------------------------------------


def test_it_does_not_start_open_to_the_network(tmp_path: Path) -> None:
    system = System(tmp_path / "data", OBSERVATORY_HOST="0.0.0.0")
    with pytest.raises(RuntimeError, match="OBSERVATORY_API_KEYS"):
        system.start()
    assert "Traceback" not in system.said() and "OBSERVATORY_API_OPEN=1" in system.said()
