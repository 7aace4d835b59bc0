"""`make down`: removes everything, in the order that leaves no finalizer hanging."""

from knative.e2e import cluster
from knative.e2e.access import NAMESPACE
from knative.e2e.kubectl import wait_until
from knative.e2e.shell import run
from knative.e2e.stages import Progress

GRACE_SECONDS = 30


def down(progress: Progress) -> None:
    """The kind cluster as a whole; on a cluster of the user's our namespace alone. Raises StageFailed."""
    if cluster.is_existing():
        _remove_namespace(progress)
        return
    with progress.stage("down") as stage:
        if cluster.NAME not in run(["kind", "get", "clusters"]).split():
            stage.result = "there is no cluster"
            return
        run(["kind", "delete", "cluster", "--name", cluster.NAME], timeout=180)
        stage.result = f"kind cluster {cluster.NAME} removed"


def _remove_namespace(progress: Progress) -> None:
    """Triggers and Broker go while their RabbitMQ still runs: their queues' finalizers need it. Then functions, until they are drained:
    a namespace that goes with pods in it is looked at again only after half of the time that these may take, five minutes."""
    api = cluster.kubectl().within(NAMESPACE)
    with progress.stage("down", f"namespace {NAMESPACE}; the operators stay") as stage:
        if not api.exists("namespace", NAMESPACE):
            stage.result = "it is not there"
            return
        api("delete", "pingsources,triggers", "--all", "--timeout=120s", timeout=140)
        api("delete", "brokers", "--all", "--timeout=120s", timeout=140)
        for kind in ("bindings.rabbitmq.com", "queues.rabbitmq.com", "exchanges.rabbitmq.com", "policies.rabbitmq.com"):
            wait_until(f"no {kind} are left", lambda kind=kind: not api.items(kind), timeout=120, look=api.hints)  # type: ignore[misc]
        stage.tell("functions end")
        api("delete", "services.serving.knative.dev", "--all", "--timeout=120s", timeout=140)
        api("delete", "pods", "-l", "serving.knative.dev/service", f"--grace-period={GRACE_SECONDS}", "--wait=false")  # jobs go, too
        wait_until("functions have ended", lambda: not api.items("pods", "-l", "serving.knative.dev/service"), timeout=120, look=api.hints)
        api("delete", "namespace", NAMESPACE, "--timeout=240s", timeout=260)
        stage.result = "removed"
