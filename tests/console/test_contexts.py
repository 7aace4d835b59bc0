"""Named contexts: a file of the user's, one key a context, and which server is meant."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from console import contexts, filters
from console.client import AsyncClient, Client
from console.contexts import Context
from contracts.errors import ConfigurationError
from tests.console.test_command_line import answer, console
from tests.support.keys import KEYS, SETTING
from tests.support.system import System, running_system

HERE = "http://127.0.0.1:8080"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("URL", "CONTEXT", "API_KEY", "HOST", "PORT"):
        monkeypatch.delenv(f"OBSERVATORY_{name}", raising=False)
    return tmp_path / "observatory"


def test_the_first_that_names_a_server_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    contexts.add(Context("prod", "https://jobs.example"), "prod-key")
    contexts.add(Context("stage", "https://stage.example"))
    monkeypatch.setenv("OBSERVATORY_API_KEY", "env-key")

    def meant(**given: Any) -> tuple[str, str | None, bool]:
        server = contexts.server(**given)
        return server.url, server.key, server.is_given

    assert meant() == (HERE, "env-key", False)
    contexts.use("prod")
    assert meant() == ("https://jobs.example", "prod-key", True)
    monkeypatch.setenv("OBSERVATORY_CONTEXT", "stage")
    assert meant() == ("https://stage.example", "env-key", True)
    monkeypatch.setenv("OBSERVATORY_URL", "http://there:1")
    assert meant() == ("http://there:1", "env-key", True)
    assert meant(name="prod") == ("https://jobs.example", "prod-key", True)
    assert meant(url="https://jobs.example") == ("https://jobs.example", "env-key", True)
    with pytest.raises(ConfigurationError, match="not both"):
        meant(url=HERE, name="prod")
    with pytest.raises(ConfigurationError, match="did you mean prod"):
        meant(name="prd")


def test_clients_go_by_a_context() -> None:
    contexts.add(Context("prod", "https://jobs.example"), "prod-key")
    for client in (Client.from_context("prod"), AsyncClient.from_context("prod")):
        assert client.url == "https://jobs.example"
        assert client._http.headers["authorization"] == "Bearer prod-key"
    assert Client().url == HERE


def test_a_key_lies_in_a_file_of_its_own_and_others_may_not_read_it(home: Path) -> None:
    contexts.add(Context("prod", "https://jobs.example"), "prod-key")
    kept = home / "keys" / "prod"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "prod-key" not in (home / "console.json").read_text()
    kept.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        contexts.server(name="prod")
    contexts.remove("prod")
    assert not kept.exists() and contexts.known() == {}
    with pytest.raises(ConfigurationError) as refused:
        contexts.add(Context("prod", "https://jobs.example"), "two words")
    assert "two words" not in str(refused.value)


def test_removing_the_context_in_use_leaves_none() -> None:
    contexts.add(Context("prod", "https://jobs.example"))
    contexts.use("prod")
    contexts.remove("prod")
    assert contexts.current() == ""
    assert contexts.server().url == HERE


def test_a_plain_address_is_a_context_too_and_filters_live_beside_it(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "console.json").write_text(json.dumps({"contexts": {"old": "jobs.example:81"}, "filters": {"bad": "state:failed"}}))
    contexts.add(Context("new", HERE, "red"))
    filters.keep({**filters.kept(), "mine": "tag:x"})
    assert {name: (context.url, context.colour) for name, context in contexts.known().items()} == {"new": (HERE, "red"), "old": ("http://jobs.example:81", "")}
    assert filters.kept() == {"bad": "state:failed", "mine": "tag:x"}


@pytest.mark.parametrize("text", ["{", "[]", '{"contexts": {"x": {}}}', '{"contexts": []}', '{"contexts": {"x": "ftp://y"}}'])
def test_a_file_that_cannot_be_understood_is_named_and_left_alone(home: Path, text: str) -> None:
    home.mkdir(parents=True)
    (home / "console.json").write_text(text)
    done = console("http://127.0.0.1:9", "contexts", environment={"XDG_CONFIG_HOME": str(home.parent)})
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    if text[0] != "{" or text == "{":
        filters.keep({"mine": "tag:x"})
        assert (home / "console.json").read_text() == text


def test_the_verb_keeps_uses_and_forgets(home: Path) -> None:
    def verb(*words: str, stdin: str = "", code: int = 0) -> Any:
        return answer(console("", "contexts", *words, "--json", stdin=stdin, environment={"XDG_CONFIG_HOME": str(home.parent)}), code)

    (made,) = verb("add", "prod", "https://jobs.example/", "--colour", "red", "--key", stdin="obs_secret\n")["items"]
    assert made == {"name": "prod", "url": "https://jobs.example", "colour": "red", "has_key": True, "in_use": False}
    assert verb("use", "prod")["items"][0]["in_use"]
    text = console("", "contexts", environment={"XDG_CONFIG_HOME": str(home.parent)})
    assert "obs_secret" not in text.stdout + text.stderr and "the context in use: prod" in text.stderr
    assert verb("use")["items"][0]["in_use"] is False
    assert verb("remove", "prod")["items"] == []
    for words in (["add", "no name", HERE], ["add", "x"], ["use", "none"], ["remove", "none"], ["add", "x", "http://user:pass@there"], ["odd"]):
        assert console("", "contexts", *words, environment={"XDG_CONFIG_HOME": str(home.parent)}).returncode == 2, words


def test_a_context_s_key_opens_its_server(tmp_path: Path) -> None:
    with running_system(tmp_path / "data", OBSERVATORY_API_KEYS=SETTING) as system:
        run_by_context(system, KEYS["operate"], {"XDG_CONFIG_HOME": str(tmp_path)})


def run_by_context(system: System, secret: str, here: dict[str, str]) -> None:
    assert console("", "contexts", "add", "keyed", system.url, "--key", stdin=secret, environment=here).returncode == 0
    assert console("", "submit", "demo.noop", "--wait", "--context", "keyed", environment=here).returncode == 0
    without = console(system, "list", environment=here)
    assert without.returncode == 3 and "contexts add" in without.stderr
