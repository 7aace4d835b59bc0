"""The console's only reader of os.environ."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


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
    """OBSERVATORY_KEY: the key sent as a bearer token. It has no flag, because command lines are public."""
    return os.environ.get("OBSERVATORY_KEY", "").strip() or None


def data_folder() -> Path:
    """OBSERVATORY_DATA, as `make run` reads it."""
    return Path(os.environ.get("OBSERVATORY_DATA", "").strip() or ".observatory")


def task_modules() -> list[str]:
    """OBSERVATORY_TASKS: further task modules."""
    return [name.strip() for name in os.environ.get("OBSERVATORY_TASKS", "").split(",") if name.strip()]


def wants_colour() -> bool:
    """False when NO_COLOR is set (no-color.org) or the terminal is dumb."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in ("", "dumb")


def wants_tracebacks() -> bool:
    """OBSERVATORY_DEBUG=1: a fault of the console itself shows where it happened."""
    return os.environ.get("OBSERVATORY_DEBUG", "") not in ("", "0")


def child_environment(changes: dict[str, str]) -> dict[str, str]:
    """The environment for a program that the console starts."""
    return {**os.environ, **changes}
