"""Each function alone in its own process: by functions-framework's own command, and by the image's start command."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from tests.support.keys import KEYS, SETTING
from tests.support.system import ROOT
from tests.support.waiting import free_port

FUNCTIONS = ("gateway", "processor", "metrics_engine", "read_model", "scheduler", "dead_letter")
BIN = Path(sys.executable).parent


def framework(function: str, port: int) -> list[str]:
    source = f"functions/{function}/main.py"
    return [str(BIN / "functions-framework"), "--source", source, "--target", function, "--asgi", "--host", "127.0.0.1", "--port", str(port)]


def image(function: str, port: int) -> list[str]:
    worker = "functions.runtime.worker.Worker"
    return [str(BIN / "gunicorn"), "-k", worker, "--graceful-timeout", "60", "--bind", f"127.0.0.1:{port}", "functions_framework.aio:app"]


class Alone:
    def __init__(self, function: str, data: Path, command: Any, settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.log = data.parent / f"{function}.log"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OBSERVATORY_")},
            "OBSERVATORY_DATA": str(data), "OBSERVATORY_WORKERS": "1", "PYTHONPATH": str(ROOT),
            "FUNCTION_TARGET": function, "FUNCTION_SOURCE": f"functions/{function}/main.py", "FUNCTION_USE_ASGI": "1",
            **(settings or {}),
        }  # fmt: skip
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command(function, self.port), cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True)

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": content_type} if data is not None else {}
        try:
            with urlopen(Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method), timeout=30) as response:
                text = response.read()
                return response.status, json.loads(text) if text[:1] in (b"{", b"[") else text
        except HTTPError as error:
            with error:
                return error.code, error.read()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(URLError, ConnectionError):
                if self.request("GET", "/health/readiness")[0] == 200:
                    return
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)


@contextlib.contextmanager
def alone(function: str, data: Path, command: Any = framework, *, settings: Mapping[str, str] | None = None) -> Iterator[Alone]:
    one = Alone(function, data, command, settings)
    try:
        one.wait_until_ready()
        yield one
    finally:
        with contextlib.suppress(ProcessLookupError):
            one.process.send_signal(signal.SIGTERM)
        try:
            one.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait(5)
            raise


@pytest.mark.parametrize("command", [framework, image], ids=["functions-framework", "gunicorn"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_starts_alone_and_says_that_it_is_ready(tmp_path: Path, function: str, command: Any) -> None:
    with alone(function, tmp_path / "data", command) as one:
        assert one.request("GET", "/health/liveness") == (200, {"status": "alive"})
        status, text = one.request("GET", "/metrics")
        assert status == 200 and b"observatory_" in text
        assert one.request("GET", "/no/such/address")[0] == 404
    assert "Traceback" not in one.log.read_text()


def test_a_job_passes_through_functions_that_each_run_alone(tmp_path: Path) -> None:
    """The same folder, one function after the other: what one commits, the next finds."""
    data = tmp_path / "data"
    with alone("gateway", data) as gateway:
        status, answer = gateway.request("POST", "/v1/jobs", {"type": "text.statistics", "payload": {"text": "one two three"}})
        assert status == 202
    with alone("read_model", data) as read_model:
        queued = read_model.request("GET", f"/v1/jobs/{answer['id']}/events")[1]["items"][-1]
        assert queued["type"] == "dev.observatory.job.queued.v1"
    with alone("processor", data, image) as processor:
        assert processor.request("POST", "/triggers/processor-default", queued, "application/cloudevents+json")[0] == 200
        broken = {**queued, "data": "broken"}
        assert processor.request("POST", "/triggers/processor-default", broken, "application/cloudevents+json")[0] == 200  # never 4xx
    told = [json.loads(line) for line in processor.log.read_text().splitlines() if line.startswith("{")]
    assert [(line["action"], line.get("status"), line.get("trigger")) for line in told] == [
        ("job.ended", "succeeded", None), ("dead_letter.kept", None, "processor-default")]  # fmt: skip
    assert {line["job_id"] for line in told} == {answer["id"]} and {line["trace_id"] for line in told} == {answer["id"].replace("-", "")}
    tick = {"specversion": "1.0", "id": "t1", "source": "/tick", "type": "dev.knative.sources.ping"}
    with alone("scheduler", data) as scheduler:
        assert scheduler.request("POST", "/", tick, "application/cloudevents+json")[0] == 200
    with alone("metrics_engine", data) as engine:  # the last, for a tick may tell of an alert
        assert engine.request("POST", "/triggers/metrics-engine", tick, "application/cloudevents+json")[0] == 200
    with alone("read_model", data) as read_model:
        job = read_model.request("GET", f"/v1/jobs/{answer['id']}")[1]
        assert job["status"] == "succeeded" and job["result"]["words"] == 3
        letters = read_model.request("GET", "/v1/dead-letters")[1]["items"]
        assert [letter["trigger"] for letter in letters] == ["processor-default"]
        known = {each["name"]: each for each in read_model.request("GET", "/v1/functions")[1]["items"]}
        assert known["gateway"]["starts"] == 1 and known["gateway"]["instances"] == []  # it said that it stopped
        assert known["gateway"]["last_stopped_at"] is not None and known["processor"]["starts"] == 1
        stats = read_model.request("GET", "/v1/stats")[1]
        assert stats["lag"] == 0 and stats["states"]["succeeded"] == 1


def test_a_job_that_outlives_its_request_ends_before_its_processor(tmp_path: Path) -> None:
    """On Knative a pod is told to end once it has no request left, and a request lasts no longer than its Service allows."""
    data = tmp_path / "data"
    with alone("gateway", data) as gateway:
        job_id = gateway.request("POST", "/v1/jobs", {"type": "demo.sleep", "payload": {"seconds": 2}})[1]["id"]
    with alone("read_model", data) as read_model:
        queued = read_model.request("GET", f"/v1/jobs/{job_id}/events")[1]["items"][-1]
    with alone("processor", data, image, settings={"OBSERVATORY_REQUEST_SECONDS": "0.2"}) as processor:
        assert processor.request("POST", "/triggers/processor-default", queued, "application/cloudevents+json")[0] == 200
    with alone("read_model", data) as read_model:
        job = read_model.request("GET", f"/v1/jobs/{job_id}")[1]
        known = {each["name"]: each for each in read_model.request("GET", "/v1/functions")[1]["items"]}
    assert (job["status"], job["attempt"]) == ("succeeded", 1)
    assert known["processor"]["instances"] == [] and known["processor"]["last_stopped_at"] is not None


def test_a_schedule_fires_through_functions_that_each_run_alone(tmp_path: Path) -> None:
    """The gateway takes it, a tick of the scheduler alone (PingSource's event) fires it, and a second tick does not."""
    data, schedule = tmp_path / "data", {"every_seconds": 1, "template": {"type": "demo.noop", "payload": {}}}
    with alone("gateway", data) as gateway:
        assert gateway.request("PUT", "/v1/schedules/alone", schedule)[0] == 201
    time.sleep(1.1)  # its due time: time itself is what is waited for
    with alone("scheduler", data, image) as scheduler:
        tick = {"specversion": "1.0", "id": "t1", "source": "/tick", "type": "dev.knative.sources.ping"}
        assert scheduler.request("POST", "/", tick, "application/cloudevents+json")[0] == 200
    with alone("read_model", data) as read_model:
        shown = read_model.request("GET", "/v1/schedules/alone")[1]
        assert (shown["last_job_status"], read_model.request("GET", f"/v1/jobs/{shown['last_job_id']}")[1]["schedule"]) == ("queued", "alone")


def test_two_functions_do_not_share_an_embedded_folder(tmp_path: Path) -> None:
    """SQLite has one writer: the second is told so in words, as 503, and harms nothing."""
    data = tmp_path / "data"
    with alone("gateway", data):
        second = Alone("read_model", data, framework)
        try:
            deadline = time.monotonic() + 20
            while True:
                with contextlib.suppress(URLError, ConnectionError):
                    status, text = second.request("GET", "/health/readiness")
                    break
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert status in (500, 503) and b"data folder" in text
        finally:
            os.killpg(second.process.pid, signal.SIGKILL)
            second.process.wait(5)


HEAVY = {
    # module -> the functions that may import it when they start
    "httpx": set(),
    "jsonschema": set(),
    "cloudevents.core": set(),
    "functions.processor.workers": set(),
    "sqlite3": set(),
    "yaml": set(),
    "prometheus_client": set(),
    "pika": set(), "psycopg": set(), "redis": set(), "pymongo": set(), "blessed": set(),
}  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_cold_start_imports_only_what_it_uses(function: str) -> None:
    """What the import of `main` brings in: no adapter, no other function, nothing that only a later request needs."""
    code = f"import sys, json; import functions.{function}.main; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    for module, allowed in HEAVY.items():
        assert function in allowed or module not in loaded, f"{function} imports {module} at its start"
    others = {f"functions.{other}" for other in FUNCTIONS if other != function}
    assert not others & loaded
    assert not {name for name in loaded if name.startswith(("functions.stores.backends.", "eventing.brokers."))}


def test_with_keys_the_broker_still_delivers_and_people_need_one(tmp_path: Path) -> None:
    """What stands behind the broker takes events without a key: its addresses are local to the cluster."""
    data, keys = tmp_path / "data", {"OBSERVATORY_API_KEYS": SETTING}
    tick = {"specversion": "1.0", "id": "t1", "source": "/tick", "type": "dev.knative.sources.ping"}
    with alone("scheduler", data, settings=keys) as scheduler:
        assert scheduler.request("POST", "/triggers/scheduler", tick, "application/cloudevents+json")[0] == 200
        assert scheduler.request("GET", "/metrics")[0] == 401
    with alone("dead_letter", data, settings=keys) as dead_letter:
        assert dead_letter.request("POST", "/triggers/dead-letter", {"odd": 1}, "application/cloudevents+json")[0] == 200
        assert dead_letter.request("POST", "/v1/dead-letters/x/discard", {"reason": "x"})[0] == 401
    with alone("gateway", data, settings=keys) as gateway:
        assert gateway.request("POST", "/v1/jobs", {"type": "demo.noop", "payload": {}})[0] == 401
        assert gateway.request("GET", "/health/readiness") == (200, {"status": "ready"})
    assert not any(key in gateway.log.read_text() for key in KEYS.values())
