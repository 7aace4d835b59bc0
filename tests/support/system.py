"""Starts the real embedded system as its own process, on a free port and a folder of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.support.description import check_answer

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0


class System:
    """One `functions.runtime.local`. `environment` adds settings; `data` may be a folder of an earlier one."""

    module = "functions.runtime.local"

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self.log = data.parent / f"{data.name}.log"
        self._environment = environment
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.key: str | None = None  # sent with every request

    def start(self, *, wait: bool = True) -> "System":
        variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OBSERVATORY_")},
            "OBSERVATORY_DATA": str(self.data),
            "OBSERVATORY_PORT": "0",
            "OBSERVATORY_QUIET": "1",
            **self._environment,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module], cwd=ROOT, env=variables, stdout=log, stderr=log, start_new_session=True
            )
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        """Returns when readiness answers 200. Raises with the log when the process ended or nothing answers."""
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the system ended with {self.process.returncode}:\n{self.said()}")
            self.url = self._own_url() or self.url
            if self.url:
                with contextlib.suppress(OSError):
                    if self.request("GET", "/health/readiness").status == 200:
                        return
            time.sleep(0.02)
        raise RuntimeError(f"the system is not ready after {START_SECONDS:g} s:\n{self.said()}")

    def _own_url(self) -> str | None:
        assert self.process is not None
        try:
            holder = json.loads((self.data / "lock").read_text())
        except (OSError, ValueError):
            return None
        return holder.get("url") if holder.get("pid") == self.process.pid else None

    def said(self) -> str:
        """What it printed and logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> "Answer":
        """An HTTP request; a body that is not bytes is sent as JSON. An error status is an answer, too.

        Every answer is held against the OpenAPI document.
        """
        key = {"authorization": f"Bearer {self.key}"} if self.key is not None else {}
        sent = {**({"content-type": "application/json"} if body is not None else {}), **key, **(headers or {})}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        answer = self._answer(Request(self.url + path, data, sent, method=method))
        check_answer(method, path, answer.status, answer.headers, answer.body)
        return answer

    @staticmethod
    def _answer(request: Request) -> "Answer":
        try:
            with urlopen(request, timeout=90) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def submit(self, job_type: str, payload: Any = None, **options: Any) -> str:
        """The id of a new job."""
        answer = self.request("POST", "/v1/jobs", {"type": job_type, "payload": payload or {}, **options})
        assert answer.status in (200, 202), answer.body
        return str(answer.json()["id"])

    def job(self, job_id: str) -> Any:
        return self.request("GET", f"/v1/jobs/{job_id}").json()

    def ended(self, job_id: str, seconds: float = 60.0) -> Any:
        """The job once it ended."""
        deadline = time.monotonic() + seconds
        while (job := self.job(job_id))["status"] not in ("succeeded", "failed", "cancelled"):
            assert time.monotonic() < deadline, f"the job is {job['status']} after {seconds:g} s: {job.get('why_waiting')}"
            time.sleep(0.02)
        return job

    def kill(self) -> None:
        """SIGKILL to the whole process group: everything at once."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.join()

    def kill_parent(self) -> None:
        """SIGKILL to the parent alone; its workers must go with it."""
        assert self.process is not None
        self.process.kill()
        self.join()

    def stop(self, seconds: float = 40.0) -> int:
        """SIGTERM, and the exit code once it has drained."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the system did not stop within {seconds:g} s:\n{self.said()}") from None

    def join(self) -> None:
        if self.process is not None:
            self.process.wait(10)

    def __enter__(self) -> "System":
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop(10)
            except RuntimeError:
                self.kill()


class Answer:
    """An HTTP answer: status, headers (lower case), body."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)


@contextlib.contextmanager
def running_system(data: Path, **environment: str) -> Iterator[System]:
    """A started system that is stopped at the end."""
    with System(data, **environment) as system:
        yield system
