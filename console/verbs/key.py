"""key: makes a key for somebody, and the setting by which a server knows it. Asks no server and stores nothing."""

import argparse
import secrets

from console import environment, exits
from console.session import Session
from contracts.access import KEY_PREFIX, ROLES, key_of, parse_keys

EXAMPLES = """The key is shown once and kept nowhere: the setting holds its SHA-256 alone. Each role may all that the one before may.

  read     looks: jobs, events, statistics, the live stream
  submit   makes jobs: submits, runs again
  operate  decides about all jobs: cancels, retries, pauses, dead letters

examples:
  key ada --role operate
  key nightly-import --role submit --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="who holds it; the log names it as the actor")
    parser.add_argument("--role", choices=list(ROLES), default="read", help="what it opens (read)")


def run(session: Session, arguments: argparse.Namespace) -> int:
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    entry = key_of(arguments.name, arguments.role, secret).setting()
    setting = ",".join([*(key.setting() for key in parse_keys(environment.api_keys())), entry])
    parse_keys(setting)  # a name that is taken is told here, not at the server's start
    if session.as_json:
        session.json({"name": arguments.name, "role": arguments.role, "key": secret, "entry": entry, "setting": f"OBSERVATORY_API_KEYS={setting}"})
        return exits.OK
    session.say(secret)
    session.note(f"\nThis is the key of {arguments.name}; it is not shown again. To use it:")
    session.note("  export OBSERVATORY_API_KEY=...   (the command line and the client)")
    session.note("  Authorization: Bearer ...        (HTTP)")
    session.note(f"\nThe server knows it by this setting, at its next start:\n  OBSERVATORY_API_KEYS={setting}")
    return exits.OK
