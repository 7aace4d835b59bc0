"""What schemathesis makes up from the OpenAPI document: no 5xx, no status and no answer that the document does not tell of,
nothing accepted that breaks a schema. `make test` tries the borders of some operations; `make test-openapi` 20,000 cases."""

from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.support.description import check_answer
from tests.support.fuzzing import STREAM, Known, described, fuzz
from tests.support.keys import KEYS, SETTING
from tests.support.system import System, running_system

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")  # schemathesis does, now and then
CASES = 20_000
NOOP = {"type": "demo.noop", "payload": {}}
SOME = ("list_events", "begin_bulk", "pause_queue", "list_dead_letters")  # one of each kind
REACHED = (200, 201, 202, 409)  # 409: it found the job, which a made-up bulk operation had cancelled before


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    data = tmp_path_factory.mktemp("schemathesis") / "data"
    settings = {"OBSERVATORY_API_KEYS": SETTING, "OBSERVATORY_WAIT_SECONDS": "0.2", "OBSERVATORY_TASKS": "tests.functions.scheduled_tasks"}
    with running_system(data, **settings) as system:
        system.key = KEYS["operate"]
        yield system


@pytest.fixture(scope="module")
def known(keyed: System) -> Known:
    ended = [keyed.submit("demo.noop"), keyed.submit("demo.fail", {"times": 9}, max_attempts=1)]
    for job_id in ended:
        keyed.ended(job_id)
    later = keyed.submit("demo.noop", delay_seconds=36_000)
    assert keyed.request("PUT", "/v1/schedules/mine", {"every_seconds": 3_600, "template": NOOP}).status == 201
    return {"job_id": [*ended, later], "name": ["default", "bulk", "mine", "scheduled.secret", "job", "job.queued", "demo.noop"], "lease_token": ["1"]}


def test_the_borders_of_some_schemas(keyed: System, known: Known) -> None:
    found = fuzz(described(keyed, known, examples=0).include(operation_id=list(SOME)))
    assert not found.words, found.words
    assert found.cases > 150 and len(found.statuses) == len(SOME)


@pytest.mark.openapi
def test_20_000_cases(keyed: System, known: Known) -> None:
    found = fuzz(described(keyed, known, examples=CASES // 46).exclude(path=STREAM))
    assert not found.words, found.words
    assert found.cases >= CASES
    for operation, statuses in found.statuses.items():
        if "letter_id" not in operation:  # there is no dead letter
            assert set(REACHED) & statuses.keys(), f"{operation} never found anything: {statuses}"
    for queue in keyed.request("GET", "/v1/queues").json()["items"]:  # the last of the cases may have paused one
        assert keyed.request("POST", f"/v1/queues/{queue['name']}/resume").status == 202
    assert keyed.ended(keyed.submit("demo.noop"), 120)["status"] == "succeeded"
    assert "Traceback" not in keyed.said()


def test_the_live_stream_of_made_up_requests(keyed: System, known: Known) -> None:
    """By its head alone, since it has no end."""
    operation = described(keyed, known, examples=0)[STREAM]["GET"]
    cases = st.one_of(operation.as_strategy(GenerationMode.POSITIVE), operation.as_strategy(GenerationMode.NEGATIVE))
    seen = set()

    @settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def ask(case: Any) -> None:
        seen.add(_head(keyed, case))

    ask()
    assert seen == {200, 400}


def _head(system: System, case: Any) -> int:
    """The status of a stream, once its head is as the document says."""
    address = urlsplit(system.url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=30)
    path = f"{STREAM}?{urlencode(case.query or {}, doseq=True, errors='replace')}"
    headers = {"Authorization": f"Bearer {system.key}"}
    resumed = str((case.headers or {}).get("Last-Event-ID", "")).encode("latin-1", "replace").decode("latin-1")
    if resumed.isprintable() and resumed.strip():
        headers["Last-Event-ID"] = resumed
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = b"" if response.status == 200 else response.read()
    method = "HEAD" if response.status == 200 else "GET"
    check_answer(method, path, response.status, {name.lower(): value for name, value in response.getheaders()}, body)
    response.close()
    connection.close()
    return response.status
