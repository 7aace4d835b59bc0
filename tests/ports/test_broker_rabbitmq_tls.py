"""amqps:// to a RabbitMQ that takes TLS alone, and only from those whose certificate it knows."""

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from contracts.errors import BrokerUnavailable, ConfigurationError
from eventing.brokers.rabbitmq import RabbitBroker
from eventing.brokers.rabbitmq.connection import parameters
from eventing.brokers.rabbitmq.watch import RabbitWatch
from functions.runtime.servers.place import ADDRESS, Place, account_for
from functions.runtime.servers.process import wait_until
from functions.runtime.servers.rabbitmq import AMQP, NAME, RabbitmqServer
from tests.ports.broker_suite import Recorder, event, trigger, until
from tests.support.certificates import make_certificate
from tests.support.servers import server_folder

START_SECONDS = 120.0


class Encrypted(RabbitmqServer):
    """The server as `make servers` starts it, but for what it listens to."""

    def __init__(self, place: Place) -> None:
        folder = place.make(NAME, account_for("rabbitmq"))
        self.authority, authority_key = make_certificate(folder, "authority")
        self.server = make_certificate(folder, "server", (self.authority, authority_key))
        self.client = make_certificate(folder, "client", (self.authority, authority_key))

    def _configuration(self, place: Place) -> str:  # type: ignore[override]
        plain = f"listeners.tcp.1 = {ADDRESS}:{place.port(NAME)}\n"
        said = super()._configuration(place)
        assert plain in said
        return said.replace(plain, (
            f"listeners.tcp = none\nlisteners.ssl.1 = {ADDRESS}:{place.port(NAME)}\n"
            f"ssl_options.cacertfile = {self.authority}\nssl_options.certfile = {self.server[0]}\nssl_options.keyfile = {self.server[1]}\n"
            "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
        ))  # fmt: skip

    def answers(self, place: Place) -> bool:
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(*self.client)
        try:
            with socket.create_connection((ADDRESS, place.port(NAME)), timeout=2) as plain, context.wrap_socket(plain, server_hostname=ADDRESS) as connection:
                connection.sendall(AMQP)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def url(self, place: Place) -> str:
        return super().url(place).replace("amqp://", "amqps://")


@pytest.fixture(scope="module")
def encrypted() -> Iterator[tuple[str, dict[str, Path]]]:
    """Its URL without any file, and the files that it takes."""
    with server_folder("rabbitmq") as folder:
        place = Place(folder, os.environ)
        server = Encrypted(place)
        program = server.find()
        assert program is not None
        process = server.launch(place, program)
        try:
            assert wait_until(lambda: server.answers(place) or not process.is_alive, START_SECONDS)
            assert process.is_alive, place.log(NAME).read_text(errors="replace")[-2000:]
            yield server.url(place), {"cacertfile": server.authority, "certfile": server.client[0], "keyfile": server.client[1]}
        finally:
            process.stop()
            if (names := place.running(f"{NAME}-names")) is not None:
                names.stop()


def with_files(url: str, **files: Path | str) -> str:
    return f"{url}?{'&'.join(f'{name}={quote(str(path))}' for name, path in files.items())}"


@pytest.mark.servers
async def test_events_go_through_an_encrypted_connection(encrypted: tuple[str, dict[str, Path]]) -> None:
    whole = with_files(encrypted[0], **encrypted[1])
    worker, watch = Recorder(), RabbitWatch(whole)
    broker = RabbitBroker(whole, [trigger("all")], {"worker": worker, "dead-letter": Recorder()})
    await broker.start()
    try:
        await broker.publish([event(n) for n in range(1, 11)])
        await until(lambda: broker.confirmed == 10 and sorted(worker.ids()) == sorted(f"e-{n}" for n in range(1, 11)))
        assert (await watch.program()).startswith("RabbitMQ 3.")
    finally:
        await broker.stop()
        await watch.close()


@pytest.mark.servers
async def test_a_server_or_a_client_that_cannot_be_trusted_is_refused(encrypted: tuple[str, dict[str, Path]]) -> None:
    """Without its authority, under another name, and without a certificate of ours."""
    url, files = encrypted
    authority = {"cacertfile": files["cacertfile"]}
    wrong = {
        url: "certificate verify failed",
        with_files(url, **(files | {"cacertfile": files["certfile"]})): "certificate verify failed",
        with_files(url.replace(ADDRESS, "localhost"), **files): "certificate is not valid for 'localhost'",
        with_files(url, **authority): "",
    }
    for each, words in wrong.items():
        watch = RabbitWatch(each)
        with pytest.raises(BrokerUnavailable, match=f"is away: .*{words}"):
            await watch.program()
        await watch.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("amqps://ada:secret@here/?cacertfile=/none.pem", r"files for TLS that cannot be used \(/none.pem\): No such file"),
        ("amqps://ada:secret@here/?keyfile=/none.pem", "files for TLS that cannot be used"),
        ("amqp://ada:secret@here/?cacertfile=/none.pem", "amqps:// for TLS"),
        ("amqps://ada:secret@here/?verify=verify_none", "it takes amqp://"),
    ],
)
def test_files_that_cannot_be_used_are_named_and_the_password_is_not(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        parameters(url, "test")
    assert "secret" not in str(caught.value)


def test_every_encrypted_connection_checks_the_certificate_and_the_name() -> None:
    for url in ("amqps://here", "amqps://here/vhost?heartbeat=5"):
        context = parameters(url, "test").ssl_options.context
        assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
