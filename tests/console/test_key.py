"""The verb `key`, and how the command line and the client send a key: never by a flag, an address or an error."""

from pathlib import Path

import pytest

from console.client import Client
from contracts.access import Role, digest_of, parse_keys
from contracts.errors import ConfigurationError
from tests.console.test_command_line import NOWHERE, answer, console
from tests.support.keys import KEYS, SETTING
from tests.support.system import running_system


def test_a_key_is_printed_once_with_the_setting_to_add() -> None:
    done = console(NOWHERE, "key", "ada", "--role", "operate", environment={"OBSERVATORY_API_KEYS": SETTING})
    key, setting = done.stdout.strip(), done.stderr.rpartition("OBSERVATORY_API_KEYS=")[2].strip()
    assert setting.startswith(SETTING + ",") and key not in done.stderr
    made = parse_keys(setting)[-1]
    assert (made.name, made.role, made.digest) == ("ada", Role.OPERATE, digest_of(key.encode()))
    other = answer(console(NOWHERE, "key", "ada", "--json"))
    assert other["role"] == "read" and other["key"] != key and len(other["key"]) > 40


@pytest.mark.parametrize(("name", "words"), [("Ada L.", "name"), ("anonymous", "without a key"), ("the-read-key", "twice")])
def test_a_name_that_will_not_do_is_refused(name: str, words: str) -> None:
    done = console(NOWHERE, "key", name, environment={"OBSERVATORY_API_KEYS": SETTING})
    assert done.returncode == 2 and words in done.stderr and done.stdout == ""


def test_the_command_line_sends_its_key_and_says_where_one_belongs(tmp_path: Path) -> None:
    with running_system(tmp_path / "data", OBSERVATORY_API_KEYS=SETTING) as system:
        done = console(system, "list")
        assert done.returncode == 3 and "OBSERVATORY_API_KEY" in done.stderr
        assert console(system, "submit", "demo.noop", environment={"OBSERVATORY_API_KEY": KEYS["read"]}).returncode == 3
        sent = console(system, "submit", "demo.noop", "--wait", environment={"OBSERVATORY_API_KEY": KEYS["submit"]})
        assert sent.returncode == 0, sent.stderr
        findings = answer(console(system, "doctor", "--json", environment={"OBSERVATORY_DATA": str(tmp_path)}), 1)["items"]
        assert any("OBSERVATORY_API_KEY" in finding["mend"] for finding in findings)
        with Client(system.url, key=KEYS["read"]) as client:
            assert [job["actor"] for job in client.jobs()] == ["the-submit-key"]


@pytest.mark.parametrize("text", [SETTING, "a key", "kéy", 'k"'])
def test_what_is_no_key_is_not_sent_and_not_said(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBSERVATORY_API_KEY", text)
    with pytest.raises(ConfigurationError, match="OBSERVATORY_API_KEY ") as caught:
        Client(NOWHERE)
    assert text not in str(caught.value)
