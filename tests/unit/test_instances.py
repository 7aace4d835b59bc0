"""Instances of functions: what they tell of themselves, and how a function is shown with its pods."""

import asyncio
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import orjson
import pytest

from contracts.errors import ConfigurationError, StoreUnavailable
from functions.read_model.function_view import shown
from functions.runtime.life import Life
from functions.runtime.pods import ClusterPods
from functions.stores.instances import Instance

SECOND = 1_000_000


class Told:
    """A statistics store that only listens."""

    def __init__(self) -> None:
        self.records: list[Instance] = []
        self.is_away = False

    async def note_instance(self, instance: Instance) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.records.append(instance)


async def test_an_instance_tells_its_start_its_first_request_and_its_stop() -> None:
    told, ticks = Told(), iter(range(1, 9))

    async def stats() -> Any:
        return told

    life = Life(stats, "gateway", "pod-1", lambda: next(ticks) * SECOND, 0.25)
    life.started()
    life.worked()
    life.worked()
    told.is_away = False
    life.stopped()
    await asyncio.sleep(0.01)
    assert [(r.started_at, r.first_request_at, r.stopped_at) for r in told.records] == [
        (SECOND, None, None), (SECOND, 2 * SECOND, None), (SECOND, 2 * SECOND, 3 * SECOND)]  # fmt: skip


async def test_a_store_that_is_away_disturbs_nobody() -> None:
    told = Told()
    told.is_away = True

    async def stats() -> Any:
        return told

    life = Life(stats, "gateway", "pod-1", lambda: SECOND, 0.25)
    life.started()
    await asyncio.sleep(0.01)
    assert told.records == []
    told.is_away = False
    while not told.records:  # it is told once the store is back, though no request comes
        await asyncio.sleep(0.02)
    assert told.records[0].first_request_at is None
    await life.end()


RECORDS = [
    Instance("processor", "killed", 1 * SECOND, None, None, 0.9),
    Instance("processor", "stopped", 2 * SECOND, 3 * SECOND, 4 * SECOND, 0.7),
    Instance("processor", "living", 5 * SECOND, 6 * SECOND, None, 0.5),
    Instance("gateway", "other", 5 * SECOND),
]


def test_no_more_instances_live_than_there_are_pods() -> None:
    view = shown("processor", "runs", RECORDS, {"processor": 1})
    assert [instance["instance"] for instance in view["instances"]] == ["living"]  # who was killed could not say so
    assert (view["pods"], view["starts"], view["cold_start_seconds"]) == (1, 3, 0.5)
    assert view["last_stopped_at"] == "1970-01-01T00:00:04.000000Z"
    assert shown("processor", "runs", RECORDS, {})["instances"] == []


def test_where_nobody_counts_pods_the_records_tell() -> None:
    view = shown("processor", "runs", RECORDS, None)
    assert [instance["instance"] for instance in view["instances"]] == ["living", "killed"] and view["pods"] is None


def pod(service: str, phase: str = "Running", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"serving.knative.dev/service": service}, **metadata}, "status": {"phase": phase}}


class KubernetesApi(BaseHTTPRequestHandler):
    """A double of the one call that is made of the Kubernetes API; the real one is asked on the cluster."""

    asked: ClassVar[list[tuple[str, str]]] = []
    pods: ClassVar[list[Any]] = [
        pod("gateway"), pod("gateway", "Pending"),
        pod("processor", deletionTimestamp="now"), pod("processor", "Succeeded"), pod("read-model"),
    ]  # fmt: skip

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["authorization"]))
        body = orjson.dumps({"items": self.pods})
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        return None


@pytest.fixture
def api() -> Iterator[str]:
    KubernetesApi.asked = []
    with HTTPServer(("127.0.0.1", 0), KubernetesApi) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    import certifi

    (tmp_path / "namespace").write_text("observatory")
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "ca.crt").write_bytes(Path(certifi.where()).read_bytes())
    return tmp_path


async def test_pods_are_counted_by_function_and_the_answer_is_kept_for_a_moment(api: str, mounted: Path) -> None:
    pods = ClusterPods(mounted, api)
    assert await pods.count() == {"gateway": 2, "read-model": 1}
    assert await pods.count() == {"gateway": 2, "read-model": 1}
    assert KubernetesApi.asked == [("/api/v1/namespaces/observatory/pods?labelSelector=serving.knative.dev%2Fservice", "Bearer secret")]


async def test_an_api_that_is_away_is_a_passing_fault(mounted: Path) -> None:
    with pytest.raises(StoreUnavailable, match="does not tell the pods"):
        await ClusterPods(mounted, "http://127.0.0.1:9").count()


def test_a_pod_without_a_service_account_asks_nothing(tmp_path: Path) -> None:
    assert not ClusterPods.is_here(tmp_path)
    with pytest.raises(ConfigurationError, match="no ServiceAccount"):
        ClusterPods(tmp_path)
