"""The data folder of the embedded stores: one instance at a time holds it."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from contracts.errors import ConfigurationError, DataFolderInUse

LOCK = "lock"
DATABASE = "observatory.db"
CARRIED = "carried-over"


class DataFolder:
    """A folder with a lock file that says who holds it. The kernel drops the lock when its holder dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None

    @property
    def database(self) -> Path:
        return self.path / DATABASE

    @property
    def carried_over(self) -> str:
        """Where what it holds was carried over to; empty: nowhere."""
        try:
            return (self.path / CARRIED).read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def mark_carried_over(self, place: str) -> None:
        """Keeps a second system from doing its jobs once more."""
        (self.path / CARRIED).write_text(f"{place}\n", encoding="utf-8")

    def check_not_carried_over(self) -> None:
        """Raises ConfigurationError."""
        if place := self.carried_over:
            raise ConfigurationError(
                f"what is in {self.path} was carried over to {place}, where its jobs go on: start with OBSERVATORY_POSTGRES_URL (make run"
                f" PROFILE=servers), or choose another folder with OBSERVATORY_DATA. To go on here all the same, remove {self.path / CARRIED}"
            )

    def acquire(self) -> None:
        """Raises DataFolderInUse, or ConfigurationError when the folder cannot be written."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)  # payloads may be secret; a folder that is there stays as it is
            file = open(self.path / LOCK, "a+", encoding="utf-8")  # noqa: SIM115 - held until release
        except OSError as error:
            words = f"the data folder {self.path} is not usable ({error.strerror}); choose another with OBSERVATORY_DATA"
            raise ConfigurationError(words) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise DataFolderInUse(f"another instance holds the data folder {self.path}") from None
        self._file = file
        self.describe({})

    def describe(self, facts: dict[str, Any]) -> None:
        """Writes who holds the folder: the process id and `facts`."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps({"pid": os.getpid(), **facts}))
        self._file.flush()

    def holder(self) -> dict[str, Any]:
        """What the holder wrote; {} when there is nothing to read."""
        try:
            found = json.loads((self.path / LOCK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def is_held(self) -> bool:
        """Whether a living process holds the folder."""
        try:
            with open(self.path / LOCK, encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
