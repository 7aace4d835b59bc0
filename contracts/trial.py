"""What a proposed schema would make of documents that are there: how many it would refuse, why, and examples.

The documents come redacted, and what is redacted cannot be judged: a fault at such a value is passed over. So nobody learns
of a secret by asking whether it would fit.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from contracts import validation
from contracts.errors import Fault
from contracts.redaction import REDACTED

EXAMPLES = 10
FAULTS = 20
FAULTS_OF_ONE = 10
CHARACTERS = 300


def trial(schema: dict[str, Any], documents: Sequence[Any]) -> dict[str, Any]:
    """``{"refused": count, "faults": [{"pointer", "detail", "count"}, ...], "examples": [{"index", "faults"}, ...]}``: the commonest
    faults first, examples from the newest on (documents come newest first). Raises ConfigurationError for what is no schema."""
    refused, tally = 0, Counter[tuple[str, str]]()
    examples: list[dict[str, Any]] = []
    for index, document in enumerate(documents):
        faults = [fault for fault in validation.faults(schema, document) if not _is_redacted(document, fault.pointer)]
        if not faults:
            continue
        refused += 1
        tally.update({(_place(fault.pointer), _shortened(fault.message)) for fault in faults})
        if len(examples) < EXAMPLES:
            examples.append({"index": index, "faults": [_told(fault) for fault in faults[:FAULTS_OF_ONE]]})
    commonest = [{"pointer": pointer, "detail": detail, "count": count} for (pointer, detail), count in tally.most_common(FAULTS)]
    return {"refused": refused, "faults": commonest, "examples": examples}


def _told(fault: Fault) -> dict[str, str]:
    return {"pointer": fault.pointer, "detail": _shortened(fault.message)}


def _shortened(message: str) -> str:
    return message if len(message) <= CHARACTERS else f"{message[: CHARACTERS - 1]}…"


def _place(pointer: str) -> str:
    """`/items/3/name` -> `/items/*/name`, so that the same fault in many items is one."""
    return "/".join("*" if token.isdigit() else token for token in pointer.split("/"))


def _is_redacted(document: Any, pointer: str) -> bool:
    """Whether the value at a pointer was redacted."""
    value = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (LookupError, ValueError, TypeError):
            return False
    return bool(value == REDACTED)
