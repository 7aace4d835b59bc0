"""`python -m knative.e2e VERB`: what the make targets of the cluster call."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from knative.e2e import access, cluster, deploy, down, event_types, ports, releases, scale
from knative.e2e.access import NAMESPACE
from knative.e2e.checks import breaking, gate
from knative.e2e.checks.deployment import Deployment
from knative.e2e.checks.report import Check, run_checks, summary
from knative.e2e.shell import ROOT
from knative.e2e.stages import Progress, StageFailed

Given = argparse.Namespace
EXAMPLE_TASKS = "functions/examples/greetings"


def make_cluster(progress: Progress, given: Given) -> int:
    cluster.ensure_cluster(progress, releases.from_environment())
    return 0


def make_deploy(progress: Progress, given: Given) -> int:
    deploy.deploy(progress, tasks=given.tasks)
    return 0


def make_ports(progress: Progress, given: Given) -> int:
    ports.check_ports(progress)
    progress.say("\n" + ports.table(cluster.kubectl().within(NAMESPACE)))
    return 0


def make_up(progress: Progress, given: Given) -> int:
    for verb in (make_cluster, make_deploy, make_ports):
        verb(progress, given)
    return 0


def make_gate(progress: Progress, given: Given) -> int:
    with Deployment.opened() as it:
        return _checked(progress, gate.CHECKS, it)


def make_e2e(progress: Progress, given: Given) -> int:
    """Up (with the example's tasks built in), gate, and the checks that break things; the cluster stays unless KEEP=0."""
    api = cluster.kubectl().within(NAMESPACE)
    if cluster.is_existing():
        breaking.allow_breaking(api)
    given.tasks = deploy.tasks_of(api, given.tasks) or EXAMPLE_TASKS
    make_up(progress, given)
    breaking.allow_breaking(api)
    with Deployment.opened() as it:
        code = _checked(progress, (*gate.CHECKS, *breaking.CHECKS), it)
    if os.environ.get("KEEP", "1") == "0":
        down.down(progress)
    return code


def _checked(progress: Progress, checks: Sequence[Check], it: Deployment) -> int:
    results = run_checks(checks, it, as_json=progress.as_json)
    whole = summary(results)
    print(whole.as_json() if progress.as_json else f"\n{whole.message}", flush=True)
    return 0 if whole.passed else 1


def make_down(progress: Progress, given: Given) -> int:
    down.down(progress)
    return 0


def show_credentials(progress: Progress, given: Given) -> int:
    print(ports.credentials(as_json=progress.as_json))
    return 0


def show_scale(progress: Progress, given: Given) -> int:
    with Deployment.opened() as it:
        scale.demo_scale(progress, it, given.jobs)
    return 0


def write_proxy(progress: Progress, given: Given) -> int:
    Path(ROOT / "knative" / "base" / "envoy.yaml").write_text(access.proxy_configuration(access.operations()))
    return 0


def write_event_types(progress: Progress, given: Given) -> int:
    Path(ROOT / "eventing" / "manifests" / "500-event-types.yaml").write_text(event_types.event_types())
    return 0


VERBS: dict[str, tuple[Callable[[Progress, Given], int], str]] = {
    "cluster": (make_cluster, "a kind cluster with Knative and the RabbitMQ Broker"),
    "deploy": (make_deploy, "images, credentials and manifests into the cluster"),
    "ports": (make_ports, "opens every access point and shows the table"),
    "up": (make_up, "cluster, deploy and ports: one click"),
    "gate": (make_gate, "the checks that harm nothing"),
    "e2e": (make_e2e, "up, gate, and the checks that break things"),
    "down": (make_down, "removes everything"),
    "credentials": (show_credentials, "login and address of every access point"),
    "demo-scale": (show_scale, "pods, depth and throughput while a burst arrives and drains"),
    "proxy": (write_proxy, "writes knative/base/envoy.yaml from the OpenAPI document"),
    "event-types": (write_event_types, "writes eventing/manifests/500-event-types.yaml from the contracts"),
}
TIMED = ("cluster", "deploy", "up", "e2e")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m knative.e2e", description="The cluster by command. CLUSTER=existing uses the current context.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (_, words) in VERBS.items():
        verb = verbs.add_parser(name, help=words)
        verb.add_argument("--json", action="store_true", help="progress as JSON lines: stage, state, seconds, message")
        verb.add_argument("--tasks", default=os.environ.get("TASKS", ""), help="a package of tasks to build in: path/to/package (none: no more)")
        verb.add_argument("--jobs", type=int, default=300, help="how many jobs demo-scale submits")
    given = parser.parse_args(arguments)
    progress = Progress(as_json=given.json)
    try:
        code = VERBS[given.verb][0](progress, given)
    except StageFailed as error:
        if progress.as_json:
            progress.failed(given.verb, error)
        elif not error.is_told:
            print(f"error: {error.words}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; said again, it goes on where it was", file=sys.stderr)
        return 130
    if given.verb in TIMED:
        progress.summary()
    return code


if __name__ == "__main__":
    sys.exit(main())
