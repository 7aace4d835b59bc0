"""`make deploy`: images, credentials and manifests into the cluster, and waiting until everything is ready."""

import json
import os
from pathlib import Path

import yaml

from knative.e2e import cluster, image
from knative.e2e.access import NAMESPACE
from knative.e2e.image import Image
from knative.e2e.kubectl import Kubectl, is_ready, names, wait_until
from knative.e2e.secrets import ensure_keys, ensure_secrets
from knative.e2e.shell import ROOT, attempt, run
from knative.e2e.stages import Progress, StageFailed

WORK = ROOT / ".cluster"
OVERLAYS = ROOT / "knative" / "overlays"
BREAKABLE = "observatory.dev/breakable"
TASKS = "observatory.dev/tasks"
SERVICES = "services.serving.knative.dev"


def deploy(progress: Progress, *, tasks: str = "", overlay: str = "") -> None:
    """Brings the checkout into the cluster; said again, it changes only what changed. Raises StageFailed."""
    overlay = overlay_of(overlay)
    api = cluster.kubectl().within(NAMESPACE)
    tasks = tasks_of(api, tasks)
    ours, example = image.build_all(progress, tasks)
    image.load(progress, [ours, example])
    with progress.stage("secrets") as stage:
        api.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))
        made = ensure_secrets(api)
        if cluster.is_existing():
            made += ensure_keys(api)
        else:  # by `label`, for what `apply` sets it takes away again with the next manifest without it
            api("label", "namespace", NAMESPACE, f"{BREAKABLE}=yes", "--overwrite")
        stage.result = f"{made} made, the rest was there"
    with progress.stage("manifests", f"knative/overlays/{overlay}") as stage:
        documents = manifests(overlay, ours, example)
        api.apply(documents, timeout=180)
        api("annotate", "namespace", NAMESPACE, f"{TASKS}={tasks}", "--overwrite")
        stage.result = f"{documents.count(chr(10) + 'kind: ')} objects applied"
    wait_until_ready(progress, api)


def overlay_of(named: str) -> str:
    """The overlay to apply. Raises StageFailed naming those that there are."""
    overlay = named or os.environ.get("OVERLAY", "existing" if cluster.is_existing() else "kind")
    if not (OVERLAYS / overlay / "kustomization.yaml").is_file():
        raise StageFailed(f"there is no overlay {overlay!r}", f"there are {', '.join(sorted(each.name for each in OVERLAYS.iterdir()))}")
    return overlay


def tasks_of(api: Kubectl, named: str) -> str:
    """The package of tasks to build in: the one that is named (`none`: none), or the one that the deployment has got, for what is
    deployed again is not to lose its types."""
    if named:
        return "" if named == "none" else named
    return attempt(api.command("get", "namespace", NAMESPACE, "-o", f"jsonpath={{.metadata.annotations.{TASKS.replace('.', chr(92) + '.')}}}")).stdout.strip()


def manifests(overlay: str, ours: Image, example: Image) -> str:
    """All objects of an overlay with these images in them."""
    registry = os.environ.get("IMAGE_REGISTRY", "") if cluster.is_existing() else ""
    images = []
    for name, built in (("observatory", ours), ("observatory-word-count", example)):
        target = image.in_registry(built, registry) if registry else str(built)
        images.append({"name": name, "newName": target.rpartition(":")[0], "newTag": built.tag})
    WORK.mkdir(exist_ok=True)
    layer = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "images": images,
             "resources": [os.path.relpath(ROOT / "knative" / "overlays" / overlay, WORK)]}  # fmt: skip
    Path(WORK / "kustomization.yaml").write_text(yaml.safe_dump(layer))
    return run(["kubectl", "kustomize", str(WORK)])


def wait_until_ready(progress: Progress, api: Kubectl) -> None:
    """Stores first, then the Broker, then the functions with their Triggers."""
    with progress.stage("stores", "waits for PostgreSQL, Redis, MongoDB, RabbitMQ") as stage:
        for thing in api.items("statefulsets"):
            api("rollout", "status", f"statefulset/{thing['metadata']['name']}", "--timeout=240s", timeout=260)
        stage.result = "all ready"
    with progress.stage("broker") as stage:
        api.wait("condition=Ready", "broker", "observatory", timeout=240)
        stage.result = "ready"
    with progress.stage("functions", "waits for every function and Trigger") as stage:
        wait_until("functions and Triggers are ready", lambda: not unready(api), timeout=300, every=1.0, look=lambda: _look(api))
        api.wait("condition=Available", "deployment", "--all", timeout=180)
        stage.result = f"{len(api.items(SERVICES))} functions and {len(api.items('triggers'))} Triggers ready"


def unready(api: Kubectl) -> list[str]:
    """Functions, Triggers and sources that are not ready."""
    kinds = (SERVICES, "triggers", "pingsources")
    return [f"{kind}/{name}" for kind in kinds for name in names([each for each in api.items(kind) if not is_ready(each)])]


def _look(api: Kubectl) -> str:
    return "not ready: " + ", ".join(unready(api)) + "\n" + api.hints()
