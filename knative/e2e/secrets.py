"""Credentials of a deployment: generated at the first install, kept in the cluster, never in a file of the project."""

import base64
import json
import secrets
from typing import Any

from contracts.access import KEY_PREFIX, key_of
from knative.e2e.kubectl import Kubectl

USER = "observatory"
NAMES = ("postgres", "redis", "mongo", "rabbitmq", "grafana")
OPERATOR = "operator"


def ensure_secrets(api: Kubectl) -> int:
    """Makes what is missing; what is there stays, so that stores keep their passwords. Returns how many were made."""
    there = {name for name in NAMES if api.exists("secret", name)}
    made = [_secret(name, _login(name, secrets.token_urlsafe(24))) for name in NAMES if name not in there]
    if made:
        api.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    passwords = {name: read_secret(api, name) for name in NAMES}
    api.apply(json.dumps(_secret("connections", connections(passwords, api.namespace))))
    return len(made)


def ensure_keys(api: Kubectl) -> int:
    """Makes the first API key, where there is none: what functions know of it in `api-keys`, the key itself in `operator-key`."""
    if api.exists("secret", "api-keys"):
        return 0
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    made = [_secret("operator-key", {"key": key}), _secret("api-keys", {"OBSERVATORY_API_KEYS": key_of(OPERATOR, "operate", key).setting()})]
    api.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    return len(made)


def operator_key(api: Kubectl) -> str:
    """The key of whoever installed it; empty where none is asked for."""
    return read_secret(api, "operator-key")["key"] if api.exists("secret", "operator-key") else ""


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
