"""RabbitMQ, for the events on their way. Its name service (epmd) is one of its own, so that no daemon is left behind."""

import re
import shutil
import signal
import socket
from pathlib import Path

from functions.runtime.servers.place import ADDRESS, Place, account_for
from functions.runtime.servers.process import Started, spawn, wait_until

NAME, USER, NODE = "rabbitmq", "observatory", "observatory@localhost"
PACKAGED = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's program on PATH is a wrapper with folders of its own
AMQP = b"AMQP\x00\x00\x09\x01"


class RabbitmqServer:
    name = NAME
    setting = "OBSERVATORY_RABBITMQ_URL"
    how = "Debian, Ubuntu: apt-get install rabbitmq-server (3.10 or later)"
    needs: tuple[str, ...] = ()
    stop_signal = signal.SIGTERM

    def find(self) -> str | None:
        found = shutil.which("rabbitmq-server")
        return str(PACKAGED) if found and PACKAGED.exists() else found

    def version(self, program: str) -> str:
        """From its folder's name: `rabbitmqctl version` would leave a name service behind, open to the network."""
        found = re.search(r"rabbitmq_server-([0-9][^/]*)", str(Path(program).resolve()))
        return found[1] if found else "of unknown version"

    def launch(self, place: Place, program: str) -> Started:
        user = account_for("rabbitmq")
        folder = place.make(NAME, user)
        names = place.port(NAME, "names_port")
        self._name_service(place, user, names)
        configuration = place.write(folder / "rabbitmq.conf", self._configuration(place), user)
        environment = place.environment | {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_CONF_ENV_FILE": str(place.write(folder / "rabbitmq-env.conf", "", user)),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(place.write(folder / "enabled_plugins", "[].\n", user)),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_DIST_PORT": str(place.port(NAME, "nodes_port")),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(names),
            "RUNNING_UNDER_SYSTEMD": "true",  # the script then becomes the server instead of waiting for it
        }
        return spawn([program], place.log(NAME), environment=environment, user=user)

    @staticmethod
    def _configuration(place: Place) -> str:
        return (
            f"listeners.tcp.1 = {ADDRESS}:{place.port(NAME)}\ndefault_user = {USER}\ndefault_pass = {place.password(NAME)}\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\ndisk_free_limit.absolute = 50MB\n"
        )

    @staticmethod
    def _name_service(place: Place, user: str | None, port: int) -> None:
        if place.running(f"{NAME}-names") is None:
            command = [shutil.which("epmd") or "epmd", "-port", str(port), "-address", ADDRESS]
            started = spawn(command, place.log(NAME), environment=place.environment, user=user)
            place.remember(f"{NAME}-names", process=started.as_json())
            wait_until(lambda: _listens(port), 10)

    def answers(self, place: Place) -> bool:
        """It greets with the method Connection.Start (AMQP 0-9-1, section 2.2.4)."""
        try:
            with socket.create_connection((ADDRESS, place.port(NAME)), timeout=2) as connection:
                connection.settimeout(2)
                connection.sendall(AMQP)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def url(self, place: Place) -> str:
        return f"amqp://{USER}:{place.password(NAME)}@{ADDRESS}:{place.port(NAME)}/%2F"


def _listens(port: int) -> bool:
    try:
        socket.create_connection((ADDRESS, port), timeout=2).close()
    except OSError:
        return False
    return True
