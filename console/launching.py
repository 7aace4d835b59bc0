"""Starting a system from the console: on its own, so that it goes on when the console is left."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from console import environment
from console.messages import Launched, LaunchEnded, Message, Staged

LOG = "console-launch.log"
SAID_BYTES = 2_000
LOOK_SECONDS = 0.2
TOOLS = ("docker", "kind", "kubectl", "make")


def cluster_needs() -> tuple[str, ...]:
    """What is missing here for `make up`, in words; nothing when a cluster can be started."""
    makefile = environment.ROOT / "Makefile"
    has_target = makefile.is_file() and any(line.startswith("up:") for line in makefile.read_text("utf-8").splitlines())
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return (*(() if has_target else ("`make up`, which this version does not have yet",)), *((", ".join(missing) + " (not found)",) if missing else ()))


class Launcher:
    """At most one system is started by one console. `post` takes messages from any thread; it must not block."""

    def __init__(self, post: Callable[[Message], None]) -> None:
        self._post = post
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path()
        self.what = ""

    @property
    def pid(self) -> int | None:
        """The process that was started here and still runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self, what: str, url: str) -> Message:
        """Starts the embedded system where `url` points, or the cluster; the message says how that went."""
        folder = environment.data_folder().resolve()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._log, self.what = folder / LOG, what
            self._process = self._cluster() if what == "cluster" else self._embedded(url, folder)
        except OSError as error:
            return LaunchEnded(f"{error.strerror or error} ({folder})", 1)
        return Launched(self._process.pid, str(self._log))

    def _embedded(self, url: str, folder: Path) -> "subprocess.Popen[bytes]":
        where = urlsplit(url)
        changes = {"OBSERVATORY_HOST": where.hostname or "127.0.0.1", "OBSERVATORY_PORT": str(where.port or 80), "OBSERVATORY_QUIET": "1",
                   "OBSERVATORY_DATA": str(folder)}  # fmt: skip
        with self._log.open("wb") as log:
            process = self._spawn([sys.executable, "-m", "functions.runtime.local"], changes, log)
        self._watch(process, lambda: process.wait())
        return process

    def _cluster(self) -> "subprocess.Popen[bytes]":
        """`make up` tells its stages as JSON lines, into a file and no pipe, so that it goes on when the console is left."""
        with self._log.open("wb") as log:
            process = self._spawn(["make", "-s", "up", "ARGS=--json"], {}, log)
        self._watch(process, lambda: self._read_stages(process))
        return process

    @staticmethod
    def _spawn(command: list[str], changes: dict[str, str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command, cwd=environment.ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment.child_environment(changes),
            start_new_session=True,
        )  # fmt: skip

    def _watch(self, process: "subprocess.Popen[bytes]", work: Callable[[], object]) -> None:
        """Follows a process to its end in a thread, and tells of it."""

        def follow() -> None:
            work()
            code = process.wait()
            self._post(LaunchEnded(self._said() if code else "", code))

        threading.Thread(target=follow, name="launch", daemon=True).start()

    def _read_stages(self, process: "subprocess.Popen[bytes]") -> None:
        with self._log.open("rb") as log:
            rest = b""
            while True:
                ended = process.poll() is not None
                *lines, rest = (rest + log.read()).split(b"\n")
                for line in lines:
                    if (stage := stage_of(line)) is not None:
                        self._post(stage)
                if ended:
                    return
                time.sleep(LOOK_SECONDS)

    def _said(self) -> str:
        """What it said last."""
        try:
            said = self._log.read_text("utf-8", "replace")[-SAID_BYTES:]
        except OSError:
            return ""
        failed = [stage for line in said.splitlines() if (stage := stage_of(line.encode())) is not None and stage.state == "failed"]
        return f"{failed[-1].stage}: {failed[-1].message}" if failed else said


def stage_of(line: bytes) -> Staged | None:
    """A stage as `make up` tells it, `{"stage", "state", "seconds", "message"}`; None for any other line."""
    try:
        told = json.loads(line)
    except ValueError:
        return None
    if not isinstance(told, dict) or not isinstance(told.get("stage"), str) or not isinstance(told.get("state"), str):
        return None
    seconds = told.get("seconds")
    return Staged(told["stage"], told["state"], float(seconds) if isinstance(seconds, int | float) else None, str(told.get("message") or ""))
