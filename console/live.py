"""What the server has, for completion: asked at once, given up soon, never a fault."""

import contextlib
import http.client
import json
from functools import cached_property
from typing import Any
from urllib.parse import urlencode, urlsplit

from console import contexts
from console.contexts import Server
from contracts.errors import ObservatoryError

SECONDS = 1.0


class Live:
    """Lists of the server that a command line means, each read once. Imports nothing that takes time."""

    def __init__(self, url: str | None = None, context: str | None = None) -> None:
        self._named = url, context
        self._read: dict[str, list[dict[str, Any]]] = {}
        self._is_away = False

    @cached_property
    def _server(self) -> Server:
        return contexts.server(*self._named)

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """The items of a list; empty where there is no answer in time, or not such a one."""
        given = {name: value for name, value in query.items() if value is not None}
        address = path + (f"?{urlencode(given)}" if given else "")
        if address not in self._read:
            self._read[address] = [] if self._is_away else self._fetch(address)
        return self._read[address]

    def _fetch(self, address: str) -> list[dict[str, Any]]:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, ObservatoryError):
            document = json.loads(self._answer(address))
            items = document.get("items") if isinstance(document, dict) else None
            return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
        self._is_away = True
        return []

    def _answer(self, address: str) -> bytes:
        where = urlsplit(self._server.url)
        kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
        headers = {"authorization": f"Bearer {self._server.key}"} if self._server.key else {}
        with contextlib.closing(kind(where.hostname or "", where.port, timeout=SECONDS)) as connection:
            connection.request("GET", where.path + address, headers=headers)
            return connection.getresponse().read()
