"""Progress for people and as JSON lines, checks that report, releases that are compared, certificates that hold."""

import base64
import io
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from knative.e2e import cluster, deploy, image, scale, tools, tunnel
from knative.e2e.__main__ import main
from knative.e2e.checks.report import run_checks, summary
from knative.e2e.kubectl import Kubectl
from knative.e2e.releases import Releases
from knative.e2e.secrets import connections
from knative.e2e.stages import Progress, StageFailed


def test_a_stage_is_told_as_lines_of_json() -> None:
    out, ticks = io.StringIO(), iter([0.0, 1.0, 3.5])
    progress = Progress(as_json=True, out=out, clock=lambda: next(ticks))
    with progress.stage("cluster", "takes a while") as stage:
        stage.tell("half")
        stage.result = "made"
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"stage": "cluster", "state": "begun", "seconds": 0.0, "message": "takes a while"},
        {"stage": "cluster", "state": "told", "seconds": 0.0, "message": "half"},
        {"stage": "cluster", "state": "done", "seconds": 2.5, "message": "made"},
    ]
    assert progress.took == [("cluster", 2.5)]


def test_a_failure_says_what_to_look_at_and_is_passed_on() -> None:
    out = io.StringIO()
    progress = Progress(out=out)
    with pytest.raises(StageFailed), progress.stage("deploy"):
        raise StageFailed("the pod does not start", "kubectl get pods")
    assert "FAILED" in out.getvalue() and "the pod does not start\nkubectl get pods" in out.getvalue()


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """A PATH with one kubectl on it, that answers as a cluster would which is not there."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def says(words: str) -> Path:
        kubectl = tmp_path / "kubectl"
        kubectl.write_text(f"#!/bin/sh\necho {shlex.quote(words)} >&2\nexit 1\n")
        kubectl.chmod(0o755)
        return kubectl

    return says


def test_each_command_that_asks_a_cluster_says_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch, no_cluster: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words, and as a line of JSON; an object that is not there is something else than a cluster that does not answer."""
    no_cluster('error: context "kind-observatory" does not exist')
    for verb in ("gate", "ports", "credentials", "demo-scale"):
        assert main([verb]) == 1
        said = capsys.readouterr()
        assert "does not answer" in said.out + said.err and "make cluster" in said.out + said.err, verb
        assert main([verb, "--json"]) == 1
        last = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert last["state"] == "failed" and "does not answer" in last["message"], verb
    monkeypatch.setenv("CLUSTER", "existing")
    assert main(["gate"]) == 1  # kubectl without a context asks localhost:8080, where an access point may answer
    assert "no current context" in capsys.readouterr().err
    monkeypatch.delenv("CLUSTER")
    no_cluster('Error from server (NotFound): services "access" not found')
    assert main(["gate", "--json"]) == 1
    assert "`make up` does it" in json.loads(capsys.readouterr().out)["message"]


