"""A task with secrets that tells everything it knows to whoever listens."""

import os
import re
import time
from typing import Any

from functions.processor.tasks import Permanent, RetryPolicy, TaskContext, task

SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["password"],
    "properties": {
        "password": {"type": "string", "minLength": 8, "x-secret": True},
        "how": {"enum": ["well", "raise", "die", "hang", "give-up"]},
        "keys": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "pem": {"type": "string", "x-secret": True}}}},
    },
}  # fmt: skip


@task("secret.told", schema=SCHEMA, timeout_seconds=2, retry=RetryPolicy(max_attempts=1))
def told(payload: dict, context: TaskContext) -> dict[str, Any]:
    """Logs in."""
    password, how = payload["password"], payload.get("how", "well")
    print(f"signing in with {password}, of {payload!r}", flush=True)
    context.logger.warning("the password is %s", password)
    context.progress(0.5, f"half way with {password}")
    context.once("sign in", lambda: {"used": password})
    if how == "raise":
        raise ValueError(f"{password} is refused for {payload}")
    if how == "give-up":
        raise Permanent(f"no use with {password}")
    if how == "die":
        time.sleep(0.1)
        os._exit(3)
    if how == "hang":
        re.match(r"(a+)+$", "a" * 64 + "b")
    return {"echo": payload, "sentence": f"I used {password}.", "length": len(password)}
