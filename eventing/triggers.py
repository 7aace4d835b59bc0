"""Triggers: which events go to which subscriber, read from Knative's own YAML (`eventing.knative.dev/v1`).

One set of files drives the embedded broker, RabbitMQ and the Knative Broker, so a file may say only what all of them
do alike: exact attribute filters, a retry policy, a dead letter sink. Whatever else Knative knows is refused in words.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from contracts.errors import ConfigurationError
from contracts.event import Event
from eventing.attributes import fault_of, is_uri_reference
from eventing.yaml_documents import Place, read_documents

BROKER = "observatory"
MANIFESTS = Path(__file__).parent / "manifests"
API_VERSION = "eventing.knative.dev/v1"
PARALLELISM = "rabbitmq.eventing.knative.dev/parallelism"

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d)?)S)?)?")
_SERVICE_VERSIONS = ("serving.knative.dev/v1", "v1")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where events go: a path (`uri`) of a Service, or the `url` of anything that takes CloudEvents."""

    service: str | None = None
    uri: str | None = None
    url: str | None = None

    @property
    def address(self) -> str:
        """The absolute URL; a Service's is the one inside its own namespace."""
        return self.url or f"http://{self.service}{self.uri or ''}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How often and how soon a delivery is tried again; the defaults are the RabbitMQ Broker's."""

    retry: int = 5
    backoff_policy: str = "exponential"
    backoff_delay_seconds: float = 0.05
    timeout_seconds: float | None = None
    dead_letter: Destination | None = None

    def delay_seconds(self, retry: int) -> float:
        """Seconds before a retry, 1 the first: delay x 2^retry, or delay x retry when linear (as Knative has it)."""
        return self.backoff_delay_seconds * (retry if self.backoff_policy == "linear" else 2.0 ** min(retry, 60))


@dataclass(frozen=True, slots=True)
class Trigger:
    """Sends the events whose attributes equal `attributes` (none: every event) to `subscriber`.

    `parallelism` is how many deliveries of it may be under way at once.
    """

    name: str
    subscriber: Destination
    attributes: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery()
    parallelism: int = 1

    def matches(self, event: Event) -> bool:
        """Whether the event has each of the attributes with exactly that value."""
        return all(event.attribute(name) == value for name, value in self.attributes.items())


def load_triggers(paths: Iterable[Path] = (MANIFESTS,)) -> list[Trigger]:
    """The Triggers of files and of folders' `*.yaml` files, in that order; other kinds in them are passed over.

    Raises ConfigurationError that names the file, the field and what is allowed.
    """
    found: dict[str, tuple[Trigger, Path]] = {}
    for path in (file for each in paths for file in _files(Path(each))):
        for document in read_documents(path):
            if not isinstance(document, dict) or document.get("kind") != "Trigger":
                continue
            trigger = _trigger(Place(document, path))
            if trigger.name in found:
                raise ConfigurationError(
                    f"{path}: the Trigger {trigger.name!r} stands already in {found[trigger.name][1]}; rename one of them."
                )
            found[trigger.name] = trigger, path
    return [trigger for trigger, _ in found.values()]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml"))
    return [path]


def _trigger(root: Place) -> Trigger:
    fields = root.fields(("apiVersion", "kind", "metadata", "spec"), ("apiVersion", "kind", "metadata", "spec"))
    if fields["apiVersion"].value != API_VERSION:
        raise fields["apiVersion"].wrong(f"is {fields['apiVersion'].value!r}; a Trigger's is {API_VERSION}")
    name, annotations = _metadata(fields["metadata"])
    spec = fields["spec"].fields(("broker", "filter", "filters", "subscriber", "delivery"), ("broker", "subscriber", "delivery"))
    if "filters" in spec:
        raise spec["filters"].wrong(
            "is refused: the RabbitMQ Broker ignores it, and the Trigger would get every event; "
            "use spec.filter.attributes, which match exactly"
        )
    if spec["broker"].value != BROKER:
        raise spec["broker"].wrong(f"is {spec['broker'].value!r}; the Broker here is {BROKER!r}")
    return Trigger(
        name=name,
        attributes=_attributes(spec["filter"]) if "filter" in spec else MappingProxyType({}),
        subscriber=_destination(spec["subscriber"]),
        delivery=_delivery(spec["delivery"]),
        parallelism=_parallelism(annotations),
    )


