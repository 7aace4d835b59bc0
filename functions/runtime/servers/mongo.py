"""A MongoDB server, for the event log: `mongod`, or FerretDB on a database of our PostgreSQL. No other machine reaches it."""

import re
import shutil
import signal
import subprocess
from pathlib import Path

from functions.runtime.servers.place import ADDRESS, Place
from functions.runtime.servers.postgres import PostgresServer
from functions.runtime.servers.process import Started, spawn

NAME, DATABASE, DOCUMENTS = "mongo", "observatory", "ferretdb"


class MongoServer:
    """`named` is the program that OBSERVATORY_MONGO_SERVER names."""

    name = NAME
    setting = "OBSERVATORY_MONGO_URL"
    how = "name a program, mongod or FerretDB 1.24, with OBSERVATORY_MONGO_SERVER"
    stop_signal = signal.SIGTERM

    def __init__(self, named: str = "") -> None:
        self._named = named

    @property
    def needs(self) -> tuple[str, ...]:
        program = self.find()
        return ("postgres",) if program and _is_ferretdb(program) else ()

    def find(self) -> str | None:
        return shutil.which(self._named) if self._named else shutil.which("mongod") or shutil.which("ferretdb")

    def version(self, program: str) -> str:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"v[0-9]+\.[0-9]+\.[0-9]+", said)
        return f"{'FerretDB ' if _is_ferretdb(program) else ''}{found[0] if found else said.strip()[:40]}"

    def launch(self, place: Place, program: str) -> Started:
        folder = place.make(NAME)
        if not _is_ferretdb(program):
            (folder / "data").mkdir(exist_ok=True)
            command = [program, "--dbpath", str(folder / "data"), "--bind_ip", ADDRESS, "--port", str(place.port(NAME)), "--nounixsocket"]
            return spawn(command, place.log(NAME), environment=place.environment)
        postgres = PostgresServer()
        postgres.ensure_database(place, DOCUMENTS)
        command = [program, f"--listen-addr={ADDRESS}:{place.port(NAME)}", "--handler=postgresql", f"--state-dir={folder}", "--telemetry=disable",
                   "--debug-addr=-", "--log-level=warn"]  # fmt: skip
        environment = place.environment | {"FERRETDB_POSTGRESQL_URL": postgres.url(place, DOCUMENTS)}
        return spawn(command, place.log(NAME), environment=environment)

    def answers(self, place: Place) -> bool:
        from pymongo import MongoClient
        from pymongo.errors import PyMongoError

        try:
            with MongoClient[dict[str, object]](self.url(place), serverSelectionTimeoutMS=1_000) as client:
                client[DATABASE].command("ping")
        except PyMongoError:
            return False
        return True

    def url(self, place: Place) -> str:
        return f"mongodb://{ADDRESS}:{place.port(NAME)}/{DATABASE}"


def _is_ferretdb(program: str) -> bool:
    return "ferretdb" in Path(program).name.lower()
