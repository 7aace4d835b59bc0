"""Who may come in: looks at a request's headers before anything else of it is read.

With keys, every operation but the open ones asks for a key of its role. Without keys, whoever runs a browser on this
machine is the danger: a page may not get in by a name that it made to point here (DNS rebinding), nor change anything from
another site (CSRF). Nothing secret is kept, compared early or said: of a key only its SHA-256 is known.
"""

from collections.abc import Sequence
from hmac import compare_digest
from typing import Any

from contracts.access import ApiKey, Role, digest_of
from contracts.errors import ForeignOrigin, HostNotServed, MalformedRequest, NotFromHere, RoleTooLow, Unauthenticated, UnsupportedMediaType
from functions.runtime.access import ANY, Rules, is_loopback

Scope = Any
Headers = Sequence[tuple[bytes, bytes]]
ACTOR = "observatory.actor"  # where a request's scope holds the name of its key
FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})  # Fetch Standard, "CORS-safelisted"
HOW = "send it as `Authorization: Bearer KEY`; who runs this system makes one with `python -m console key NAME --role {role}`"
REMEMBERED = 64

PREFLIGHT_METHODS = b"GET, HEAD, POST, PUT, DELETE, OPTIONS"
PREFLIGHT_HEADERS = frozenset({"authorization", "content-type", "idempotency-key", "last-event-id", "traceparent", "tracestate", "accept"})
EXPOSED_HEADERS = b"Allow, Location, Retry-After, WWW-Authenticate"
PREFLIGHT_SECONDS = b"600"


