"""The spool folder: dead letters that wait for the job store, each in a file of its own, byte for byte."""

import contextlib
import hashlib
import json
import logging
import os
import threading
from dataclasses import asdict
from pathlib import Path

from contracts.errors import ConfigurationError, StoreUnavailable
from contracts.log_fields import about
from functions.stores.job_store import DeadLetter

log = logging.getLogger("observatory.spool")
LETTERS_MAX = 10_000
BYTES_MAX = 128 << 20


class Spool:
    """A folder of one process. A file is there whole or not at all: written beside, fsynced, renamed, its folder fsynced.

    It is named after what the letter is known by (Trigger, source and id of the event), so that an event that comes again finds it. Its
    first line is the SHA-256 of the rest, its second the letter without its body in JSON, then come the bytes.
    """

    def __init__(self, folder: Path, letters_max: int = LETTERS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._folder, self._letters_max, self._bytes_max = folder, letters_max, bytes_max
        self._sizes: dict[str, int] = {}  # of the files that wait
        self._lock = threading.Lock()
        self.damaged = 0
        """Files that were set aside because they cannot be read."""

    def open(self) -> None:
        """Finds what a process before left. Raises ConfigurationError for a folder that cannot be used."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in self._folder.iterdir():
                if path.suffix == ".part":
                    path.unlink()
                elif path.suffix == ".letter":
                    self._sizes[path.name] = path.stat().st_size
                self.damaged += path.suffix == ".damaged"
        except OSError as error:
            raise ConfigurationError(f"OBSERVATORY_SPOOL cannot be used: {error}") from None

    @property
    def waiting(self) -> int:
        return len(self._sizes)

    def names(self) -> list[str]:
        return sorted(self._sizes)

    def check_room(self, size: int = 0) -> None:
        """Raises StoreUnavailable when so many bytes are too many."""
        if self.waiting >= self._letters_max or sum(self._sizes.values()) + size > self._bytes_max:
            raise StoreUnavailable(f"the job store does not answer, and the spool is full: {self.waiting} dead letters wait in it")

    def put(self, letter: DeadLetter) -> None:
        """Returns when a power cut cannot take the letter away; one that waits for the same event stands for both. Raises
        StoreUnavailable when there is no room."""
        known_by = json.dumps([letter.trigger, letter.source, letter.event_id])
        name = f"{hashlib.sha256(known_by.encode()).hexdigest()[:40]}.letter"
        content = _encoded(letter)
        with self._lock:
            if name in self._sizes:
                return
            self.check_room(len(content))
            try:
                self._write(name, content)
            except OSError as error:
                raise StoreUnavailable(f"the job store does not answer, and the spool cannot be written: {error}") from error
            self._sizes[name] = len(content)

    def _write(self, name: str, content: bytes) -> None:
        part = self._folder / f"{name}.part"
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.rename(self._folder / name)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def read(self, name: str) -> DeadLetter | None:
        """None for a file that cannot be read: it is set aside, and stays for people."""
        try:
            return _decoded((self._folder / name).read_bytes())
        except (OSError, ValueError, TypeError) as error:
            self._set_aside(name, error)
            return None

    def _set_aside(self, name: str, error: Exception) -> None:
        aside = self._folder / f"{name}.{self.damaged}.damaged"
        log.error("a spooled dead letter cannot be read, and is set aside as %s: %s", aside, error, extra=about("dead_letter.damaged"))
        with contextlib.suppress(OSError):
            (self._folder / name).rename(aside)
        self._forget(name)
        self.damaged += 1

    def remove(self, name: str) -> None:
        """Once the store has it."""
        (self._folder / name).unlink(missing_ok=True)
        self._forget(name)

    def _forget(self, name: str) -> None:
        with self._lock:
            self._sizes.pop(name, None)


def _encoded(letter: DeadLetter) -> bytes:
    told = asdict(letter)
    body = told.pop("body")
    rest = json.dumps(told).encode() + b"\n" + body
    return hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


def _decoded(content: bytes) -> DeadLetter:
    """Raises ValueError or TypeError for what `_encoded` did not write."""
    digest, _, rest = content.partition(b"\n")
    if hashlib.sha256(rest).hexdigest().encode() != digest:
        raise ValueError("its bytes are not those that were written")
    told, _, body = rest.partition(b"\n")
    return DeadLetter(**json.loads(told), body=body)
