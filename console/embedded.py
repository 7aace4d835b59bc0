"""What the demonstrations need of this machine: a running system, and real files to work on."""

import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from console import environment
from console.api.errors import ObservatoryApiError, ServerUnreachable
from console.session import Session

START_SECONDS = 30.0


def ensure_running(session: Session) -> bool:
    """Says that the system runs, or starts it and says so: then True. Raises ServerUnreachable when it does not come up."""
    try:
        session.client.get("/health/readiness")
    except ServerUnreachable:
        if session.server.is_given:
            raise  # the address was given: it is not ours to start
    else:
        session.note(f"the system runs at {session.url}")
        return False
    log = environment.data_folder() / "run.log"
    session.note(f"nothing answers at {session.url}: starting the system (its output goes to {log})")
    _start(log)
    _await_readiness(session)
    session.note(f"it runs at {session.url}")
    return True


def _start(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        subprocess.Popen(  # it goes on when this command ends
            [sys.executable, "-m", "functions.runtime.local", "--quiet"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def _await_readiness(session: Session) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            session.client.get("/health/readiness")
        except (ServerUnreachable, ObservatoryApiError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def standard_library() -> list[Path]:
    """Every Python file of the standard library, without installed packages, in order."""
    root = Path(sysconfig.get_path("stdlib")).resolve()
    skipped = {"site-packages", "dist-packages", "__pycache__"}
    return sorted(path for path in root.rglob("*.py") if path.is_file() and not skipped & set(path.relative_to(root).parts))
