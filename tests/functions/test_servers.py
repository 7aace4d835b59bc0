"""`make servers`: finds, starts and stops real servers, each alone and without touching others."""

import contextlib
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from functions.runtime.servers.place import Place, read_urls
from functions.runtime.servers.process import Started, spawn, wait_until
from functions.runtime.servers.servers import NAMES
from tests.support.servers import own_servers, servers_below

ROOT = Path(__file__).resolve().parents[2]


def command(data: Path, *words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OBSERVATORY_DATA": str(data), "PATH": path or os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-m", "functions.runtime.servers", *words], env=environment, capture_output=True, text=True, check=False)


# ---- what needs no server ---------------------------------------------------------------------------------------


def test_a_process_is_known_by_its_birth_and_ended_by_its_id(tmp_path: Path) -> None:
    started = spawn(["sleep", "100"], tmp_path / "log", environment=os.environ)
    assert started.is_alive
    assert not Started(started.pid, "of another").is_alive
    Started(started.pid, "of another").stop(seconds=1)  # a later process under a number that was ours stays
    assert started.is_alive
    assert started.stop()
    assert not started.is_alive


def test_a_process_has_not_ended_before_its_last_thread(tmp_path: Path) -> None:
    """It holds its ports till then."""
    end_of_thread = {"x86_64": 60, "aarch64": 93}[platform.machine()]  # the system call exit
    words = f"import ctypes, threading, time; threading.Thread(target=time.sleep, args=(1.0,)).start(); ctypes.CDLL(None).syscall({end_of_thread}, 0)"
    log = tmp_path / "log"
    started = spawn([sys.executable, "-c", words], log, environment=os.environ)
    assert wait_until(lambda: state(started.pid) == "Z", 20), log.read_text()  # its first thread has ended
    assert started.is_alive
    assert wait_until(lambda: not started.is_alive, 20)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_process_that_will_not_end_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    started = spawn(["bash", "-c", "trap '' TERM; echo ready; while true; do sleep 0.05; done"], log, environment=os.environ)
    assert wait_until(lambda: "ready" in log.read_text(), 20)
    assert not started.stop(seconds=0.2)
    assert not started.is_alive


def test_a_server_that_is_nowhere_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    done = command(tmp_path, "start", "redis", path="/nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert "redis is not here: Debian, Ubuntu: apt-get install redis-server" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_that_does_not_start_is_told_with_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "redis-server").write_text("#!/bin/sh\necho cannot do this\n")
    (tmp_path / "redis-server").chmod(0o755)
    done = command(tmp_path / "data", "start", "redis", path=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert "redis did not start" in done.stderr
    assert "cannot do this" in done.stderr


def test_ports_and_passwords_stay_and_nobody_else_reads_them(tmp_path: Path) -> None:
    place = Place(tmp_path, {})
    port, password = place.port("redis"), place.password("redis")
    again = Place(tmp_path, {})
    assert (again.port("redis"), again.password("redis")) == (port, password)
    place.write_urls({"OBSERVATORY_REDIS_URL": "redis://:a=b@127.0.0.1:1/0"})
    assert read_urls(tmp_path) == {"OBSERVATORY_REDIS_URL": "redis://:a=b@127.0.0.1:1/0"}
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "servers").iterdir()} == {0}
    assert read_urls(tmp_path / "none") == {}


def test_a_port_that_somebody_took_meanwhile_is_replaced(tmp_path: Path) -> None:
    place = Place(tmp_path, {})
    kept, lost = place.port("redis"), place.port("rabbitmq")
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", lost))
        place.renew_ports("rabbitmq")
        place.renew_ports("redis")
        assert place.port("rabbitmq") != lost
    assert place.port("redis") == kept


