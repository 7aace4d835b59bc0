"""rerun: new jobs from ended ones."""

import argparse

from console.session import Session
from console.verbs.each import for_each

EXAMPLES = """Each new job has the payload and options of the old one, and the old one as its parent.
`bulk rerun QUERY` is for every job that a query finds.

examples:
  rerun JOB
  watch $(observatory rerun JOB --json | jq -r '.items[].id')
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("jobs", metavar="JOB", nargs="+", help="ids; - reads them from standard input")


def run(session: Session, arguments: argparse.Namespace) -> int:
    rerun = session.client.rerun
    return for_each(session, arguments.jobs, rerun, lambda job, answer: f"{job} runs again as {answer['id']} ({answer['status']})")
