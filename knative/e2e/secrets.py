"""Credentials of a deployment: generated at the first install, kept in the cluster, never in a file of the project."""

import base64
import json
import secrets
from typing import Any

from knative.e2e.kubectl import Kubectl

USER = "observatory"
NAMES = ("postgres", "redis", "mongo", "rabbitmq", "grafana")


def ensure_secrets(api: Kubectl) -> int:
    """Makes what is missing; what is there stays, so that stores keep their passwords. Returns how many were made."""
    there = {name for name in NAMES if api.exists("secret", name)}
    made = [_secret(name, _login(name, secrets.token_urlsafe(24))) for name in NAMES if name not in there]
    if made:
        api.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    passwords = {name: read_secret(api, name) for name in NAMES}
    api.apply(json.dumps(_secret("connections", connections(passwords, api.namespace))))
    return len(made)


def _login(name: str, password: str) -> dict[str, str]:
    """Under the names by which each server's image, and the Broker's connection, take them."""
    return {
        "postgres": {"POSTGRES_USER": USER, "POSTGRES_DB": USER, "POSTGRES_PASSWORD": password},
        "redis": {"REDIS_PASSWORD": password},
        "mongo": {"MONGO_INITDB_ROOT_USERNAME": USER, "MONGO_INITDB_ROOT_PASSWORD": password},
        "rabbitmq": {"username": USER, "password": password, "uri": "http://rabbitmq.observatory.svc.cluster.local:15672", "port": "5672"},
        "grafana": {"username": USER, "password": password},
    }[name]


def connections(logins: dict[str, dict[str, str]], namespace: str) -> dict[str, str]:
    """The settings by which functions reach their stores."""
    host = f"{namespace}.svc.cluster.local"
    return {
        "OBSERVATORY_POSTGRES_URL": f"postgresql://{USER}:{logins['postgres']['POSTGRES_PASSWORD']}@postgres.{host}:5432/{USER}",
        "OBSERVATORY_REDIS_URL": f"redis://:{logins['redis']['REDIS_PASSWORD']}@redis.{host}:6379/0",
        "OBSERVATORY_MONGO_URL": f"mongodb://{USER}:{logins['mongo']['MONGO_INITDB_ROOT_PASSWORD']}@mongo.{host}:27017/{USER}?authSource=admin",
    }


def _secret(name: str, values: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"app.kubernetes.io/part-of": "observatory"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": values}


def read_secret(api: Kubectl, name: str) -> dict[str, str]:
    data: dict[str, str] = api.get("secret", name)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}
