"""The cluster's files agree with each other and with the code: names, types, environment, ports, images."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.event_types import EVENT_TYPES, TICK_TYPE
from eventing.queues import load_queues
from eventing.triggers import load_triggers
from knative.e2e import access, event_types
from knative.e2e.tools import KIND_CONFIG

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "knative" / "base"
FUNCTIONS = {"gateway", "processor", "metrics-engine", "read-model", "scheduler", "dead-letter"}
OWN_PROCESSORS = {"processor-io"}


def documents(*paths: Path) -> list[dict[str, Any]]:
    return [each for path in paths for each in yaml.safe_load_all(path.read_text()) if each]


@cache
def everything() -> list[dict[str, Any]]:
    return documents(*(path for path in sorted(BASE.glob("[1-9]*.yaml"))), *sorted((ROOT / "eventing" / "manifests").glob("[1-9]*.yaml")))


@cache
def of_kind(kind: str, group: str = "") -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in everything() if each["kind"] == kind and each["apiVersion"].startswith(group)}


SERVICES = of_kind("Service", "serving.knative.dev")


def container(service: str) -> dict[str, Any]:
    found: dict[str, Any] = SERVICES[service]["spec"]["template"]["spec"]["containers"][0]
    return found


def test_every_function_is_a_service_and_no_other_but_processors_of_queues_and_the_example() -> None:
    assert set(SERVICES) == FUNCTIONS | OWN_PROCESSORS | {"word-count"}


@pytest.mark.parametrize("service", sorted(FUNCTIONS | OWN_PROCESSORS))
def test_a_service_has_the_environment_of_its_func_yaml(service: str) -> None:
    folder = "processor" if service in OWN_PROCESSORS else service.replace("-", "_")
    declared = yaml.safe_load((ROOT / "functions" / folder / "func.yaml").read_text())
    given = {item["name"]: item["value"] for item in container(service)["env"]}
    assert {item["name"]: item["value"] for item in declared["run"]["envs"]}.items() <= given.items()
    assert SERVICES[service]["metadata"]["namespace"] == declared["deploy"]["namespace"] == access.NAMESPACE


@pytest.mark.parametrize("service", sorted(FUNCTIONS | OWN_PROCESSORS))
def test_functions_behind_the_broker_are_local_to_the_cluster(service: str) -> None:
    labels = SERVICES[service]["metadata"].get("labels", {})
    is_local = labels.get("networking.knative.dev/visibility") == "cluster-local"
    assert is_local is (service not in ("gateway", "read-model"))


def test_the_dead_letters_alone_have_a_spool_and_it_is_in_an_empty_dir() -> None:
    folders = {name: item["value"] for name in SERVICES for item in container(name).get("env", ()) if item["name"] == "OBSERVATORY_SPOOL"}
    shared = {each["path"]: each["value"] for each in yaml.safe_load((BASE / "function-patch.yaml").read_text())}
    (volume,) = shared["/spec/template/spec/volumes"]
    (mount,) = shared["/spec/template/spec/containers/0/volumeMounts"]
    assert volume == {"name": mount["name"], "emptyDir": {}}
    assert set(folders) == {"dead-letter"} and folders["dead-letter"].startswith(mount["mountPath"] + "/")


def test_every_service_says_what_it_needs_and_how_long_it_may_take() -> None:
    for name, service in SERVICES.items():
        spec = service["spec"]["template"]["spec"]
        assert 0 < spec["timeoutSeconds"] <= 600, name  # above that Knative refuses it unless its own setting is raised
        assert spec["containerConcurrency"] > 0, name
        assert {"requests", "limits"} == set(container(name)["resources"]), name


PASSED_ON_AFTER = 30  # seconds without a request until Knative's queue-proxy lets a pod's container hear that it is to end


@pytest.mark.parametrize("processor", sorted({"processor"} | OWN_PROCESSORS))
def test_a_processor_that_is_told_to_end_lets_its_longest_job_finish(processor: str) -> None:
    given = {item["name"]: item["value"] for item in container(processor)["env"]}
    settings = dict(line.split("=", 1) for line in (BASE / "settings.env").read_text().splitlines())
    drain, grace = int(given["OBSERVATORY_DRAIN_SECONDS"]), int(given["GRACE_SECONDS"])
    longest = int(settings["OBSERVATORY_TIMEOUT_SECONDS_MAX"])
    assert longest < drain < grace < SERVICES[processor]["spec"]["template"]["spec"]["timeoutSeconds"] - PASSED_ON_AFTER


def test_every_container_keeps_its_rights_small() -> None:
    shared = {each["path"]: each["value"] for each in yaml.safe_load((BASE / "function-patch.yaml").read_text())}
    given = {name: container(name).get("securityContext") or shared["/spec/template/spec/containers/0/securityContext"] for name in SERVICES}
    given |= {name: each["securityContext"] for name, thing in of_kind("Deployment").items() for each in thing["spec"]["template"]["spec"]["containers"]}
    assert {"proxy", "prometheus", "alertmanager", "word-count"} <= set(given)
    for name, rules in given.items():
        assert rules["allowPrivilegeEscalation"] is False and rules["runAsNonRoot"] is True and rules["capabilities"] == {"drop": ["ALL"]}, name
        assert rules["readOnlyRootFilesystem"] is True, name


def millicores(text: str) -> int:
    assert text.endswith("m"), text
    return int(text[:-1])


def test_on_kind_everything_fits_on_two_cores_beside_the_control_planes() -> None:
    """One pod of each function, the stores, and of the Broker an ingress and two dispatchers for each Trigger."""
    overlay = ROOT / "knative" / "overlays" / "kind"
    request = "rabbitmq.eventing.knative.dev/cpu-request"
    dispatcher, ingress = (yaml.safe_load((ROOT / "knative" / "components" / "small" / f"small-{name}.yaml").read_text())["metadata"]["annotations"][request]
                           for name in ("dispatchers", "ingress"))  # fmt: skip
    sidecar = re.search(r'cpu-resource-request, value: "(\d+m)"', (overlay / "kustomization.yaml").read_text())
    assert sidecar is not None
    functions = sum(millicores(container(name)["resources"]["requests"]["cpu"]) + millicores(sidecar[1]) for name in SERVICES)
    others = sum(millicores(each["resources"]["requests"]["cpu"]) for kind in ("StatefulSet", "Deployment")
                 for thing in of_kind(kind).values() for each in thing["spec"]["template"]["spec"]["containers"])  # fmt: skip
    broker = millicores(ingress) + 2 * len(load_triggers()) * millicores(dispatcher)
    assert functions + others + broker <= 2000 - 850 - 400  # the control planes ask for 850; 400 are for functions that grow


def test_no_image_is_taken_by_a_moving_name() -> None:
    for each in everything():
        for image in re.findall(r"'?image'?: '?([\w./:-]+)", str(each)):
            assert image.startswith("observatory") or (":" in image and not image.endswith(":latest")), image


def test_every_trigger_goes_to_a_service_that_exists_and_every_queue_has_one() -> None:
    triggers = {trigger.name: trigger for trigger in load_triggers()}
    for trigger in triggers.values():
        assert trigger.subscriber.url or trigger.subscriber.service in SERVICES, trigger.name
        assert trigger.delivery.dead_letter is not None and trigger.delivery.dead_letter.service == "dead-letter", trigger.name
        assert trigger.delivery.dead_letter.uri == f"/triggers/{trigger.name}"
        assert trigger.subscriber.url or trigger.subscriber.uri == trigger.delivery.dead_letter.uri
        assert set(trigger.attributes.get("type", "").split()) <= set(EVENT_TYPES), trigger.name
    assert {f"processor-{queue}" for queue in load_queues()} <= set(triggers)
    for service in OWN_PROCESSORS:
        assert triggers[service].subscriber.service == service


def test_each_queue_has_one_processor_that_works_on_it() -> None:
    served = [queue for service in sorted({"processor"} | OWN_PROCESSORS)
              for item in container(service)["env"] if item["name"] == "OBSERVATORY_QUEUES" for queue in item["value"].split(",")]  # fmt: skip
    assert sorted(served) == sorted(load_queues())


def test_the_tick_rings_the_scheduler() -> None:
    (source,) = of_kind("PingSource").values()
    assert source["spec"]["sink"]["ref"]["name"] == "scheduler" and TICK_TYPE == "dev.knative.sources.ping"
    assert len(source["spec"]["schedule"].split()) == 6  # with seconds


def test_the_event_types_are_those_of_the_contracts() -> None:
    assert (ROOT / "eventing" / "manifests" / "500-event-types.yaml").read_text() == event_types.event_types()


def test_the_proxy_sends_each_operation_to_its_owner() -> None:
    """Regenerated by `python -m knative.e2e proxy` whenever an operation comes or goes."""
    assert (BASE / "envoy.yaml").read_text() == access.proxy_configuration(access.operations())


def test_what_every_function_answers_for_itself_is_left_to_the_port_and_the_rest_is_owned_by_one() -> None:
    owned = {(method, path) for method, path, _ in access.operations()}
    assert {("GET", "/"), ("GET", "/openapi.json"), ("POST", "/"), ("GET", "/v1/jobs"), ("POST", "/v1/jobs")} <= owned
    assert not [path for _, path in owned if path.startswith("/health") or path == "/metrics"]
    (route,) = (each for each in [access._operation_route("GET", "/v1/jobs", "read-model")])
    assert route["match"]["headers"] == [{"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}]  # every GET takes HEAD


def test_every_access_point_has_a_port_of_the_node_and_of_the_proxy() -> None:
    mappings = [mapping for node in yaml.safe_load(KIND_CONFIG.read_text())["nodes"] for mapping in node["extraPortMappings"]]
    patch = (ROOT / "knative" / "overlays" / "kind" / "kustomization.yaml").read_text()
    node_ports = [int(port) for port in re.findall(r"nodePort, value: (\d+)", patch)]
    service = next(each for each in everything() if each["kind"] == "Service" and each["metadata"]["name"] == "access")
    ports = [port["port"] for port in service["spec"]["ports"]]
    assert ports == [point.port for point in access.ACCESS] == [mapping["hostPort"] for mapping in mappings]
    assert node_ports == [mapping["containerPort"] for mapping in mappings]
    assert all(30_000 <= port < 30_086 for port in node_ports)  # none that Kubernetes may have given to another Service (KEP-3668)
    assert all(mapping["listenAddress"] == "127.0.0.1" for mapping in mappings)  # nobody else is let in


def test_a_cluster_of_ones_own_opens_no_port_and_asks_each_for_a_key() -> None:
    overlay = ROOT / "knative" / "overlays" / "existing"
    text = (overlay / "kustomization.yaml").read_text()
    shared = {each["path"]: each["value"] for each in yaml.safe_load((BASE / "function-patch.yaml").read_text())}
    assert "secretRef: {name: api-keys}" in text and "/containers/0/envFrom/-" in text
    assert isinstance(shared["/spec/template/spec/containers/0/envFrom"], list)
    settings = [line for path in (BASE, overlay) for line in (path / "settings.env").read_text().splitlines()]
    assert not any(line.startswith("OBSERVATORY_API_OPEN") for line in settings)
    assert not re.search("NodePort|LoadBalancer", text + "".join(path.read_text() for path in BASE.glob("*.yaml")))


def test_every_service_has_an_account_that_may_ask_the_cluster_nothing() -> None:
    """But the read model, which may list pods and Services (and whose account an image's login is given to, too)."""
    accounts = {name: service["spec"]["template"]["spec"].get("serviceAccountName") for name, service in SERVICES.items()}
    assert accounts == {name: "watcher" if name == "read-model" else "function" for name in SERVICES}


def test_no_credential_is_committed() -> None:
    assert not of_kind("Secret")
    for path in (*BASE.glob("*"), *(ROOT / "knative" / "overlays").rglob("*.*")):
        assert not re.search(r"(?i)password['\"]?\s*[:=]\s*['\"]?[\w-]{6,}", path.read_text()), path


def test_network_policies_name_pods_that_exist() -> None:
    apps = {each["spec"]["template"]["metadata"]["labels"]["app"] for kind in ("StatefulSet", "Deployment") for each in of_kind(kind).values()}
    named = {value for each in of_kind("NetworkPolicy").values() for value in re.findall(r"'app': '([\w-]+)'", str(each))}
    listed = {value for each in of_kind("NetworkPolicy").values()
              for rule in each["spec"]["podSelector"].get("matchExpressions", []) for value in rule.get("values", ())}  # fmt: skip
    assert named | listed <= apps | {"grafana"}


def is_picked(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector picks what has these labels (the operators that our policies use)."""
    held = {"In": lambda rule: labels.get(rule["key"]) in rule["values"], "Exists": lambda rule: rule["key"] in labels}
    return selector.get("matchLabels", {}).items() <= labels.items() and all(held[rule["operator"]](rule) for rule in selector.get("matchExpressions", ()))


def lets_in(policy: dict[str, Any], labels: dict[str, str], namespace: str, port: int) -> bool:
    def is_from(peer: dict[str, Any]) -> bool:
        home = {"kubernetes.io/metadata.name": namespace}
        there = is_picked(peer["namespaceSelector"], home) if "namespaceSelector" in peer else namespace == access.NAMESPACE
        return there and is_picked(peer.get("podSelector", {}), labels)

    rules = (rule for rule in policy["spec"].get("ingress", ()) if port in [each["port"] for each in rule.get("ports", [{"port": port}])])
    return any("from" not in rule or any(is_from(peer) for peer in rule["from"]) for rule in rules)


def may_reach(source: str, target: str, port: int) -> bool:
    """By all policies, as Kubernetes adds them up."""
    policies = [each for each in of_kind("NetworkPolicy").values() if is_picked(each["spec"]["podSelector"], PODS[target])]
    return not policies or any(lets_in(each, PODS.get(source, {}), source if source not in PODS else access.NAMESPACE, port) for each in policies)


BROKERS = {"eventing.knative.dev/broker": "observatory"}  # what eventing-rabbitmq labels its ingress and its dispatchers with
PODS = {
    **{name: {"serving.knative.dev/service": name, **({} if name == "word-count" else {"observatory.dev/function": "yes"})} for name in SERVICES},
    **{name: thing["spec"]["template"]["metadata"]["labels"] for kind in ("StatefulSet", "Deployment") for name, thing in of_kind(kind).items()},
    "broker-ingress": BROKERS, "dispatcher": BROKERS, "grafana": {"app": "grafana"}, "a-stranger": {"app": "a-stranger"},
}  # fmt: skip
STORES = (("postgres", 5432), ("redis", 6379), ("mongo", 27017))


def test_the_network_lets_pods_reach_what_they_need() -> None:
    """On a cluster whose network enforces policies; a container of a user's own is woken there, too."""
    needed = {(source, service, 8012) for service in SERVICES for source in ("knative-serving", "kourier-system")}
    needed |= {(function, store, port) for function in FUNCTIONS | OWN_PROCESSORS for store, port in STORES}
    needed |= {(function, "broker-ingress", 8080) for function in FUNCTIONS} | {("prometheus", function, 8080) for function in FUNCTIONS}
    needed |= {("broker-ingress", "rabbitmq", 5672), ("dispatcher", "rabbitmq", 5672), ("rabbitmq-system", "rabbitmq", 15672), ("proxy", "rabbitmq", 15672)}
    needed |= {("prometheus", "rabbitmq", 15692), ("prometheus", "alertmanager", 9093), ("proxy", "prometheus", 9090), ("elsewhere", "proxy", 3000)}
    needed |= {("proxy", "grafana", 3000), ("grafana", "prometheus", 9090)}
    assert {each for each in needed if not may_reach(*each)} == set()


def test_the_network_lets_nobody_else_reach_a_store_or_a_function() -> None:
    strangers = ("a-stranger", "word-count", "proxy", "dispatcher", "elsewhere")
    refused = {(stranger, target, port) for stranger in strangers for target, port in STORES}
    refused |= {(stranger, service, 8012) for stranger in strangers for service in SERVICES} | {("prometheus", "word-count", 8080)}
    refused |= {(stranger, "rabbitmq", 5672) for stranger in ("a-stranger", "word-count", "gateway", "elsewhere")}
    refused |= {(stranger, "broker-ingress", 8080) for stranger in ("a-stranger", "word-count", "elsewhere")}
    assert {each for each in refused if may_reach(*each)} == set()
