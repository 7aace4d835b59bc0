"""Readers of `/v1/stream`."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tests.support.system import System


class Stream:
    """One reader: `messages()` gives (id, event, data) of each message that has data; `last` is the last id that was read."""

    def __init__(self, system: System, query: str = "", headers: dict[str, str] | None = None, *, buffer_bytes: int = 0) -> None:
        address = urlsplit(system.url)
        self.last = 0
        self.connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
        if buffer_bytes:
            self.connection.sock = self._small(address.hostname or "", address.port or 0, buffer_bytes)
        self.connection.request("GET", f"/v1/stream{query}", headers=headers or {})
        self.response = self.connection.getresponse()

    @staticmethod
    def _small(host: str, port: int, buffer_bytes: int) -> socket.socket:
        """A connection that takes little that is not read."""
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        made.settimeout(20)
        made.connect((host, port))
        return made

    def messages(self) -> Iterator[tuple[int, str, Any]]:
        """Until the stream ends."""
        fields: dict[str, str] = {}
        for raw in self.response:
            line = raw.decode().rstrip("\n")
            if not line:
                self.last = int(fields.get("id", self.last))
                if "data" in fields:
                    yield self.last, fields.get("event", "message"), json.loads(fields["data"])
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value

    def close(self) -> None:
        self.response.close()
        self.connection.close()
