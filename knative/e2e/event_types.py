"""The EventTypes of Knative's registry, made from the contracts: `python -m knative.e2e event-types` writes
eventing/manifests/500-event-types.yaml, and a test holds the file equal to what this makes."""

import yaml

from contracts.event_types import EVENT_TYPES

HEAD = "# Made by `python -m knative.e2e event-types` from contracts/event_types.py; not written by hand.\n"


def event_types() -> str:
    """An EventType for each type of event, with the name of its JSON Schema (GET /v1/contracts shows them)."""
    documents = [
        {
            "apiVersion": "eventing.knative.dev/v1beta2",
            "kind": "EventType",
            "metadata": {"name": kind.name, "namespace": "observatory"},
            "spec": {
                "type": kind.name,
                "schema": f"urn:observatory:event:{kind.short}:v{kind.version}",
                "description": kind.description,
                "reference": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "observatory"},
            },
        }
        for kind in EVENT_TYPES.values()
    ]
    return HEAD + yaml.safe_dump_all(documents, sort_keys=False, width=160)