def _metadata(place: Place) -> tuple[str, Place | None]:
    fields = place.fields(("name", "namespace", "labels", "annotations"), ("name",))
    name = fields["name"]
    if not _NAME.fullmatch(name.text()):
        raise name.wrong(f"is {name.value!r}; it takes 1 to 63 of a-z, 0-9 and inner hyphens")
    return name.text(), fields.get("annotations")


def _parallelism(annotations: Place | None) -> int:
    """The annotation's value, 1 by default; Kubernetes takes annotations as text only."""
    value = (annotations.value or {}).get(PARALLELISM) if annotations else None
    if value is None:
        return 1
    if not isinstance(value, str) or not re.fullmatch("[0-9]{1,4}", value) or not 1 <= int(value) <= 1000:
        assert annotations is not None
        raise Place(value, annotations.file, f"{annotations.path}[{PARALLELISM}]").wrong(
            f"is {value!r}; it takes a whole number from 1 to 1000 in quotes"
        )
    return int(value)


def _attributes(place: Place) -> Mapping[str, str]:
    fields = place.fields(("attributes",))
    if "attributes" not in fields:
        return MappingProxyType({})
    place = fields["attributes"]
    if not isinstance(place.value, dict):
        raise place.wrong(f"is {place.value!r}; it takes a mapping of attribute names and values")
    for name, value in place.value.items():
        member = Place(value, place.file, f"{place.path}.{name}")
        if value == "":
            raise member.wrong(
                "is empty: other Knative Brokers read that as 'any value', the RabbitMQ Broker as no value at all; "
                "name the value, or leave the attribute out"
            )
        if fault := fault_of(str(name), member.text()) or (None if str(name)[0].isalpha() else "begins with a digit"):
            raise member.wrong(fault)
    return MappingProxyType(dict(place.value))


def _destination(place: Place) -> Destination:
    fields = place.fields(("ref", "uri"))
    uri = fields.get("uri")
    if "ref" in fields:
        if uri and not uri.text().startswith("/"):
            raise uri.wrong(f"is {uri.value!r}; beside a ref it is a path such as '/triggers/NAME'")
        return Destination(service=_service(fields["ref"]), uri=uri.text() if uri else None)
    if uri is None:
        raise place.wrong("is empty; it takes a ref to a Service, or a uri with the URL of the subscriber")
    if not _is_http_url(uri.text()):
        raise uri.wrong("is not usable: without a ref it is a URL with http or https, a host, and no user name")
    return Destination(url=uri.text())


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        return known and "@" not in parts.netloc and is_uri_reference(text, absolute=True)
    except ValueError:
        return False


def _service(place: Place) -> str:
    fields = place.fields(("apiVersion", "kind", "name", "namespace"), ("apiVersion", "kind", "name"))
    if fields["kind"].value != "Service":
        raise fields["kind"].wrong(f"is {fields['kind'].value!r}; it takes Service")
    if fields["apiVersion"].value not in _SERVICE_VERSIONS:
        raise fields["apiVersion"].wrong(f"is {fields['apiVersion'].value!r}; it takes {' or '.join(_SERVICE_VERSIONS)}")
    return fields["name"].text()


def _delivery(place: Place) -> Delivery:
    fields = place.fields(("retry", "backoffPolicy", "backoffDelay", "timeout", "deadLetterSink"), required=("deadLetterSink",))
    policy = fields["backoffPolicy"].text() if "backoffPolicy" in fields else "exponential"
    if policy not in ("exponential", "linear"):
        raise fields["backoffPolicy"].wrong(f"is {policy!r}; it takes exponential or linear")
    return Delivery(
        retry=fields["retry"].integer(0, 100) if "retry" in fields else 5,
        backoff_policy=policy,
        backoff_delay_seconds=_seconds(fields["backoffDelay"]) if "backoffDelay" in fields else 0.05,
        timeout_seconds=_seconds(fields["timeout"], zero=False) if "timeout" in fields else None,
        dead_letter=_destination(fields["deadLetterSink"]),
    )


def _seconds(place: Place, *, zero: bool = True) -> float:
    """Seconds of an ISO 8601 duration, to a tenth of a second: Knative's parser drops what is finer."""
    found = _DURATION.fullmatch(place.text())
    if not found or not any(found.groups()):
        raise place.wrong(f"is {place.value!r}; it takes an ISO 8601 duration such as PT0.2S, PT30S or PT5M")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if not total and not zero:
        raise place.wrong("is zero; it takes a duration above that")
    return total
