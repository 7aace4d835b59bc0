"""`python -m contracts check` says what the schemas take away from the last release; `release` makes them the next."""

import sys

from contracts import governance

_USAGE = "usage: python -m contracts check | release"


def main(arguments: list[str]) -> int:
    """Exit status 0: nothing is taken away; 1: something is, each a line; 2: not understood."""
    if arguments == ["check"]:
        return _told(governance.check(), "the schemas keep everything that was released")
    if arguments == ["release"]:
        return _told(governance.release(), "the schemas and examples are released; commit contracts/released")
    print(_USAGE, file=sys.stderr)
    return 2


def _told(findings: list[governance.Finding], fine: str) -> int:
    for finding in findings:
        print(finding, file=sys.stderr)
    print(f"{len(findings)} findings; see contracts/VERSIONS.md" if findings else fine, file=sys.stderr if findings else sys.stdout)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
