"""Who may import whom: contracts <- ports <- adapters; services see contracts and ports; functions never each other."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ("gateway", "processor", "metrics_engine", "read_model", "scheduler", "dead_letter")
PORTS = {"functions.stores.job_store", "functions.stores.stats_store", "functions.stores.event_log", "functions.stores.moves"}


def modules(folder: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; the framework registers every source file as `main`"
            module = node.module or ""
            found.add(module)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def ours(found: set[str], *prefixes: str) -> set[str]:
    return {name for name in found if any(name == p or name.startswith(p + ".") for p in prefixes)}


def test_contracts_import_nothing_else_of_ours() -> None:
    for name, path in modules("contracts"):
        assert not ours(imports(path), "functions", "eventing", "console", "observability"), name


def test_eventing_imports_only_contracts() -> None:
    for name, path in modules("eventing"):
        assert not ours(imports(path), "functions", "console", "observability"), name


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_never_import_each_other(function: str) -> None:
    others = [f"functions.{other}" for other in FUNCTIONS if other != function]
    for name, path in modules(f"functions/{function}"):
        assert not ours(imports(path), *others), name


def test_stores_and_brokers_are_known_by_their_ports() -> None:
    """One file chooses adapters for functions that run; besides it, those for stores at rest know some."""
    adapters = ("functions.stores.backends", "eventing.brokers")
    allowed = {"functions.runtime.adapters", "functions.runtime.at_rest", "functions.runtime.admin"}
    for name, path in modules("functions"):
        if name not in allowed and not name.startswith("functions.stores.backends"):
            assert not ours(imports(path), *adapters), name


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_main_is_wired(function: str) -> None:
    """The rest of a function is handed its parts: it fetches none."""
    wiring = [f"functions.runtime.{module}" for module in ("wiring", "parts", "adapters", "at_rest", "admin")]
    for name, path in modules(f"functions/{function}"):
        if name != f"functions.{function}.main":
            assert not ours(imports(path), *wiring), name


def test_only_settings_read_the_environment() -> None:
    allowed = {
        "functions.runtime.settings",
        "functions.runtime.local",  # hands the whole environment over
        "functions.runtime.processes.__main__",  # to the settings, and to the processes that it starts
        "functions.processor.tasks.settings",  # what worker processes read, documented there
        "functions.processor.starters",  # hands it to the workers
        "functions.processor.worker_process",
    }
    for name, path in modules("functions"):
        if name.startswith("functions.examples") or name in allowed:
            continue
        text = path.read_text()
        assert "os.environ" not in text and "getenv" not in text, name


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_service_sees_only_contracts_and_ports(function: str) -> None:
    """`service.py` holds the work: no HTTP, no environment, no clock of its own."""
    path = ROOT / "functions" / function / "service.py"
    found = imports(path)
    assert not {"os", "time", "datetime", "random", "uuid"} & found, function
    assert not ours(found, "starlette", "httpx", "sqlite3", "functions.stores.backends", "functions.runtime.http", "functions.runtime.settings"), (
        function
    )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_main_is_thin(function: str) -> None:
    assert len((ROOT / "functions" / function / "main.py").read_text().splitlines()) <= 40


def test_the_console_talks_http_and_imports_only_contracts() -> None:
    for name, path in modules("console"):
        found = ours(imports(path), "functions", "eventing", "observability")
        assert found <= {"functions", "functions.runtime", "functions.runtime.admin"}, (name, found)  # the one exception, loaded lazily


def test_only_the_codec_imports_the_cloudevents_sdk() -> None:
    for folder in ("contracts", "eventing", "functions", "console"):
        for name, path in modules(folder):
            if name != "eventing.codec":
                assert not ours(imports(path), "cloudevents"), name


def test_a_folder_is_deployable_if_and_only_if_it_holds_a_func_yaml() -> None:
    holders = {path.parent.name for path in (ROOT / "functions").glob("*/func.yaml")}
    assert holders == set(FUNCTIONS)


def test_top_level_folders_are_the_given_ones() -> None:
    given = {"functions", "eventing", "contracts", "knative", "observability", "console", "tests"}
    there = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".") and any(path.rglob("*.*"))}
    assert there <= given
