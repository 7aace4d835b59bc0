"""PostgreSQL's advisory locks: each number has one purpose, or two that have nothing to do with each other wait for each other."""

import re
from collections import defaultdict

from tests.architecture.test_imports import ROOT

PURPOSES = {
    0: {"postgres_migrations.py"},
    1: {"001-first.sql", "lock_placing"},  # positions are given away, and the audit looks at them
    2: {"lock_schedules"},
    3: {"lock_refusals"},
    4: {"lock_alerts"},
    5: {"lock_statistics"},
    6: {"take_turn", "give_turn"},
    7: {"follow_turn"},
    8: {"be_present", "take_alone"},
    9: {"try_retention", "lock_retention"},
}


def test_each_number_has_one_purpose() -> None:
    found: dict[int, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "functions" / "stores" / "backends").rglob("*")):
        if path.suffix not in (".py", ".sql"):
            continue
        name = path.name
        for line in path.read_text().splitlines():
            if named := re.match(r"-- name: (\w+)", line):
                name = named[1]
            for number in re.findall(r"advisory\w*lock(?:_shared)?\(7041958, (\d+)\)", line):
                found[int(number)].add(name)
    assert dict(found) == PURPOSES
