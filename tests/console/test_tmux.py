"""The real program in a real terminal, tmux, against the real system under the gentle load: a whole story."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import REQUIRED
from tests.support.system import ROOT, System, running_system
from tests.support.waiting import free_port


class Tmux:
    """One session with one pane, on a server of its own."""

    def __init__(self, folder: Path, command: list[str], columns: int, lines: int, **environment: str) -> None:
        self._base = ["tmux", "-L", "observatory", "-f", "/dev/null"]
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(("OBSERVATORY_", "TMUX", "NO_COLOR"))}
        self._environment |= {"TMUX_TMPDIR": str(folder), "LANG": "C.UTF-8", "TERM": "xterm-256color"}
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in {"TERM": "tmux-256color", **environment}.items())
        line = f"cd {shlex.quote(str(ROOT))} && env {settings} {shlex.join(command)}; echo code $?; exec sleep 600"
        self._run("new-session", "-d", "-x", str(columns), "-y", str(lines), line, ";", "set", "status", "off")

    def _run(self, *arguments: str) -> str:
        return subprocess.run([*self._base, *arguments], env=self._environment, check=True, capture_output=True, text=True, timeout=30).stdout

    @property
    def text(self) -> str:
        return self._run("capture-pane", "-p")

    def until(self, condition: "str | Callable[[str], Any]", seconds: float = 60.0) -> str:
        """The screen, once the words stand on it or the condition holds of it."""
        deadline = time.monotonic() + seconds
        while True:
            text = self.text
            if condition in text if isinstance(condition, str) else condition(text):
                return text
            assert time.monotonic() < deadline, f"never came: {condition!r}; the screen:\n{text}"
            time.sleep(0.05)

    def press(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    def close(self) -> None:
        self._run("kill-server")


@pytest.fixture
def life(tmp_path: Path) -> Iterator[System]:
    """A system on a port of its own, under the gentle load."""
    with running_system(tmp_path / "data", OBSERVATORY_PORT=str(free_port())) as system:
        load = subprocess.Popen(
            [sys.executable, "-m", "console", "demo-life", "--url", system.url], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        yield system
        load.terminate()
        load.wait(60)


def test_submit_watch_it_end_kill_the_server_see_stale_start_it_see_live(life: System, tmp_path: Path) -> None:
    if shutil.which("tmux") is None:
        assert not REQUIRED, "tmux is not installed here"
        pytest.skip("tmux is not installed here")
    screen = Tmux(tmp_path, [sys.executable, "-m", "console"], 120, 40, OBSERVATORY_URL=life.url, OBSERVATORY_NAME="story", XDG_CONFIG_HOME=str(tmp_path))
    try:
        first = screen.until(lambda text: "live" in text and "demo." in text)
        assert first.startswith(" story ")

        screen.press("N")
        screen.until("New task: pick a type")
        screen.press("/")
        screen.type("sleep")
        screen.press("Enter")
        screen.until("pick a type 1")
        screen.press("Enter")
        screen.until("seconds *")
        screen.type("1.5")
        screen.press("C-s")
        screen.until("Submitted")
        screen.until(lambda text: "demo.sleep" in text.split("\n")[1] and "running" in text.split("\n")[1])
        screen.until(lambda text: "succeeded" in text.split("\n")[1])

        life.kill()
        screen.until(lambda text: "STALE" in text.split("\n")[0])
        dead = screen.until("Trying again by itself")
        assert "succeeded" in dead.split("\n")[1]  # the last data stays
        screen.press("?")
        screen.until("Everywhere")  # and keys are answered
        screen.press("Escape")

        life.start()
        screen.until(lambda text: "live" in text.split("\n")[0] and "STALE" not in text)
        screen.press("q")
        assert "code 0" in screen.until("code ")
    finally:
        screen.close()
