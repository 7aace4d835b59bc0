"""Who may come in by HTTP, as the settings say it; `guard.py` holds requests to it."""

import ipaddress
import re
from dataclasses import dataclass

from contracts.access import ApiKey, parse_keys
from contracts.errors import ConfigurationError

ANY = "*"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9._-]*[a-z0-9])?)(:[0-9]{1,5})?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://" + _HOST.pattern)
METRICS = ("key", "open")


@dataclass(frozen=True, slots=True)
class Rules:
    """Without `keys`, this machine alone is let in unless `is_open`; `hosts` and `origins` may hold `*`."""

    keys: tuple[ApiKey, ...] = ()
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    is_open: bool = False
    metrics_open: bool = False

    def serves(self, host: str) -> bool:
        """Whether a Host header's lower-case value names loopback or what was configured."""
        name = without_port(host)
        return is_loopback(name) or host in self.hosts or name in self.hosts or ANY in self.hosts

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may use the API."""
        return origin in self.origins or ANY in self.origins


def rules(*, keys: str, hosts: str, origins: str, host: str, is_open: bool, metrics: str) -> Rules:
    """The rules of the settings' texts. Raises ConfigurationError naming the setting and what it takes."""
    if metrics not in METRICS:
        raise ConfigurationError(f"OBSERVATORY_METRICS_ACCESS={metrics!r}; use {' or '.join(METRICS)}")
    found = Rules(
        keys=parse_keys(keys),
        hosts=_names("OBSERVATORY_ALLOWED_HOSTS", hosts, _HOST, "names such as jobs.example.com or jobs.example.com:8443, or *"),
        origins=_names("OBSERVATORY_CORS_ORIGINS", origins, _ORIGIN, "origins such as https://desk.example.com, or *"),
        is_open=is_open,
        metrics_open=metrics == "open",
    )
    if ANY in found.origins and not found.keys:
        raise ConfigurationError("OBSERVATORY_CORS_ORIGINS=* without OBSERVATORY_API_KEYS would let every page of the web act here; name origins, or set keys")
    return found if is_loopback(host) or not is_open else _with_host(found, host)


def _with_host(found: Rules, host: str) -> Rules:
    """The address that the operator chose to listen on is served under its own name."""
    name = f"[{host}]" if ":" in host else host.lower()
    return Rules(found.keys, found.hosts | {name}, found.origins, found.is_open, found.metrics_open)


def _names(setting: str, text: str, form: re.Pattern[str], words: str) -> frozenset[str]:
    names = [name.strip().lower().rstrip("/") for name in text.split(",") if name.strip()]
    for name in names:
        if name != ANY and not form.fullmatch(name):
            raise ConfigurationError(f"{setting} has {name[:80]!r}; it takes {words}, separated by commas")
    return frozenset(names)


def require_keys_or_loopback(host: str, found: Rules) -> None:
    """Raises ConfigurationError when an address that others can reach would be served to anybody."""
    if found.keys or found.is_open or is_loopback(host):
        return
    raise ConfigurationError(
        f"OBSERVATORY_HOST={host} can be reached from other machines, and no key is set, so everybody there could run jobs here. "
        "Set OBSERVATORY_API_KEYS (`python -m console key NAME --role operate` makes an entry); "
        "or, where the network itself keeps strangers out, OBSERVATORY_API_OPEN=1"
    )


def without_port(host: str) -> str:
    """`name:80` -> `name`, `[::1]:80` -> `[::1]`."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def is_loopback(name: str) -> bool:
    """Whether a host name or address can only mean this machine (RFC 6761 section 6.3 for names)."""
    name = name.strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