class Guard:
    """Holds requests to the rules."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules(is_open=True)
        self._served: set[bytes] = set()
        self._local: dict[str, bool] = {}

    def admit(self, scope: Scope, needs: Role | None) -> None:
        """Returns when the request may have what `needs` a role (None: it is open to all), and notes its actor.

        Raises Unauthenticated, RoleTooLow, NotFromHere, HostNotServed, ForeignOrigin, UnsupportedMediaType, and
        MalformedRequest for a request that names no host, or two.
        """
        host, authorization = _host_and_authorization(scope)
        if needs is None:
            return
        if self.rules.keys:
            if self.rules.hosts:
                self._check_host(host)
            self._check_key(scope, authorization, needs)
            return
        self._check_connection(scope)
        self._check_host(host)
        if needs > Role.READ:
            self._check_origin(scope["headers"], host)

    def is_stranger(self, scope: Scope) -> bool:
        """Whether the sender of a request to an open operation is to be told no details."""
        return bool(self.rules.keys) and self._key(_host_and_authorization(scope)[1]) is None

    # ---- keys -------------------------------------------------------------------------------------------------

    def _check_key(self, scope: Scope, authorization: bytes | None, needs: Role) -> None:
        key = self._key(authorization)
        if key is None:
            raise _unauthenticated(authorization, needs)
        if key.role < needs:
            error = RoleTooLow(f"the key {key.name} may {key.role.word}, and this needs the role {needs.word}")
            error.challenge = f'Bearer error="insufficient_scope", scope="{needs.word}"'
            raise error
        scope[ACTOR] = key.name

    def _key(self, authorization: bytes | None) -> ApiKey | None:
        """Every key is compared in full, so that the time tells nothing of them."""
        if authorization is None or authorization[:7].lower() != b"bearer ":
            return None
        digest = digest_of(authorization[7:].strip())
        found = None
        for key in self.rules.keys:
            if compare_digest(key.digest, digest):
                found = key
        return found

    # ---- without keys -----------------------------------------------------------------------------------------

    def _check_connection(self, scope: Scope) -> None:
        """The address that was connected to must be this machine's own; a socket file always is."""
        server = scope.get("server")
        if self.rules.is_open or server is None or server[1] is None:
            return
        local = self._local.get(server[0])
        if local is None:
            local = self._local[server[0]] = is_loopback(server[0])
        if not local:
            raise NotFromHere("no key is set here, so only connections over loopback are served; set OBSERVATORY_API_KEYS "
                              "(`python -m console key NAME` makes an entry), or OBSERVATORY_API_OPEN=1")  # fmt: skip

    def _check_host(self, host: bytes) -> None:
        served = host in self._served
        if not served:
            served = self.rules.serves(host.decode("latin-1").lower())
            if served and len(self._served) < REMEMBERED:
                self._served.add(host)
        if not served:
            name = host.decode("latin-1")[:100]
            raise HostNotServed(f"{name!r} is no name of this system; it goes by localhost, and by what OBSERVATORY_ALLOWED_HOSTS names")

    def _check_origin(self, headers: Headers, host: bytes) -> None:
        """Refuses a change that a page of another site may have sent: by its Origin (RFC 6454), by Fetch Metadata, and
        by the content types that an HTML form can send, which need no leave of ours."""
        given = _first(headers, (b"origin", b"sec-fetch-site", b"content-type", b"ce-specversion"))
        origin, site = given.get(b"origin"), given.get(b"sec-fetch-site")
        if origin is not None:
            text = origin.decode("latin-1").lower()
            if text.partition("://")[2] != host.decode("latin-1").lower() and not self.rules.allows(text):
                raise ForeignOrigin(f"a page of {text[:100]!r} may change nothing here; OBSERVATORY_CORS_ORIGINS names the pages that may")
        elif site is not None and site not in (b"same-origin", b"none"):
            raise ForeignOrigin("a page of another site may change nothing here; OBSERVATORY_CORS_ORIGINS names the pages that may")
        kind = given.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
        if kind in FORM_TYPES and b"ce-specversion" not in given:
            raise UnsupportedMediaType(f"send Content-Type: application/json; {kind} is what a form of any page can send")

    # ---- pages of other origins (Fetch Standard, "CORS protocol") ----------------------------------------------

    def preflight(self, scope: Scope) -> list[tuple[bytes, bytes]] | None:
        """The headers that answer a preflight; None when the request is none. Raises ForeignOrigin."""
        given = _first(scope["headers"], (b"origin", b"access-control-request-method", b"access-control-request-headers"))
        if b"origin" not in given or b"access-control-request-method" not in given:
            return None
        if not self.rules.allows(given[b"origin"].decode("latin-1").lower()):
            raise ForeignOrigin("pages of this origin may not use the API; OBSERVATORY_CORS_ORIGINS names those that may")
        asked = [name.strip().lower() for name in given.get(b"access-control-request-headers", b"").decode("latin-1").split(",")]
        names = ", ".join(name for name in asked if name in PREFLIGHT_HEADERS or name.startswith("ce-"))
        return [
            (b"access-control-allow-methods", PREFLIGHT_METHODS),
            (b"access-control-allow-headers", names.encode("latin-1")),
            (b"access-control-max-age", PREFLIGHT_SECONDS),
        ]

    def cross_origin(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The headers by which a browser hands an answer to a page of another origin."""
        if not self.rules.origins:
            return []
        origin = _first(scope["headers"], (b"origin",)).get(b"origin")
        if origin is None or not self.rules.allows(origin.decode("latin-1").lower()):
            return [(b"vary", b"Origin")]
        shown = b"*" if ANY in self.rules.origins else origin
        return [(b"access-control-allow-origin", shown), (b"access-control-expose-headers", EXPOSED_HEADERS), (b"vary", b"Origin")]


def _unauthenticated(authorization: bytes | None, needs: Role) -> Unauthenticated:
    how = HOW.format(role=needs.word)
    if authorization is None:
        error = Unauthenticated(f"this needs a key: {how}")
        error.challenge = 'Bearer realm="observatory"'
    else:
        error = Unauthenticated(f"this key is not known here, or is not sent as it should be: {how}")
        error.challenge = 'Bearer realm="observatory", error="invalid_token"'
    return error


def _host_and_authorization(scope: Scope) -> tuple[bytes, bytes | None]:
    """One Host, as HTTP/1.1 demands (RFC 9112 section 3.2); HTTP/1.0 may have none. At most one Authorization."""
    host = authorization = None
    for name, value in scope["headers"]:
        if name == b"host":
            if host is not None:
                raise MalformedRequest("the request names two hosts")
            host = value
        elif name == b"authorization":
            if authorization is not None:
                raise MalformedRequest("the request has two Authorization headers")
            authorization = value
    if host is None and scope.get("http_version") == "1.1":
        raise MalformedRequest("the request names no host")
    return host or b"", authorization


def _first(headers: Headers, names: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """The first value of each of these headers that there is."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in names and name not in found:
            found[name] = value
    return found
