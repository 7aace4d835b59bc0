"""`make stop`: asks the instance that holds the data folder to drain and end, and waits for it."""

import os
import signal
import sys
import time

from contracts.errors import ObservatoryError
from functions.runtime import settings as settings_module
from functions.runtime.data_folder import DataFolder


def main() -> int:
    try:
        settings = settings_module.load()
    except ObservatoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    folder = DataFolder(settings.data_folder)
    if not folder.is_held():
        print(f"Nothing runs on {settings.data_folder.resolve()}.")
        return 0
    pid = int(folder.holder().get("pid", 0))
    if pid <= 0:
        print("Something holds the data folder but does not say what; try again.", file=sys.stderr)
        return 1
    print(f"Stopping process {pid}; it waits for its running jobs, {settings.drain_seconds:g} s at most ...", flush=True)
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + settings.drain_seconds + 15
    while folder.is_held():
        if time.monotonic() > deadline:
            print(f"It still runs. To end it at once: kill -9 {pid} (nothing accepted is lost)", file=sys.stderr)
            return 1
        time.sleep(0.05)
    print("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
