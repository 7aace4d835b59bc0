"""`make servers` and `make servers-stop`."""

import argparse
import sys
from collections.abc import Sequence

from contracts.errors import ObservatoryError
from functions.runtime import settings as settings_module
from functions.runtime.servers.place import Place
from functions.runtime.servers.servers import NAMES, Servers


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make servers", description="Starts the servers on this machine, below the data folder; stops them again.")
    parser.add_argument("verb", choices=("start", "stop"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all without")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"no such server: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    try:
        settings = settings_module.load()
        servers = Servers(
            Place(settings.data_folder, settings_module.environment(settings)), mongo=settings.mongo_server,
            say=lambda words: print(words, flush=True),
        )  # fmt: skip
        (_start if given.verb == "start" else _stop)(servers, given.names or NAMES)
    except ObservatoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _start(servers: Servers, names: Sequence[str]) -> None:
    servers.start(names)
    print("\nThe servers run, and their URLs are in", servers.place.urls_file)
    for setting, url in servers.urls().items():
        print(f"  {setting}={url}")
    print("\nmake run PROFILE=servers uses them; make servers-stop ends them (their data stays).")


def _stop(servers: Servers, names: Sequence[str]) -> None:
    stopped = servers.stop(names)
    print(f"Stopped {', '.join(stopped)}." if stopped else "No server of this data folder runs.")


if __name__ == "__main__":
    sys.exit(main())
