"""A task whose payload has a secret."""

from functions.processor.tasks import TaskContext, task

SCHEMA = {
    "type": "object",
    "properties": {
        "password": {"type": "string", "x-secret": True, "description": "Nobody's business."},
        "n": {"type": "integer", "description": "A number."},
    },
    "required": ["password"],
    "additionalProperties": False,
}


@task("contract.secret", schema=SCHEMA)
def secret(payload: dict, context: TaskContext) -> None:
    """Takes a secret and keeps it."""