def test_ports_are_none_that_a_connection_may_be_given(tmp_path: Path) -> None:
    """A client that keeps trying a port of these while nobody listens there could else be connected to itself, and hold it."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = [Place(tmp_path, {}).port("redis", f"{number}_port") for number in range(50)]
    assert min(ports) >= 10_000 and max(ports) < lowest


def test_a_port_that_a_process_beside_the_server_holds_stays(tmp_path: Path) -> None:
    place = Place(tmp_path, {})
    port = place.port("rabbitmq", "names_port")
    beside = spawn(["sleep", "100"], tmp_path / "log", environment=os.environ)
    place.remember("rabbitmq-names", process=beside.as_json())
    with socket.socket() as held:
        held.bind(("127.0.0.1", port))
        place.renew_ports("rabbitmq")
        assert place.port("rabbitmq", "names_port") == port
        beside.stop()
        place.renew_ports("rabbitmq")
        assert place.port("rabbitmq", "names_port") != port


def test_stopping_where_nothing_runs_says_so(tmp_path: Path) -> None:
    done = command(tmp_path, "stop")
    assert (done.returncode, done.stdout) == (0, "No server of this data folder runs.\n")


def test_docker_serves_what_is_not_on_path(tmp_path: Path) -> None:
    """A stand-in for the docker command writes down what it is asked; the real one is not needed to see that."""
    asked = tmp_path / "asked"
    script = f'#!/bin/sh\necho "$@ $OBSERVATORY_SERVER_REDIS_PORT $OBSERVATORY_SERVER_PASSWORD" >> {asked}\n'
    (tmp_path / "docker").write_text(script)
    (tmp_path / "docker").chmod(0o755)
    data = tmp_path / "data"
    assert command(data, "start", "redis", path=str(tmp_path)).returncode == 0
    place = Place(data, {})
    up = next(line for line in asked.read_text().splitlines() if " up " in line)
    assert "compose.yaml" in up
    assert up.endswith(f"up --detach --wait redis {place.port('redis')} {place.password('docker')}")
    assert read_urls(data) == {"OBSERVATORY_REDIS_URL": f"redis://default:{place.password('docker')}@127.0.0.1:{place.port('redis')}/0"}
    assert command(data, "stop", path=str(tmp_path)).stdout == "Stopped redis.\n"
    assert read_urls(data) == {}


def images(*files: Path) -> dict[str, str]:
    """name -> tag of each image that YAML files name."""
    found = [line.split("image:")[1].strip() for file in files for line in file.read_text().splitlines() if "image:" in line]
    return dict(image.rsplit(":", 1) for image in found if ":" in image)


def test_docker_and_the_cluster_run_the_same_versions() -> None:
    services = yaml.safe_load((ROOT / "eventing" / "compose.yaml").read_text())["services"]
    assert set(services) == set(NAMES)
    ours = images(ROOT / "eventing" / "compose.yaml")
    theirs = images(*sorted((ROOT / "knative" / "base").glob("*.yaml")))
    assert {name: theirs.get(name) for name in ours} == ours


# ---- real ones --------------------------------------------------------------------------------------------------


def environments() -> Iterator[tuple[str, str]]:
    """Of every process: its id, and the environment that it was started with."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.name != str(os.getpid()):
            with contextlib.suppress(OSError):
                yield process.name, (process / "environ").read_text(errors="replace")


@pytest.mark.servers
@pytest.mark.parametrize("name", NAMES)
def test_a_server_starts_once_answers_keeps_its_data_folder_and_leaves_nothing_behind(name: str) -> None:
    with own_servers(name) as servers:
        first = servers.running(name)
        assert first is not None
        servers.start([name])
        assert servers.running(name) == first  # a second start finds it
        url = servers.url(name)
        servers.stop([name])
        assert not first.is_alive
        again = servers_below(servers.place.path.parent)
        again.start([name])
        assert again.url(name) == url
        assert read_urls(servers.place.path.parent)[f"OBSERVATORY_{name.upper()}_URL"] == url
        names = servers.place.port(name, "names_port") if name == "rabbitmq" else None
        process = again.running(name)
        assert process is not None
        process.stop(signal.SIGKILL)  # its name service lives on, and is used again
        again.start([name])
        assert again.url(name) == url and (names is None or servers.place.port(name, "names_port") == names)
        living = [process for each in (*NAMES, "rabbitmq-names") if (process := again.running(each)) is not None]
        folder = str(servers.place.path)
    assert living
    assert wait_until(lambda: not [pid for pid, environment in environments() if folder in environment], 20), "daemons are left behind"
    assert not any(process.is_alive for process in living)
