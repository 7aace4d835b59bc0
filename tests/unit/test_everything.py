"""`make test-all`: goes on after a failure, and its table says what became of each part."""

import re
from pathlib import Path

import pytest

from tests import everything
from tests.everything import PARTS, Outcome, Part, run, table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def make(tmp_path: Path) -> tuple[str, ...]:
    """A make whose targets `good`, `bad` and `plain` say what pytest would, and end so."""
    script = tmp_path / "make"
    script.write_text(
        '#!/bin/sh\ncase "$1" in\n'
        "  good) echo '12 passed, 3 skipped in 4.20s';;\n"
        "  bad) echo 'FAILED tests/a.py::b - assert 2 >= 3'; echo '1 failed, 12 passed in 4.20s (0:01:04)'; exit 2;;\n"
        "  plain) echo something; exit 3;;\nesac\n"
    )
    script.chmod(0o755)
    return (str(script),)


def test_each_part_runs_whatever_became_of_those_before(
    make: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(everything, "PARTS", (Part("bad", ""), Part("good", ""), Part("plain", ""), Part("none", "", lambda: "no kind on PATH")))
    monkeypatch.setattr(everything, "run", lambda part: run(part, make))
    assert everything.main() == 1
    shown = capsys.readouterr().out
    last = shown[shown.index("PART") :].splitlines()
    assert last.pop() == "bad: FAILED tests/a.py::b - assert 2 >= 3"
    assert [line.split()[:2] for line in last[1:4]] == [["bad", "FAILED"], ["good", "passed"], ["plain", "FAILED"]]
    assert [line.split("  ")[-1] for line in last[1:]] == ["1 failed, 12 passed", "12 passed, 3 skipped", "exit code 3", "no kind on PATH"]


def test_all_passed_is_a_success_and_what_was_not_run_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everything, "run", lambda part: Outcome(part, "not run" if part.target == "e2e" else "passed", 1.0, ""))
    assert everything.main() == 0
    assert "e2e           not run" in table([everything.run(part) for part in PARTS])


def test_named_parts_run_alone_and_an_unknown_one_is_refused_with_the_known(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[str] = []
    monkeypatch.setattr(everything, "run", lambda part: ran.append(part.target) or Outcome(part, "passed", 1.0, ""))
    assert everything.main(["test", "lint"]) == 0
    assert ran == ["lint", "test"]
    assert everything.main(["tset"]) == 2
    assert ran == ["lint", "test"]
    assert "no part is named tset; there are lint, test" in capsys.readouterr().err


def test_every_make_target_that_tests_is_a_part() -> None:
    targets = set(re.findall(r"^(lint|e2e|test[a-z-]*):.*## ", (ROOT / "Makefile").read_text(), re.M))
    assert targets - {"test-all"} == {part.target for part in PARTS}
