"""cancel: jobs that have not ended."""

import argparse
from typing import Any

from console.session import Session
from console.verbs.each import for_each

EXAMPLES = """A running job gets 5 seconds to stop by itself. A job that has ended is refused (exit code 3).
`bulk cancel QUERY` cancels every job that a query finds.

examples:
  cancel JOB
  cancel JOB JOB --reason "wrong file"
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("jobs", metavar="JOB", nargs="+", help="ids; - reads them from standard input")
    parser.add_argument("--reason", help="goes into the log")


def run(session: Session, arguments: argparse.Namespace) -> int:
    return for_each(session, arguments.jobs, lambda job: session.client.cancel(job, arguments.reason), _words)


def _words(job_id: str, answer: Any) -> str:
    return f"{job_id} {answer['status']}" + ("" if answer["status"] == "cancelled" else ", asked to stop")
