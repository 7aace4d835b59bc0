"""The guard alone: what it decides by headers and addresses, without a server."""

from typing import Any

import pytest

from contracts.access import Role, key_of
from contracts.errors import HostNotServed, NotFromHere, RoleTooLow, Unadmitted, Unauthenticated
from functions.runtime.access import Rules
from functions.runtime.guard import ACTOR, REMEMBERED, Guard

READER, OPERATOR = key_of("ada", "read", "key-of-ada"), key_of("bob", "operate", "key-of-bob")


def scope(server: str | None = "127.0.0.1", port: int | None = 8080, **headers: str) -> dict[str, Any]:
    given = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    return {"http_version": "1.1", "server": None if server is None else (server, port), "headers": raw}


def test_a_key_opens_what_its_role_may_and_names_the_actor() -> None:
    guard = Guard(Rules(keys=(READER, OPERATOR)))
    asked = scope(authorization="Bearer key-of-bob")
    guard.admit(asked, Role.OPERATE)
    assert asked[ACTOR] == "bob"
    guard.admit(scope(authorization="bearer  key-of-ada "), Role.READ)
    with pytest.raises(RoleTooLow, match="ada may read") as refused:
        guard.admit(scope(authorization="Bearer key-of-ada"), Role.SUBMIT)
    assert 'scope="submit"' in refused.value.challenge


@pytest.mark.parametrize("given", [{}, {"authorization": "Bearer"}, {"authorization": "Bearer "}, {"authorization": "Bearer key-of-bo"},
                                   {"authorization": "Basic a2V5LW9mLWJvYg=="}, {"authorization": "key-of-bob"}, {"x_api_key": "key-of-bob"}])  # fmt: skip
def test_whatever_is_no_key_is_a_stranger(given: dict[str, str]) -> None:
    guard = Guard(Rules(keys=(READER, OPERATOR)))
    with pytest.raises(Unauthenticated) as refused:
        guard.admit(scope(**given), Role.READ)
    assert "key-of" not in str(refused.value) + refused.value.challenge
    assert guard.is_stranger(scope(**given))
    guard.admit(scope(**given), None)


def test_every_key_is_compared_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the first or the last key fits or none does, the same comparisons are made."""
    compared: list[bytes] = []
    monkeypatch.setattr("functions.runtime.guard.compare_digest", lambda a, b: compared.append(a) or a == b)
    guard = Guard(Rules(keys=(READER, OPERATOR)))
    for key in ("key-of-ada", "key-of-bob", "key-of-nobody"):
        compared.clear()
        guard.is_stranger(scope(authorization=f"Bearer {key}"))
        assert compared == [READER.digest, OPERATOR.digest]


@pytest.mark.parametrize(("server", "port", "let_in"), [("127.0.0.1", 8080, True), ("::1", 8080, True), ("10.0.0.5", 8080, False),
                                                        ("/run/observatory.sock", None, True), (None, None, True)])  # fmt: skip
def test_without_keys_the_address_that_was_reached_must_be_this_machines_own(server: str | None, port: int | None, let_in: bool) -> None:
    """A function alone may have been started on any address; a Host header proves nothing."""
    if let_in:
        Guard(Rules()).admit(scope(server, port), Role.OPERATE)
        return
    with pytest.raises(NotFromHere, match="OBSERVATORY_API_KEYS"):
        Guard(Rules()).admit(scope(server, port), Role.READ)
    Guard(Rules(is_open=True)).admit(scope(server, port), Role.OPERATE)
    Guard(Rules(keys=(OPERATOR,))).admit(scope(server, port, authorization="Bearer key-of-bob"), Role.OPERATE)


def test_open_to_the_network_still_goes_by_configured_names() -> None:
    with pytest.raises(HostNotServed):
        Guard(Rules(is_open=True)).admit(scope("10.0.0.5", host="evil.example"), Role.READ)
    Guard(Rules(is_open=True, hosts=frozenset({"*"}))).admit(scope("10.0.0.5", host="anything"), Role.READ)


def test_names_made_up_by_strangers_are_not_remembered() -> None:
    guard = Guard(Rules(hosts=frozenset({"*"})))
    for number in range(10 * REMEMBERED):
        guard.admit(scope(host=f"h{number}.example"), Role.READ)
    assert len(guard._served) <= REMEMBERED
    assert not guard._local or guard._local == {"127.0.0.1": True}


def test_everything_that_is_turned_away_is_of_one_kind() -> None:
    """By that kind, refusals at the door leave no trace in the store."""
    assert {RoleTooLow, Unauthenticated, NotFromHere, HostNotServed} <= set(Unadmitted.__subclasses__())
