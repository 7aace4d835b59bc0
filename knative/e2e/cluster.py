"""`make cluster`: a kind cluster with Knative Serving, Kourier, Knative Eventing and the RabbitMQ Broker in it."""

import base64
import functools
import json
import os
from collections.abc import Callable

import yaml

from knative.e2e import access, tools
from knative.e2e.certificate import webhook_certificate
from knative.e2e.kubectl import Kubectl
from knative.e2e.releases import Releases
from knative.e2e.shell import attempt, run
from knative.e2e.stages import Progress, Stage, StageFailed

NAME = "observatory"
CONTEXT = f"kind-{NAME}"
TRIES = 3
SYNC_PERIOD = "1m"
KOURIER_CLASS = "kourier.ingress.networking.knative.dev"
SERVING, EVENTING, KOURIER, RABBITMQ = "knative-serving", "knative-eventing", "kourier-system", "rabbitmq-system"
TESTED_BY = {  # what is there already is not installed again
    "serving-crds.yaml": ("crd", "services.serving.knative.dev"),
    "serving-core.yaml": ("deployment", "controller", "-n", SERVING),
    "kourier.yaml": ("deployment", "net-kourier-controller", "-n", SERVING),
    "eventing-crds.yaml": ("crd", "brokers.eventing.knative.dev"),
    "eventing-core.yaml": ("deployment", "eventing-controller", "-n", EVENTING),
    "messaging-topology-operator.yaml": ("deployment", "messaging-topology-operator", "-n", RABBITMQ),
    "rabbitmq-broker.yaml": ("deployment", "rabbitmq-broker-controller", "-n", EVENTING),
}


def is_existing() -> bool:
    """Whether the user's own cluster, the current context, is to be used."""
    return os.environ.get("CLUSTER", "") == "existing"


def kubectl() -> Kubectl:
    """The cluster's API. Raises StageFailed where the current context is meant and there is none: kubectl would ask this machine's
    port 8080, and an access point may answer there."""
    return Kubectl(current_context() if is_existing() else CONTEXT)


def current_context() -> str:
    done = attempt(["kubectl", "config", "current-context"])
    if done.returncode != 0:
        raise StageFailed("kubectl has no current context", "kubectl config get-contexts lists them; kubectl config use-context NAME takes one")
    return done.stdout.strip()


def ensure_cluster(progress: Progress, releases: Releases) -> None:
    """The whole of it; each part is left alone where it is there already. Raises StageFailed."""
    with progress.stage("tools") as stage:
        stage.result = tools.check_tools([tools.KUBECTL] if is_existing() else [tools.DOCKER, tools.KIND, tools.KUBECTL])
    with progress.stage("cluster", "this takes about half a minute the first time") as stage:
        stage.result = _use_existing() if is_existing() else _create_kind()
    api = kubectl()
    with progress.stage("knative", f"manifests from {releases.origin}") as stage:
        missing = [each["file"] for each in releases.files if not api.exists(*TESTED_BY[each["file"]])]
        _apply(api, releases, missing, stage)
        for name, data in settings_of_serving(is_kind=not is_existing()).items():
            api.within(SERVING)("patch", "configmap", name, "--type=merge", "-p", json.dumps({"data": data}))
        stage.result = f"{len(missing)} of {len(releases.files)} parts installed, the rest was there"
    with progress.stage("control", "waits for the control planes") as stage:
        waits: list[Callable[[], None]] = [
            functools.partial(api.within(namespace).wait, "condition=Available", "deployment", "--all", timeout=300.0)
            for namespace in (SERVING, KOURIER, EVENTING, RABBITMQ)
        ]
        progress.together(waits)
        stage.result = "all available"


def _use_existing() -> str:
    api = kubectl()
    api("get", "--raw", "/readyz", look="does the cluster run?")
    return f"the current context, {api.context}"


def _create_kind() -> str:
    if NAME in run(["kind", "get", "clusters"]).split():
        run(["kind", "export", "kubeconfig", "--name", NAME])
        api = kubectl()
        if attempt(api.command("get", "--raw", "/readyz")).returncode == 0:
            return "it runs already"
        look = f"`docker ps` shows it, `docker restart {NAME}-control-plane` may wake it, `make down` removes it"
        raise StageFailed(f"the kind cluster {NAME!r} is there but does not answer", look)
    tools.check_ports(access.names_by_port())
    image = os.environ.get("KIND_NODE_IMAGE", "")
    command = ["kind", "create", "cluster", "--name", NAME, "--config", str(tools.KIND_CONFIG), *(["--image", image] if image else [])]
    for number in range(1, TRIES + 1):
        try:
            run(command, timeout=600, look="docker ps; the node's own words end its message")
            break
        except StageFailed:  # on a busy machine the node may take longer to come up than kind waits for it
            run(["kind", "delete", "cluster", "--name", NAME], timeout=180)
            if number == TRIES:
                raise
    return f"kind cluster {NAME} made"


def _apply(api: Kubectl, releases: Releases, missing: list[str], stage: Stage) -> None:
    crds = [file for file in missing if file.endswith("-crds.yaml")]
    for file in crds:
        api.apply(releases.text(file))
    if crds:
        api.wait("condition=Established", "crd", "--all", timeout=60)
    for file in missing:
        if file in crds:
            continue
        stage.tell(file)
        documents = releases.text(file)
        if file == "messaging-topology-operator.yaml":
            documents = topology_operator(documents)
        api.apply(documents)


def topology_operator(documents: str) -> str:
    """The operator's objects with a certificate for its webhook: as a Secret, and as the CA of whoever calls it. And it looks each
    minute whether RabbitMQ still has its queues (left to itself, every ten hours), so that one that lost its data is whole again."""
    objects = [each for each in yaml.safe_load_all(documents) if each]
    certificate, key = webhook_certificate("webhook-service", RABBITMQ)
    ca = base64.b64encode(certificate.encode()).decode()
    for each in objects:
        if each["kind"] in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
            for webhook in each["webhooks"]:
                webhook["clientConfig"]["caBundle"] = ca
        if each["kind"] == "Deployment":
            for container in each["spec"]["template"]["spec"]["containers"]:
                container.setdefault("env", []).append({"name": "SYNC_PERIOD", "value": SYNC_PERIOD})
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "webhook-server-cert", "namespace": RABBITMQ}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": key},
    }  # fmt: skip
    namespaces = [each for each in objects if each["kind"] == "Namespace"]
    return yaml.safe_dump_all([*namespaces, secret, *(each for each in objects if each["kind"] != "Namespace")])


def settings_of_serving(*, is_kind: bool) -> dict[str, dict[str, str]]:
    """Knative Serving's settings by ConfigMap: what our Services write is allowed to them. Only where the cluster is ours: Kourier is the
    ingress of whoever names none (our Services name it), and images named `dev.local` are the node's own and are not looked up."""
    features = ("securitycontext", "volumes-emptydir", "fieldref")
    settings = {"config-features": {f"kubernetes.podspec-{name}": "enabled" for name in features}}
    if is_kind:
        settings["config-network"] = {"ingress-class": KOURIER_CLASS}
        settings["config-deployment"] = {"registries-skipping-tag-resolving": "kind.local,ko.local,dev.local"}
    return settings
