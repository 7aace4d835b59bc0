"""Who may do what: three roles, and keys as a server keeps them, by their SHA-256 alone.

A key is 256 random bits, so one round of SHA-256 hides it: there is no dictionary of such keys to try. Passwords would
need a slow hash; a key that a person thought up is one.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

from contracts.errors import ConfigurationError

KEY_PREFIX = "dto_"
ANONYMOUS = "anonymous"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
FORM = "name:role:sha256hex"


class Role(IntEnum):
    """Each may all that the one before it may."""

    READ = 1
    """Looks: jobs, events, statistics, the live stream."""
    SUBMIT = 2
    """Makes jobs: submits, runs again."""
    OPERATE = 3
    """Decides about all jobs: cancels, retries, pauses, schedules, dead letters."""

    @property
    def word(self) -> str:
        return self.name.lower()


ROLES = {role.word: role for role in Role}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as kept: who holds it, what it opens, and its SHA-256."""

    name: str
    role: Role
    digest: bytes

    def setting(self) -> str:
        """Its entry of OBSERVATORY_API_KEYS."""
        return f"{self.name}:{self.role.word}:{self.digest.hex()}"


def digest_of(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def key_of(name: str, role: str, key: str) -> ApiKey:
    """A key to be kept. Raises ConfigurationError."""
    return ApiKey(checked_name(name), role_of(role), digest_of(key.encode()))


def checked_name(name: str) -> str:
    """The name, as it will stand in the log. Raises ConfigurationError."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError("a key's name takes 1 to 63 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit")
    if name == ANONYMOUS:
        raise ConfigurationError(f"{ANONYMOUS} is what the log calls whoever came without a key; call the key after who holds it")
    return name


def role_of(word: str) -> Role:
    """The role of that name. Raises ConfigurationError."""
    if word not in ROLES:
        raise ConfigurationError(f"a key's role is one of {', '.join(ROLES)}")
    return ROLES[word]


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """The keys of `name:role:sha256hex,...`. Raises ConfigurationError that tells which entry, and never what stood there:
    somebody may have put the key itself."""
    entries = [entry.strip() for entry in text.split(",")]
    keys = [_parse_key(number, entry) for number, entry in enumerate(entries, 1) if entry]
    names = [key.name for key in keys]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"OBSERVATORY_API_KEYS names {', '.join(twice)} twice; the name is what the log tells keys apart by")
    if len({key.digest for key in keys}) < len(keys):
        raise ConfigurationError("OBSERVATORY_API_KEYS has one key under two names; give each holder a key of their own")
    return tuple(keys)


def _parse_key(number: int, entry: str) -> ApiKey:
    name, role, digest, *more = [*entry.split(":"), "", ""]
    try:
        if len(more) != 2:
            _refuse(f"it is not {FORM}")
        if not _DIGEST.fullmatch(digest.lower()):
            _refuse("its third part is no SHA-256 in hex (64 digits); `python -m console key NAME` prints the entry")
        return ApiKey(checked_name(name), role_of(role), bytes.fromhex(digest))
    except ConfigurationError as error:
        raise ConfigurationError(f"entry {number} of OBSERVATORY_API_KEYS is not usable: {error}") from None


def _refuse(words: str) -> NoReturn:
    raise ConfigurationError(words)
