"""Every setting of the functions: the only reader of os.environ, read once, checked at the start."""

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from contracts import alerts as alerting
from contracts.errors import ConfigurationError
from functions.runtime.access import Rules, rules
from functions.stores.retention import Keeping

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Settings:
    """Field `x_y` is the variable OBSERVATORY_X_Y; the README's table is held equal to this list by a test."""

    host: str = "127.0.0.1"
    """Where `make run` listens."""
    port: int = 8080
    """The port of `make run`; 0 takes a free one."""
    data: str = ".observatory"
    """The data folder of the embedded stores."""
    name: str = "observatory"
    """The environment's name, shown by the screens."""
    workers: int = 0
    """Worker processes for task handlers; 0: two for each processor core."""
    tasks: str = ""
    """Further task modules to import, separated by commas."""
    queues: str = ""
    """The queues that a processor works on, separated by commas; empty: all."""
    request_seconds: float = 540.0
    """How long a processor alone holds an event's request while its queue has work (below its Service's timeoutSeconds)."""
    reload: bool = True
    """Whether `make run` takes over task modules and schemas that change."""
    lease_seconds: float = 15.0
    """How long a claim holds without renewal."""
    renew_seconds: float = 3.0
    """How often leases are renewed."""
    drain_seconds: float = 30.0
    """How long a stopping system waits for its handlers."""
    tick_seconds: float = 20.0
    """The longest time between two ticks of the embedded scheduler."""
    wait_seconds: float = 60.0
    """The most that `?wait=` may ask for."""
    timeout_seconds_max: float = 86_400.0
    """The longest `timeout_seconds` that a job may ask for; it bounds a type's own, too."""
    payload_bytes: int = 262_144
    """The largest payload."""
    body_bytes: int = 6_000_000
    """The largest request body."""
    batch_bytes: int = 5_000_000
    """The largest batch."""
    batch_items: int = 1_000
    """The most items of a batch."""
    api_keys: str = field(default="", repr=False)
    """Who may come in: `name:role:sha256hex`, separated by commas; `python -m console key NAME` makes an entry."""
    api_open: bool = False
    """Without keys, lets in whoever reaches the port, not this machine alone."""
    allowed_hosts: str = ""
    """Names (`host` or `host:port`, separated by commas; `*`: any) under which the API is reached, besides loopback."""
    cors_origins: str = ""
    """Origins (`https://host`, separated by commas; `*`: any, with keys) whose pages may use the API in a browser."""
    metrics_access: str = "key"
    """Who reads `/metrics`: key (as the rest) or open."""
    header_bytes: int = 65_536
    """The largest sum of request headers."""
    header_count: int = 100
    """The most request headers."""
    header_seconds: float = 15.0
    """How long a request's headers may take to arrive."""
    body_seconds: float = 30.0
    """How long a request body may take to arrive."""
    reader_seconds: float = 30.0
    """How long a reader may take nothing of what is sent to it."""
    connections_max: int = 4_000
    """The most open connections; fewer where the system allows fewer open files."""
    refusals_a_second: float = 100.0
    """How many refused requests of one address are answered at once; further ones are answered later. 0: all."""
    streams_max: int = 500
    """The most open live streams."""
    keep_succeeded_days: float = 7.0
    """How long succeeded jobs are kept; 0: for ever."""
    keep_failed_days: float = 30.0
    """How long failed and cancelled jobs are kept; 0: for ever."""
    keep_jobs_max: int = 1_000_000
    """The most ended jobs that are kept, the oldest go first; 0: any number."""
    keep_others_days: float = 30.0
    """How long settled dead letters, counters of refusals and the events of schedules' firings are kept; 0: for ever."""
    keep_statistics_days: float = 31.0
    """How long statistics are kept by the minute (the sums since the beginning stay); 0: for ever."""
    keep_history_days: float = 365.0
    """How long the event log keeps events on MongoDB; 0: for ever."""
    alerts: str = ""
    """Other thresholds of alerts, as `queue-age=300,refusals=off,calm=30`; observability/README.md lists them."""
    log_format: str = "auto"
    """people, json, or auto: people on a terminal, json elsewhere."""
    quiet: bool = False
    """No line a job from `make run`."""
    http_allow: str = ""
    """Hosts (`host` or `host:port`, separated by commas) that `http.call` may call."""
    files_roots: str = ""
    """Folders that file tasks may read, separated by `:`; empty: the folder of `make run` and Python's standard library."""
    catalogue: str = ""
    """A collected task catalogue (JSON); empty: it is collected at the start."""
    triggers: str = ""
    """A folder of further Trigger files, for webhooks."""
    instance: str = ""
    """The name of this instance; empty: the host's name and a random part."""
    postgres_url: str = field(default="", repr=False)
    """PostgreSQL for the jobs: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, `?sslmode=require` for TLS; empty: SQLite in the data folder."""
    migrate: bool = True
    """Lets a function bring PostgreSQL's layout up to date at its start; 0: `make migrate` does."""
    broker_url: str = field(default="", repr=False)
    """The ingress of a Knative Broker, where a function alone publishes what it commits; empty: nowhere."""
    rabbitmq_url: str = field(default="", repr=False)
    """RabbitMQ for the events on their way between processes: `amqp://USER:PASSWORD@HOST:PORT/VHOST`, `amqps:` for TLS (`?cacertfile=`); empty: embedded."""
    redis_url: str = field(default="", repr=False)
    """Redis for the statistics: `redis://:PASSWORD@HOST:PORT/0`, `rediss:` for TLS; empty: the job store's file."""
    mongo_url: str = field(default="", repr=False)
    """MongoDB for the event log: `mongodb://USER:PASSWORD@HOST:PORT/DATABASE`, `?tls=true` for TLS; empty: what the job store keeps."""
    fronts: int = 1
    """Of `make run PROFILE=servers`: processes that serve the one port (gateway and read model)."""
    processors: int = 1
    """Of `make run PROFILE=servers`: processes that run jobs, each with worker processes of its own."""
    subscribers: str = ""
    """Where functions behind the broker are reached to replay a dead letter: `NAME=URL`, separated by commas; PROFILE=servers sets it."""
    spool: str = ""
    """A folder where the dead-letter function alone keeps what the job store does not take in time; empty: it answers 503."""
    mongo_server: str = ""
    """For `make servers`: the program of a MongoDB server (`mongod`, or FerretDB 1.24); empty: looked for on PATH."""
    test_kill: str = ""
    """For tests: where a process kills itself (stores/faults.py)."""

    @property
    def trigger_files(self) -> list[Path]:
        """Our Trigger files, and the user's folder, which has to be there."""
        ours = sorted((ROOT / "eventing" / "manifests").glob("3*.yaml"))
        return [*ours, *([Path(self.triggers)] if self.triggers else ())]

    @property
    def data_folder(self) -> Path:
        return Path(self.data)

    @property
    def job_store_kind(self) -> str:
        """What the job store is, and where, for people."""
        return f"PostgreSQL at {address_of(self.postgres_url)}" if self.postgres_url else "SQLite"

    @property
    def task_modules(self) -> list[str]:
        return [name.strip() for name in self.tasks.split(",") if name.strip()]

    @property
    def queue_names(self) -> list[str]:
        return [name.strip() for name in self.queues.split(",") if name.strip()]

    @property
    def subscriber_urls(self) -> dict[str, str]:
        """Base URLs of functions, by the name of their Service. Raises ConfigurationError."""
        pairs = [pair.strip().partition("=") for pair in self.subscribers.split(",") if pair.strip()]
        if any(not name or not url.startswith(("http://", "https://")) for name, _, url in pairs):
            raise ConfigurationError("OBSERVATORY_SUBSCRIBERS takes NAME=URL, separated by commas, such as processor=http://127.0.0.1:9001")
        return {name: url for name, _, url in pairs}

    @property
    def keeping(self) -> Keeping:
        return Keeping(
            self.keep_succeeded_days, self.keep_failed_days, self.keep_jobs_max, self.keep_others_days, self.keep_statistics_days,
            self.keep_history_days,
        )

    @property
    def alert_rules(self) -> "alerting.Rules":
        """The thresholds of alerts. Raises ConfigurationError."""
        return alerting.parse_rules(self.alerts)

    @property
    def rules(self) -> Rules:
        """Who may come in. Raises ConfigurationError."""
        return rules(
            keys=self.api_keys, hosts=self.allowed_hosts, origins=self.cors_origins, host=self.host, is_open=self.api_open,
            metrics=self.metrics_access,
        )  # fmt: skip

    @property
    def worker_count(self) -> int:
        return self.workers or 2 * (os.cpu_count() or 1)


