"""new-task: what it writes is tested, runs in the foreground, and is served as it stands."""

import json
import subprocess
from pathlib import Path

import pytest

from console.environment import ROOT
from tests.console.test_command_line import answer, console
from tests.support.system import running_system


def test_what_it_writes_passes_its_test_and_is_served(tmp_path: Path) -> None:
    made = answer(console("", "new-task", "my.long-words", "--folder", str(tmp_path), "--json"))
    assert made["test_passed"] and made["module"] == "my_long_words"
    assert [Path(file).name for file in made["files"]] == ["my_long_words.py", "my-long-words.v1.json", "test_my_long_words.py"]
    here = {"PYTHONPATH": str(tmp_path)}
    done = console("", "run", "my.long-words", "--text", "to be or not", "--at-least", "3", "--tasks", "my_long_words", environment=here)
    assert done.returncode == 0 and json.loads(done.stdout.partition("{")[1] + done.stdout.partition("{")[2]) == {"words": 1}, done.stderr
    with running_system(tmp_path / "data", OBSERVATORY_TASKS="my_long_words", **here) as system:
        assert json.loads(console("", "submit", "my.long-words", "--text", "to be", "--wait", "--url", system.url).stdout) == {"words": 2}
        assert console(system, "submit", "my.long-words", '{"txt": 1}').returncode == 3


def test_the_command_that_it_names_runs_its_test(tmp_path: Path) -> None:
    said = console("", "new-task", "my.words", "--folder", str(tmp_path)).stderr
    command = next(line.strip() for line in said.splitlines() if "-m unittest" in line)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0 and "Ran 2 tests" in done.stderr, done.stderr
    (tmp_path / "my_words.py").write_text((tmp_path / "my_words.py").read_text().replace("len(long_enough)", "len(words)"))
    assert subprocess.run(["sh", "-c", command], capture_output=True).returncode == 1  # the test is one


def test_the_commands_that_it_names_can_be_copied_whether_or_not_the_script_is_on_path(tmp_path: Path) -> None:
    def named(path: str) -> str:
        said = console("", "new-task", "my.words", "--folder", str(tmp_path / path), environment={"PATH": f"{tmp_path / path}:/usr/bin:/bin"}).stderr
        return next(line.strip() for line in said.splitlines() if " run my.words " in line)

    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "observatory").symlink_to(ROOT / "console" / "observatory")
    assert named("linked").startswith("observatory run ")
    done = subprocess.run(["sh", "-c", named("apart")], capture_output=True, text=True, cwd=tmp_path / "apart")
    assert done.returncode == 0 and '"words": 4' in done.stdout, done.stderr


@pytest.mark.parametrize(("name", "words"), [("words", "joined by dots"), ("My.words", "joined by dots"), ("my.words", "already")])
def test_what_cannot_be_is_a_sentence_and_writes_nothing(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "test_my_words.py").write_text("mine")
    done = console("", "new-task", name, "--folder", str(tmp_path))
    assert done.returncode == 2 and words in done.stderr, done.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("test_my_words.py", "mine")]


def test_a_type_that_is_there_is_refused_before_a_file_is_written(tmp_path: Path) -> None:
    done = console("http://127.0.0.1:9", "new-task", "text.statistics", "--folder", str(tmp_path))
    assert done.returncode == 2 and "there is a task text.statistics already" in done.stderr and not list(tmp_path.iterdir())
