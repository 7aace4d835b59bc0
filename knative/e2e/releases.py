"""The release manifests that a cluster needs: from a folder that somebody filled, or downloaded once and kept.

A download is compared with the checksum that the first download of that address recorded in a lock file that git ignores:
what changes behind an address is noticed. There is no checksum here that was not seen.
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import httpx
import yaml

from knative.e2e.shell import ROOT
from knative.e2e.stages import StageFailed

PINNED = ROOT / "knative" / "releases.yaml"
TRIES = 4


class Releases:
    """The pinned release files, as texts in the order in which they are applied."""

    def __init__(self, folder: str = "", cache: Path = ROOT / ".cluster" / "releases") -> None:
        self._folder = Path(folder) if folder else None
        self._cache = cache
        self.files: list[dict[str, str]] = yaml.safe_load(PINNED.read_text())["releases"]

    @property
    def origin(self) -> str:
        return str(self._folder) if self._folder else "the projects' releases"

    def text(self, file: str) -> str:
        """A file's text. Raises StageFailed: it is not in the folder, cannot be had, or is not what it was."""
        if self._folder is not None:
            path = self._folder / file
            if not path.is_file():
                raise StageFailed(f"{path} is not there", "KNATIVE_MANIFESTS names a folder with every file of knative/releases.yaml")
            return path.read_text()
        address = next(each["address"] for each in self.files if each["file"] == file)
        kept = self._cache / file
        if not kept.is_file():
            self._cache.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(".part")
            part.write_text(_download(address))
            part.replace(kept)
        text = kept.read_text()
        self._compare(address, text)
        return text

    def _compare(self, address: str, text: str) -> None:
        lock = self._cache / "checksums.json"
        known: dict[str, Any] = json.loads(lock.read_text()) if lock.is_file() else {}
        found = hashlib.sha256(text.encode()).hexdigest()
        if known.setdefault(address, found) != found:
            raise StageFailed(
                f"{address} is not what it was when it was first downloaded (sha256 {found}, then {known[address]})",
                f"if the new one is right, delete {lock} and the file beside it",
            )
        lock.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def _download(address: str) -> str:
    for number in range(1, TRIES + 1):
        try:
            answer = httpx.get(address, follow_redirects=True, timeout=30.0)
            answer.raise_for_status()
            return answer.text
        except httpx.HTTPError as error:
            if number == TRIES:
                look = "without access to it, fill a folder with the files of knative/releases.yaml and name it with KNATIVE_MANIFESTS"
                raise StageFailed(f"{address} cannot be had: {error}", look) from None
            time.sleep(2.0**number)
    raise AssertionError("unreachable")


def from_environment() -> Releases:
    return Releases(os.environ.get("KNATIVE_MANIFESTS", ""))
