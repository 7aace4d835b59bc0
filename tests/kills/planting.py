"""Plants a violation in a copy of a good life's data."""

import shutil
import sqlite3
from pathlib import Path


def planted_in(sql: str, good: Path, folder: Path) -> Path:
    """A copy of the data folder `good`, below `folder`, in which the statement has changed something."""
    copy = Path(shutil.copytree(good, folder / "copy"))
    with sqlite3.connect(copy / "observatory.db") as connection:
        assert connection.execute(sql).rowcount > 0, "nothing was planted"
    connection.close()
    return copy
