"""doctor: what is wrong, and how to mend it. Works without a server, too."""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from console import exits
from console.checks import machine, server
from console.checks.finding import FAIL, OK, WARN, Finding
from console.session import Session
from console.text import clean

EXAMPLES = """It looks at this machine (programs, packages, settings, task modules, the data folder, contexts) and at the server that is meant.
The exit code is 1 when a line says fail.

examples:
  doctor
  doctor --context prod
  doctor --json | jq '.items[] | select(.verdict != "ok")'
"""
COLOURS = {OK: "green", WARN: "yellow", FAIL: "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """It takes no arguments of its own."""


def run(session: Session, arguments: argparse.Namespace) -> int:
    findings: list[Finding] = []
    for finding in examine(session):
        findings.append(finding)
        if not session.as_json:
            _say(session, finding)
    if session.as_json:
        session.json({"items": [asdict(finding) for finding in findings]})
    else:
        verdicts = Counter(finding.verdict for finding in findings)
        session.note(f"{verdicts[FAIL]} to mend, {verdicts[WARN]} to look at, {verdicts[OK]} well")
    return exits.FAILED if any(finding.verdict == FAIL for finding in findings) else exits.OK


def examine(session: Session) -> Iterator[Finding]:
    """Every finding, those about this machine first."""
    yield from machine.examine()
    yield from server.examine(session)


def _say(session: Session, finding: Finding) -> None:
    lead = session.paint(f"{finding.verdict:<4}", COLOURS[finding.verdict]) + f"  {finding.what:<12}  "
    session.say(lead + clean(finding.found))
    if finding.mend:
        session.say(f"{'':20}{clean(finding.mend)}")
    session.flush()
