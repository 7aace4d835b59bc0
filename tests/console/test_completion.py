"""Completion: what may stand next, live from a running system, and by the scripts in the shells themselves."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from console import cli, contexts
from console.completing import candidates
from console.contexts import Context
from console.verbs.completion import split
from tests.console.test_command_line import answer, console
from tests.support.servers import REQUIRED
from tests.support.system import ROOT, System

QUEUES = ["bulk", "default", "io"]


@pytest.fixture(autouse=True)
def environment(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBSERVATORY_URL", system.url)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def found(line: str) -> list[str]:
    return [text for text, _ in candidates(split(line))]


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("o s", ["schedules", "show", "stats", "submit"]),
        ("o --js", ["--json"]),
        ("o submit text", ["text.statistics"]),
        ("o run file", ["file.digest"]),
        ("o submit demo.fail ", ["kill_worker=", "message=", "permanent=", "times="]),
        ("o submit demo.fail times=1 per", ["permanent="]),
        ("o submit demo.fail times=1 t", []),
        ("o submit demo.fail permanent=", ["permanent=false", "permanent=true"]),
        ("o submit demo.fail --kill", ["--kill-worker"]),
        ("o submit file.digest --algorithm sha5", ["sha512"]),
        ("o schedules put nightly demo.noop --every 5m --timezone Europe/Berl", ["Europe/Berlin"]),
        ("o schedules put nightly demo.sleep sec", ["seconds="]),
        ("o submit demo.noop --queue ", QUEUES),
        ("o --json queues pause ", QUEUES),
        ("o submit demo.noop --queue=b", ["--queue=bulk"]),
        ("o submit text.statistics @READ", ["@README.md"]),
        ("o list --state failed,re", ["failed,retrying"]),
        ("o list state:fai", ["state:failed"]),
        ("o list 'state:failed ty", ["state:failed type:"]),
        ("o bulk retry -type:demo.f", ["-type:demo.fail"]),
        ("o bulk discard trig", ["trigger:"]),
        ("o watch stat", ["state:"]),
        ("o events --type job.su", ["job.succeeded"]),
        ("o dead-letters --status ", ["discarded", "kept", "replayed", "resolved"]),
        ("o completion ", ["bash", "fish", "zsh"]),
        ("o help wat", ["watch"]),
        ("o odd ", []),
    ],
)
def test_what_may_stand_next(line: str, some: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert found(line) == some


def test_jobs_are_completed_by_what_can_be_done_with_them(system: System) -> None:
    waiting = system.submit("demo.noop", delay_seconds=3600, tags=["completed"])
    failed = system.submit("demo.fail", {"times": 1, "permanent": True})
    system.ended(failed)
    assert waiting in found("o cancel ") and waiting in found("o show ") and waiting not in found("o retry ")
    assert failed in found("o retry ") and failed not in found("o watch ")
    assert ("demo.fail failed") in [meaning for text, meaning in candidates(["retry", failed[:30]]) if text == failed]
    system.request("POST", f"/v1/jobs/{waiting}/cancel")


def test_contexts_are_completed_and_asked(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts.add(Context("here", system.url))
    monkeypatch.setenv("OBSERVATORY_URL", "http://127.0.0.1:9")
    assert found("o list --context ") == ["here"] == found("o contexts use h")
    assert found("o queues pause ") == []
    assert found("o queues pause --context here ") == QUEUES


def test_every_verb_completes_its_options() -> None:
    for verb in cli.VERBS:
        assert "--json" in found(f"o {verb.name} --"), verb.name


def test_what_goes_wrong_stays_quiet(tmp_path: Path) -> None:
    (tmp_path / "observatory").mkdir()
    (tmp_path / "observatory" / "console.json").write_text("{")
    done = console("http://127.0.0.1:9", "__complete", "words", "show", "", environment={"XDG_CONFIG_HOME": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = console("", "__complete", "words", "queues", "pause", "", environment={"XDG_CONFIG_HOME": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ---- in the shells ----------------------------------------------------------------------------------------------


def in_shell(shell: str, script: str, system: System) -> list[str]:
    if shutil.which(shell) is None:
        assert not REQUIRED, f"{shell} is not installed here"
        pytest.skip(f"{shell} is not installed here")
    plain = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    variables = {**{k: v for k, v in os.environ.items() if not k.startswith("OBSERVATORY_")}, "OBSERVATORY_URL": system.url}
    done = subprocess.run([shell, *plain, "-c", script], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, (done.stdout, done.stderr)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "word", "replies"),
    [
        ("observatory queues pa", "pa", ["pause "]),
        ("observatory submit demo.fail permanent=", "", ["false ", "true "]),
        ("observatory submit demo.fail permanent=t", "t", ["true "]),
        ("observatory list state:fa", "fa", ["failed "]),
        ("observatory list state:", "", None),
        ("console/observatory list 'state:failed ty", "state:failed ty", ["state:failed type:"]),
        ("observatory submit text.statistics @READ", "@READ", ["@README.md "]),
    ],
)
def test_bash(system: System, line: str, word: str, replies: list[str] | None) -> None:
    """`word` is what readline replaces and gives as the second argument: `@` belongs to it, what stands before `=` and `:` does not."""
    call = f"COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}; _observatory observatory {shlex.quote(word)}"
    got = in_shell("bash", f"source <(console/observatory completion bash); {call}; printf '%s\\n' \"${{COMPREPLY[@]}}\"", system)
    assert got == replies if replies else {"failed ", "queued "} < set(got)


def test_zsh(system: System) -> None:
    stubs = "compdef() { : }; compadd() { print -r -- \"$argv[-1]\" ${(P)argv[-1]} }; _files() { print files }"
    call = "words=(observatory queues pause ''); CURRENT=4; _observatory; words=(observatory list \"'state:fa\"); CURRENT=3; _observatory"
    call += "; words=(observatory contracts check REA); CURRENT=4; _observatory"
    got = in_shell("zsh", f"{stubs}; source <(console/observatory completion zsh); {call}", system)
    assert got == ["texts bulk default io", "open", "texts state:failed", "open", "files"]


def test_fish(system: System) -> None:
    asked = "complete -C 'observatory queues pause '; complete -C 'observatory submit text'; complete -C 'observatory contracts check READ'"
    got = in_shell("fish", f"console/observatory completion fish | source; {asked}", system)
    assert [line.split("\t")[0] for line in got] == [*QUEUES, "text.statistics", "README.md"]
    assert "Counts lines" in got[-2]


def test_the_verb_prints_a_script_for_each_shell() -> None:
    for shell in ("bash", "zsh", "fish"):
        done = console("", "completion", shell)
        assert f"{ROOT}/console/observatory __complete" in done.stdout
        assert answer(console("", "completion", shell, "--json"))["script"] == done.stdout
    assert console("", "completion", "tcsh").returncode == 2