def address_of(url: str) -> str:
    """Where a URL leads, without its credentials and options."""
    return url.partition("://")[2].rpartition("@")[2].partition("?")[0]


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads and checks all settings. Raises ConfigurationError naming the variable and what it takes."""
    source = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for setting in fields(Settings):
        variable = f"OBSERVATORY_{setting.name.upper()}"
        if variable in source and source[variable] != "":
            values[setting.name] = _parse(variable, source[variable], type(setting.default))
    values.setdefault("instance", f"{os.uname().nodename}-{uuid.uuid4().hex[:6]}")
    settings = Settings(**values)
    _check(settings)
    return settings


def _parse(variable: str, text: str, kind: type) -> Any:
    try:
        if kind is bool:
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError):
        names = {int: "a whole number", float: "a number", bool: "1 or 0"}
        raise ConfigurationError(f"{variable}={text!r} is not {names.get(kind, 'usable')}") from None


def _check(settings: Settings) -> None:
    if not 0 <= settings.port <= 65535:
        raise ConfigurationError(f"OBSERVATORY_PORT={settings.port} is no port; use 0 to 65535")
    if settings.renew_seconds * 2 > settings.lease_seconds:
        raise ConfigurationError("OBSERVATORY_RENEW_SECONDS must be at most half of OBSERVATORY_LEASE_SECONDS")
    if settings.log_format not in ("auto", "people", "json"):
        raise ConfigurationError(f"OBSERVATORY_LOG_FORMAT={settings.log_format!r}; use people, json or auto")
    for setting in fields(Settings):
        value = getattr(settings, setting.name)
        if isinstance(value, int | float) and value < 0:
            raise ConfigurationError(f"OBSERVATORY_{setting.name.upper()}={value} must not be negative")
    _ = settings.rules, settings.alert_rules, settings.subscriber_urls


_SECRETS = frozenset({"OBSERVATORY_API_KEYS", *(f"OBSERVATORY_{store}_URL" for store in ("POSTGRES", "REDIS", "MONGO", "RABBITMQ"))})


def environment(settings: Settings) -> dict[str, str]:
    """What worker processes inherit: the whole environment but API keys and the servers' URLs, with the settings that they read as
    this process has them."""
    read = {"OBSERVATORY_HTTP_ALLOW": settings.http_allow, "OBSERVATORY_FILES_ROOTS": settings.files_roots}
    others = {name: value for name, value in os.environ.items() if name not in read and name not in _SECRETS}
    return others | {name: value for name, value in read.items() if value}


def environment_of_stores(settings: Settings) -> dict[str, str]:
    """What a process of ours inherits that opens the same stores."""
    urls = {"OBSERVATORY_POSTGRES_URL": settings.postgres_url, "OBSERVATORY_REDIS_URL": settings.redis_url, "OBSERVATORY_MONGO_URL": settings.mongo_url}
    folder = {"OBSERVATORY_DATA": str(settings.data_folder.resolve())}
    return environment(settings) | {name: value for name, value in urls.items() if value} | folder
