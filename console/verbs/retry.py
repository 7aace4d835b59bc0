"""retry: new attempts for jobs that failed or were cancelled."""

import argparse

from console.session import Session
from console.verbs.each import for_each

EXAMPLES = """The job goes on as the same job: its attempts are counted on, and it gets its whole budget again. A job that has
succeeded is refused (exit code 3); `rerun` makes a new one from it. `bulk retry QUERY` is for every job that a query finds.

examples:
  retry JOB
  retry JOB JOB --reason "the disk has room again"
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("jobs", metavar="JOB", nargs="+", help="ids; - reads them from standard input")
    parser.add_argument("--reason", help="goes into the log")


def run(session: Session, arguments: argparse.Namespace) -> int:
    retry = session.client.retry
    return for_each(session, arguments.jobs, lambda job: retry(job, arguments.reason), lambda job, answer: f"{job} {answer['status']}")
