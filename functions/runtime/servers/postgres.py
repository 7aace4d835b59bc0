"""PostgreSQL, for the jobs; FerretDB keeps its documents in a database of its own there."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from contracts.errors import ConfigurationError
from functions.runtime.servers.place import ADDRESS, Place, account_for
from functions.runtime.servers.process import Started, spawn

NAME, USER, DATABASE = "postgres", "observatory", "observatory"
LEAST_VERSION = 15
PACKAGES = Path("/usr/lib/postgresql")  # Debian keeps each version's programs there, off PATH


class PostgresServer:
    name = NAME
    setting = "OBSERVATORY_POSTGRES_URL"
    how = "Debian, Ubuntu: apt-get install postgresql (15 or later)"
    needs: tuple[str, ...] = ()
    stop_signal = signal.SIGINT  # fast: connections are cut, what is committed is written

    def find(self) -> str | None:
        versions = [int(folder.name) for folder in PACKAGES.glob("*") if folder.name.isdigit() and (folder / "bin/postgres").exists()]
        newest = max((version for version in versions if version >= LEAST_VERSION), default=None)
        on_path = shutil.which("postgres")
        if on_path:
            return str(Path(on_path).resolve())  # its tools stand beside it
        return str(PACKAGES / str(newest) / "bin/postgres") if newest else None

    def version(self, program: str) -> str:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        return said.removeprefix("postgres (PostgreSQL)").strip().split(" ")[0]

    def launch(self, place: Place, program: str) -> Started:
        user = account_for("postgres")
        folder = place.make(NAME, user)
        data = folder / "data"
        if not (data / "PG_VERSION").exists():
            self._initialise(place, program, data, user)
        command = [program, "-D", str(data), "-p", str(place.port(NAME)), "-c", f"listen_addresses={ADDRESS}", "-c", "unix_socket_directories="]
        return spawn(command, place.log(NAME), environment=place.environment, user=user)

    def _initialise(self, place: Place, program: str, data: Path, user: str | None) -> None:
        password = place.write(data.parent / "password", place.password(NAME), user)
        shutil.rmtree(data, ignore_errors=True)
        command = [str(Path(program).with_name("initdb")), "-D", str(data), "-U", USER, "--pwfile", str(password), "-A", "scram-sha-256",
                   "-E", "UTF8", "--locale=C.UTF-8"]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=data.parent, env=place.environment, user=user, group=user,
            extra_groups=None if user is None else [],
        )  # fmt: skip
        password.unlink()
        if done.returncode:
            raise ConfigurationError(f"PostgreSQL cannot make its data folder {data}: {(done.stderr or done.stdout).strip()[-500:]}")

    def answers(self, place: Place) -> bool:
        """Whether a query is answered; makes our database when it is not there yet."""
        return self.ensure_database(place, DATABASE)

    def ensure_database(self, place: Place, database: str) -> bool:
        known = self._ask(place, ["-c", f"SELECT 1 FROM pg_database WHERE datname = '{database}'"])
        if known is None or known.strip() == "1":
            return known is not None
        return self._ask(place, ["-c", f'CREATE DATABASE "{database}"']) is not None

    def _ask(self, place: Place, arguments: Sequence[str]) -> str | None:
        """What psql prints; None when the server does not answer."""
        program = self.find()
        psql = Path(program).with_name("psql") if program else Path("psql")
        environment = place.environment | {"PGPASSWORD": place.password(NAME), "PGCONNECT_TIMEOUT": "3"}
        command = [str(psql), "-h", ADDRESS, "-p", str(place.port(NAME)), "-U", USER, "-d", "postgres", "-XAtq", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=os.sep)
        return done.stdout if done.returncode == 0 else None

    def url(self, place: Place, database: str = DATABASE) -> str:
        return f"postgresql://{USER}:{place.password(NAME)}@{ADDRESS}:{place.port(NAME)}/{database}"
