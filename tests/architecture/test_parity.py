"""Every path, make target and endpoint that PARITY.md and the walkthrough name is there."""

import re
from pathlib import Path

import pytest

from functions.runtime.openapi import document

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "tests" / "PARITY.md", ROOT / "console" / "WALKTHROUGH.md")
NAMED = re.compile(r"`([^`\n]+)`")


def named(pattern: str) -> set[str]:
    return {found for page in PAGES for text in NAMED.findall(page.read_text()) for found in re.findall(pattern, text)}


def test_every_path_exists() -> None:
    folders = "functions|eventing|contracts|knative|observability|console|tests"
    paths = named(rf"^((?:{folders})/[\w./-]*|[A-Z]+\.md)$")
    assert len(paths) > 30
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):.*## ", (ROOT / "Makefile").read_text(), re.M))
    asked = named(r"^make ([a-z0-9-]+)") | {found for page in PAGES for found in re.findall(r"^make ([a-z0-9-]+)", page.read_text(), re.M)}
    assert len(asked) > 10 and asked <= targets


@pytest.mark.parametrize("endpoint", sorted(named(r"^((?:GET|POST|PUT|DELETE) /\S*)$")))
def test_every_endpoint_is_an_operation(endpoint: str) -> None:
    method, _, path = endpoint.partition(" ")
    assert method.lower() in document()["paths"].get(path, {}), endpoint
