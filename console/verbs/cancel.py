"""cancel: jobs that have not ended."""

import argparse

from console import cli, exits
from console.api.errors import ObservatoryApiError
from console.session import Session
from console.text import clean

EXAMPLES = """A running job gets 5 seconds to stop by itself. A job that has ended is refused (exit code 3).

examples:
  cancel JOB
  cancel JOB JOB --reason "wrong file"
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("jobs", metavar="JOB", nargs="+", help="ids")
    parser.add_argument("--reason", help="goes into the log")


def run(session: Session, arguments: argparse.Namespace) -> int:
    code, items = exits.OK, []
    for job_id in arguments.jobs:
        try:
            answer = session.client.cancel(job_id, arguments.reason)
        except ObservatoryApiError as error:
            if error.status not in (404, 409, 422):
                raise
            code = code or cli.exit_code_of(error)
            items.append({"id": job_id, "status": error.status, "problem": error.problem})
            session.note(clean(f"{job_id} {error.message}"))
            continue
        items.append(answer)
        if not session.as_json:
            state = answer["status"] if answer["status"] == "cancelled" else f"{answer['status']}, asked to stop"
            session.say(clean(f"{job_id} {state}"))
    if session.as_json:
        session.json({"items": items})
    return code
