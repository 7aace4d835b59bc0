"""Each log line of the system has a stable action, and each action stands in observability/README.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.test_imports import ROOT, modules

LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
FOLDERS = ("contracts", "eventing", "functions", "observability")


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Each call of a logger in the system's code: where, and the call."""
    for folder in FOLDERS:
        for name, path in modules(folder):
            if name.startswith("functions.examples"):
                continue
            for node in ast.walk(ast.parse(Path(path).read_text())):
                function = node.func if isinstance(node, ast.Call) else None
                if isinstance(function, ast.Attribute) and function.attr in LEVELS and isinstance(function.value, ast.Name) and function.value.id == "log":
                    yield f"{name}:{node.lineno}", node


def action_of(call: ast.Call) -> str | None:
    """The literal of `extra=about("...", ...)` or `extra={"action": "...", ...}`."""
    extra = next((word.value for word in call.keywords if word.arg == "extra"), None)
    if isinstance(extra, ast.Dict):
        found = {key.value: value.value for key, value in zip(extra.keys, extra.values, strict=True)
                 if isinstance(key, ast.Constant) and isinstance(value, ast.Constant)}  # fmt: skip
        return found.get("action")
    if not (isinstance(extra, ast.Call) and isinstance(extra.func, ast.Name) and extra.func.id == "about" and extra.args):
        return None
    first = extra.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def documented() -> list[str]:
    text = (ROOT / "observability" / "README.md").read_text()
    section = re.search(r"^## Log lines$(.*?)(?=^## )", text, re.M | re.S)
    assert section is not None
    return [action for row in re.findall(r"^\| (`[^|]+`) \| .+ \|$", section[1], re.M) for action in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)]


def test_each_log_line_has_an_action() -> None:
    without = [place for place, call in calls() if action_of(call) is None]
    assert without == [], 'write extra=about("noun.participle", ...), see contracts/log_fields.py'


def test_the_actions_are_those_of_the_readme() -> None:
    used = {action for _, call in calls() if (action := action_of(call)) is not None}
    listed = documented()
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == used, "observability/README.md lists them"


def test_sentences_are_templates_so_that_equal_lines_have_equal_words() -> None:
    """`log.info("job %s ...", job_id)`: never an f-string."""
    for place, call in calls():
        sentence = call.args[1 if isinstance(call.func, ast.Attribute) and call.func.attr == "log" else 0]
        assert isinstance(sentence, ast.Constant), place