def test_a_missing_docker_or_git_and_a_wrong_overlay_are_told_in_words(
    monkeypatch: pytest.MonkeyPatch, no_cluster: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    no_cluster("error: none")
    assert main(["deploy"]) == 1
    assert "git is not on the PATH" in capsys.readouterr().err
    monkeypatch.setattr(image, "digest_of", lambda paths: "0" * 12)
    assert main(["deploy"]) == 1
    assert "docker is not on the PATH" in capsys.readouterr().out
    monkeypatch.setenv("OVERLAY", "mine")
    assert main(["deploy"]) == 1
    assert capsys.readouterr().err == "error: there is no overlay 'mine'\nthere are existing, kind, kind-grafana\n"


def test_tasks_that_were_built_in_stay_until_none_are_named(no_cluster: Any) -> None:
    no_cluster("").write_text("#!/bin/sh\necho mine/tasks\n")
    assert [deploy.tasks_of(Kubectl(), named) for named in ("", "other", "none")] == ["mine/tasks", "other", ""]


def test_things_done_together_all_end_before_a_failure_is_raised() -> None:
    ended = []

    def fails() -> None:
        raise StageFailed("one of them")

    with pytest.raises(StageFailed, match="one of them"):
        Progress(out=io.StringIO()).together([fails, lambda: ended.append(1)])
    assert ended == [1]


def holds(it: object) -> str:
    return "seen"


def does_not_hold(it: object) -> str:
    raise AssertionError("2 jobs where 3 must be")


def breaks(it: object) -> str:
    raise KeyError("items")


def test_checks_go_on_after_a_failure_and_the_summary_names_it() -> None:
    out = io.StringIO()
    results = run_checks([does_not_hold, breaks, holds], None, out=out)
    lines = out.getvalue().splitlines()
    assert [line[:4] for line in lines] == ["FAIL", "FAIL", "PASS"]
    assert lines[0].endswith("does not hold: 2 jobs where 3 must be")
    assert json.loads(summary(results).as_json()) == {
        "check": "all", "state": "failed", "seconds": 0.0, "message": "1 passed, 2 failed\nfailed: does not hold, breaks"}  # fmt: skip
    assert json.loads(results[2].as_json())["state"] == "passed"


def test_a_folder_of_manifests_must_hold_every_file(tmp_path: Path) -> None:
    releases = Releases(str(tmp_path))
    (tmp_path / "serving-crds.yaml").write_text("kind: List\n")
    assert releases.text("serving-crds.yaml") == "kind: List\n"
    with pytest.raises(StageFailed, match=r"kourier\.yaml is not there"):
        releases.text("kourier.yaml")


def test_a_download_that_changes_behind_its_address_is_refused(tmp_path: Path) -> None:
    """The first download records its checksum; here the file that it left stands for the next one."""
    (tmp_path / "kourier.yaml").write_text("kind: List\n")
    releases = Releases("", tmp_path)
    assert releases.text("kourier.yaml") == "kind: List\n"
    (tmp_path / "kourier.yaml").write_text("kind: Evil\n")
    with pytest.raises(StageFailed, match="is not what it was"):
        releases.text("kourier.yaml")


def test_the_webhooks_certificate_is_of_its_service_and_its_own_authority() -> None:
    webhook = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "x"},
               "webhooks": [{"name": "a", "clientConfig": {"service": {"name": "webhook-service"}}}]}  # fmt: skip
    made = list(yaml.safe_load_all(cluster.topology_operator(yaml.safe_dump_all([webhook, {"kind": "Namespace", "metadata": {"name": "n"}}]))))
    assert [each["kind"] for each in made] == ["Namespace", "Secret", "ValidatingWebhookConfiguration"]
    text = made[1]["stringData"]["tls.crt"]
    assert base64.b64decode(made[2]["webhooks"][0]["clientConfig"]["caBundle"]).decode() == text
    names = x509.load_pem_x509_certificate(text.encode()).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert "webhook-service.rabbitmq-system.svc" in names.value.get_values_for_type(x509.DNSName)


def test_missing_programs_are_all_named_with_how_to_get_them() -> None:
    missing = tools.Tool("no-such-program", (1, 0), ("no-such-program",), "it from its maker")
    old = tools.Tool("python3", (99, 0), ("python3", "--version"), "a newer one")
    with pytest.raises(StageFailed, match=r"no-such-program is missing; install it from its maker\npython3 .* is too old; 99\.0 or later"):
        tools.check_tools([missing, old])


def test_connections_hold_the_passwords_that_were_generated() -> None:
    logins = {"postgres": {"POSTGRES_PASSWORD": "pg"}, "redis": {"REDIS_PASSWORD": "re"}, "mongo": {"MONGO_INITDB_ROOT_PASSWORD": "mo"}}
    urls = connections(logins, "observatory")
    assert urls["OBSERVATORY_POSTGRES_URL"] == "postgresql://observatory:pg@postgres.observatory.svc.cluster.local:5432/observatory"
    assert ":re@redis." in urls["OBSERVATORY_REDIS_URL"] and ":mo@mongo." in urls["OBSERVATORY_MONGO_URL"]


def test_the_operator_is_told_to_look_each_minute_whether_its_queues_are_there() -> None:
    operator = {"kind": "Deployment", "metadata": {"name": "operator"},
                "spec": {"template": {"spec": {"containers": [{"name": "manager", "env": [{"name": "A", "value": "1"}]}]}}}}  # fmt: skip
    made = list(yaml.safe_load_all(cluster.topology_operator(yaml.safe_dump_all([operator]))))
    (container,) = made[-1]["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "A", "value": "1"}, {"name": "SYNC_PERIOD", "value": "1m"}]


def test_samples_of_a_metric_are_added_up_by_its_whole_name() -> None:
    text = '# HELP acks x\nacks{protocol="amqp091"} 3\nacks{protocol="mqtt"} 1.5e1\nacks_more 9\nready 2\n'
    assert scale.total_of(text, "acks") == 18 and scale.total_of(text, "ready") == 2 and scale.total_of(text, "none") == 0


def test_access_points_are_where_kind_maps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLUSTER", raising=False)
    with tunnel.addresses(Kubectl()) as addresses:
        assert addresses["gateway"] == "http://localhost:3000" and len(addresses) == 6


def test_of_a_cluster_that_is_there_only_what_it_needs_is_changed() -> None:
    """Its ingress of choice and its registries are its owner's."""
    assert set(cluster.settings_of_serving(is_kind=False)) == {"config-features"}
    assert set(cluster.settings_of_serving(is_kind=True)) == {"config-features", "config-network", "config-deployment"}
