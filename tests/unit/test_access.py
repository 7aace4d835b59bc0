"""Keys and rules as settings say them: what is taken, and what is refused in words that give nothing away."""

import pytest

from contracts.access import Role, digest_of, key_of, parse_keys
from contracts.errors import ConfigurationError
from functions.runtime import settings
from functions.runtime.access import is_loopback, require_keys_or_loopback

SECRET = "dto_0123456789-abcdefghijklmnopqrstuvwxyz"
ENTRY = key_of("ada", "operate", SECRET).setting()


def test_an_entry_is_read_as_it_was_made() -> None:
    (key,) = parse_keys(f" {ENTRY}, ")
    assert (key.name, key.role, key.digest) == ("ada", Role.OPERATE, digest_of(SECRET.encode()))
    assert SECRET not in ENTRY and SECRET not in repr(key)


def test_each_role_may_all_that_the_one_before_may() -> None:
    assert Role.READ < Role.SUBMIT < Role.OPERATE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SECRET, "entry 1"), (f"ada:operate:{SECRET}", "SHA-256"), ("ada:operate", "name:role:sha256hex"), (f"{ENTRY}:x", "name:role:sha256hex"),
        (ENTRY.replace("operate", "admin"), "read, submit, operate"), (ENTRY.replace("ada", "Ada L."), "name"),
        (ENTRY.replace("ada", "anonymous"), "without a key"),
        (f"{ENTRY},{ENTRY}", "twice"), (f"{ENTRY},{ENTRY.replace('ada', 'bob')}", "two names"), (f"{ENTRY},x", "entry 2"),
    ],
)  # fmt: skip
def test_what_is_no_list_of_keys_is_refused_without_saying_what_it_was(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        settings.load({"OBSERVATORY_API_KEYS": text})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OBSERVATORY_ALLOWED_HOSTS", "http://a.example"), ("OBSERVATORY_ALLOWED_HOSTS", "a b"), ("OBSERVATORY_CORS_ORIGINS", "a.example"),
        ("OBSERVATORY_CORS_ORIGINS", "https://a.example/path"), ("OBSERVATORY_CORS_ORIGINS", "null"), ("OBSERVATORY_CORS_ORIGINS", "*"),
        ("OBSERVATORY_METRICS_ACCESS", "public"), ("OBSERVATORY_API_OPEN", "maybe"),
    ],
)  # fmt: skip
def test_a_rule_that_makes_no_sense_names_its_setting(variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        settings.load({variable: text})


def test_settings_never_show_their_keys() -> None:
    assert ENTRY.rpartition(":")[2] not in repr(settings.load({"OBSERVATORY_API_KEYS": ENTRY}))


def test_handlers_do_not_inherit_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBSERVATORY_API_KEYS", ENTRY)
    assert "OBSERVATORY_API_KEYS" not in settings.environment(settings.load())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "jobs.example.com"])
def test_an_address_that_others_reach_needs_keys_or_a_word_of_the_operator(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"OBSERVATORY_API_KEYS.*OBSERVATORY_API_OPEN"):
        require_keys_or_loopback(host, settings.load({"OBSERVATORY_HOST": host}).rules)
    require_keys_or_loopback(host, settings.load({"OBSERVATORY_HOST": host, "OBSERVATORY_API_KEYS": ENTRY}).rules)
    require_keys_or_loopback(host, settings.load({"OBSERVATORY_HOST": host, "OBSERVATORY_API_OPEN": "1"}).rules)


@pytest.mark.parametrize("name", ["localhost", "app.localhost", "localhost.", "127.0.0.1", "127.8.9.10", "[::1]", "::1", "::ffff:127.0.0.1"])
def test_loopback_goes_by_these_names(name: str) -> None:
    assert is_loopback(name)
    require_keys_or_loopback(name, settings.load({}).rules)


@pytest.mark.parametrize("name", ["", "localhost.example.com", "127.0.0.1.nip.io", "0.0.0.0", "[::]", "2130706433", "10.0.0.1", "127.1"])
def test_nothing_else_is_loopback(name: str) -> None:
    assert not is_loopback(name)
