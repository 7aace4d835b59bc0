"""The console's only reader of os.environ."""

import os
import re
import shlex
import shutil
from pathlib import Path

from contracts.errors import ConfigurationError

OWN = frozenset(f"OBSERVATORY_{name}" for name in ("URL", "CONTEXT", "API_KEY", "DEBUG", "COLOUR", "PROGRAM"))
"""The variables that the console alone reads."""
ROOT = Path(__file__).resolve().parents[1]
_OTHERS = ("OBSERVATORY_TEST_", "OBSERVATORY_SERVER_", "OBSERVATORY_MONGO_SERVER", "OBSERVATORY_PROGRAM")
_KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def server_url() -> str:
    """OBSERVATORY_URL; without it, where `make run` listens by OBSERVATORY_HOST and OBSERVATORY_PORT."""
    given = os.environ.get("OBSERVATORY_URL", "").strip()
    if given:
        return given
    host = os.environ.get("OBSERVATORY_HOST", "").strip() or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    port = os.environ.get("OBSERVATORY_PORT", "").strip()
    return f"http://{host}:{port if port not in ('', '0') else '8080'}"


def server_url_is_given() -> bool:
    """Whether somebody named the server, so that its absence is a fault and no default."""
    return bool(os.environ.get("OBSERVATORY_URL", "").strip())


def api_key() -> str | None:
    """OBSERVATORY_API_KEY: the key sent as a bearer token. It has no flag, because command lines are public.

    Raises ConfigurationError, which does not say what stands there.
    """
    key = os.environ.get("OBSERVATORY_API_KEY", "").strip()
    return checked_key(key, "OBSERVATORY_API_KEY") if key else None


def checked_key(key: str, where: str) -> str:
    """A key that a header can carry. Raises ConfigurationError, which does not say what stands there."""
    if not _KEY.fullmatch(key):
        raise ConfigurationError(
            f"{where} is no key: it takes letters, digits and -._~+/= (RFC 6750). "
            "An entry with colons belongs into OBSERVATORY_API_KEYS, the server's setting"
        )
    return key


def program() -> str:
    """What the command line is called in its own words: the script `observatory` says so by OBSERVATORY_PROGRAM."""
    return os.environ.get("OBSERVATORY_PROGRAM", "").strip() or "python -m console"


def runnable(folder: Path) -> str:
    """How the command line is called in that folder: `observatory` where that is on PATH, else by the path of its script."""
    script = ROOT / "console" / "observatory"
    found = shutil.which(script.name)
    if found and Path(found).resolve() == script.resolve():
        return script.name
    return str(script.relative_to(ROOT)) if folder.resolve() == ROOT else shlex.quote(str(script))


def context() -> str:
    """OBSERVATORY_CONTEXT: the named context that is meant; empty for none."""
    return os.environ.get("OBSERVATORY_CONTEXT", "").strip()


def traceparent() -> str | None:
    """TRACEPARENT: the trace that this process is part of, as tracing tools hand it to programs, and workers to handlers."""
    return os.environ.get("TRACEPARENT", "").strip() or None


def api_keys() -> str:
    """OBSERVATORY_API_KEYS, as the server reads it."""
    return os.environ.get("OBSERVATORY_API_KEYS", "")


def data_folder() -> Path:
    """OBSERVATORY_DATA, as `make run` reads it."""
    return Path(os.environ.get("OBSERVATORY_DATA", "").strip() or ".observatory")


def task_modules() -> list[str]:
    """OBSERVATORY_TASKS: further task modules."""
    return [name.strip() for name in os.environ.get("OBSERVATORY_TASKS", "").split(",") if name.strip()]


def given_settings() -> list[str]:
    """The names of our variables that are set, but those of tests and of servers that tests start."""
    return sorted(name for name, value in os.environ.items() if name.startswith("OBSERVATORY_") and value and not name.startswith(_OTHERS))


def wants_colour() -> bool:
    """False when NO_COLOR is set (no-color.org) or the terminal is dumb."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in ("", "dumb")


def promises_true_colour() -> bool:
    """COLORTERM (a convention of many terminals): more colours than its description in terminfo tells of."""
    return os.environ.get("COLORTERM", "") in ("truecolor", "24bit")


def wants_tracebacks() -> bool:
    """OBSERVATORY_DEBUG=1: a fault of the console itself shows where it happened."""
    return os.environ.get("OBSERVATORY_DEBUG", "") not in ("", "0")


def child_environment(changes: dict[str, str]) -> dict[str, str]:
    """The environment for a program that the console starts."""
    return {**os.environ, **changes}


# ---- the terminal console ---------------------------------------------------------------------------------------


def name() -> str:
    """OBSERVATORY_NAME: what the environment is called in the console's header."""
    return os.environ.get("OBSERVATORY_NAME", "").strip()


def colour() -> str:
    """OBSERVATORY_COLOUR: the colour behind that name (blue, green, red, yellow, magenta, cyan, grey); empty: not given."""
    return os.environ.get("OBSERVATORY_COLOUR", "").strip().lower()


def has_unicode() -> bool:
    """Whether the terminal's locale can show more than ASCII."""
    import locale

    return "utf" in locale.getpreferredencoding(False).lower() and os.environ.get("TERM", "") != "linux"


def says_ground() -> bool:
    """Whether COLORFGBG says anything of the terminal's ground."""
    return bool(os.environ.get("COLORFGBG", "").strip())


def has_light_ground() -> bool:
    """COLORFGBG (rxvt's convention, kept by many terminals): the last number is the ground's colour."""
    ground = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return ground.isdigit() and int(ground) in (7, *range(9, 16))


def configuration_folder() -> Path:
    """Where the user's own files lie (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CONFIG_HOME", "").strip() or Path.home() / ".config"
    return Path(base) / "observatory"
