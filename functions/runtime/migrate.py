"""`make migrate`: brings the layout of the PostgreSQL of the settings up to date, for deployments whose functions may not."""

import asyncio
import sys

from contracts.errors import ObservatoryError
from functions.runtime import settings as settings_module
from functions.runtime.at_rest import migrate_postgres


def main() -> int:
    try:
        place, applied = asyncio.run(migrate_postgres(settings_module.load()))
    except ObservatoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{place}: {', '.join(applied)} applied." if applied else f"{place} is up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
