"""Starting a system from the console: on its own, so that it goes on when the console is left."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from console import environment
from console.state import Launched, LaunchFailed, Message

LOG = "console-launch.log"


class Launcher:
    """At most one system is started by one console."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path()

    @property
    def pid(self) -> int | None:
        """The process that was started here and still runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self, url: str) -> Message:
        """Starts the embedded system where `url` points; the message says how that went."""
        where = urlsplit(url)
        folder = environment.data_folder()
        changes = {"OBSERVATORY_HOST": where.hostname or "127.0.0.1", "OBSERVATORY_PORT": str(where.port or 80), "OBSERVATORY_QUIET": "1"}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._log = folder / LOG
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "functions.runtime.local"], cwd=environment.ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env=environment.child_environment(changes | {"OBSERVATORY_DATA": str(folder.resolve())}), start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            return LaunchFailed(f"{error.strerror or error} ({folder})")
        return Launched(self._process.pid, str(self._log))

    def look(self) -> Message | None:
        """What it said last, if it has ended; once."""
        if self._process is None or self._process.poll() is None:
            return None
        self._process = None
        try:
            said = self._log.read_text("utf-8", "replace")
        except OSError:
            said = ""
        return LaunchFailed(said[-2_000:] or "it ended without a word")

