"""file.digest: what `sha256sum` says."""

import hashlib
from typing import Any

from functions.processor.tasks.context import TaskContext
from functions.processor.tasks.reading import chunks, open_allowed
from functions.processor.tasks.registry import task


@task("file.digest", schema="file-digest.v1.json", timeout_seconds=300)
def file_digest(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Computes the digest of a file, as sha256sum does."""
    algorithm = payload.get("algorithm", "sha256")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    size = 0
    with open_allowed(payload["path"]) as file:
        for chunk in chunks(file, context):
            digest.update(chunk)
            size += len(chunk)
    return {"algorithm": algorithm, "digest": digest.hexdigest(), "bytes": size}
