"""Requests as bytes on a socket: what no HTTP client would send."""

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tests.support.system import Answer, System


def connected(system: System, seconds: float = 20.0) -> socket.socket:
    """An open connection."""
    address = urlsplit(system.url)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=seconds)


def laid_out(method: str, path: str, headers: Mapping[str, str] | None = None, body: Any = None) -> bytes:
    """The bytes of a request; a body that is not bytes goes as JSON, and its headers are added unless they are given."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    added = {"Host": "localhost", **({"Content-Type": "application/json", "Content-Length": str(len(data))} if data is not None else {})}
    lines = [f"{name}: {value}" for name, value in (added | dict(headers or {})).items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1") + (data or b"")


def first_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """The next answer on a connection."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, dict(response.getheaders()), response.read())


def exchanged(system: System, request: bytes, method: str = "GET") -> Answer:
    """Sends the bytes on a connection of their own and reads one answer."""
    with connected(system) as connection:
        connection.sendall(request)
        return first_answer(connection, method)
