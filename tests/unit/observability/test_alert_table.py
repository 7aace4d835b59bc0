"""The README's table of alerts is the table."""

import re

from contracts.alerts import TABLE
from tests.support.system import ROOT


def test_the_table_of_alerts_is_true() -> None:
    text = (ROOT / "observability" / "README.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*?) \| (\S+) \| (\S+) \| (\S+) \|$", text, re.M)
    assert rows == [
        (rule.name, rule.means, f"{rule.above:g}", f"{rule.below:g}", "-" if rule.critical is None else f"{rule.critical:g}") for rule in TABLE
    ]
