"""A schema's trial as a process of its own: whatever the schema does, nobody but it waits or falls.

Reads ``{"schema": ..., "documents": [...]}`` from standard input and writes what `contracts.trial` says, or ``{"unusable": words}``.
"""

import resource
import sys

import orjson

CPU_SECONDS = 5
MEMORY_BYTES = 2 << 30


def main() -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    from contracts.errors import ConfigurationError
    from contracts.trial import trial

    asked = orjson.loads(sys.stdin.buffer.read())
    try:
        told = trial(asked["schema"], asked["documents"])
    except ConfigurationError as error:
        told = {"unusable": error.message}
    sys.stdout.buffer.write(orjson.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
