"""The server's address as a person wrote it, made into what a client can use."""

from urllib.parse import SplitResult, urlsplit

from contracts.errors import ConfigurationError


def base_url(text: str) -> str:
    """`http://host:port` without a slash at the end; a bare `host:port` is http. Raises ConfigurationError."""
    parts = _split(text.strip() if "://" in text else f"http://{text.strip()}")
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{text!r} is no address of a server; write it as http://127.0.0.1:8080")
    if parts.username or parts.password:
        raise ConfigurationError("the address must not hold a name or password; the key goes into OBSERVATORY_API_KEY")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for what is no port
        return parts
    except ValueError:
        return None


def host_and_port(url: str) -> tuple[str, int]:
    """The host and port of a base url."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or (443 if parts.scheme == "https" else 80)


def is_local(url: str) -> bool:
    """Whether the server is on this machine, by its name."""
    host, _ = host_and_port(url)
    return host in ("localhost", "::1") or host.startswith("127.")
