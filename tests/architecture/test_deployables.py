"""Each function is deployable: func.yaml, main.py and requirements.txt agree with each other and with the whole."""

import json
import os
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ("gateway", "processor", "metrics_engine", "read_model", "scheduler", "dead_letter")
SCHEMA = Path(os.environ.get("OBSERVATORY_FUNC_SCHEMA", ROOT.parent / "shared" / "func" / "func_yaml-schema.json"))


def func_yaml(function: str) -> dict:
    return yaml.safe_load((ROOT / "functions" / function / "func.yaml").read_text())


def pins(path: Path) -> dict[str, str]:
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return dict(line.split("==") for line in lines if line)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_func_yaml_names_what_main_defines(function: str) -> None:
    declared = func_yaml(function)
    assert declared["name"] == function.replace("_", "-")  # Services are kebab-case
    environment = {item["name"]: item["value"] for item in declared["run"]["envs"]}
    assert environment == {"FUNCTION_TARGET": function, "FUNCTION_SOURCE": f"functions/{function}/main.py"}
    main = (ROOT / "functions" / function / "main.py").read_text()
    assert re.search(rf"^@functions_framework\.aio\.http\nasync def {function}\(", main, re.M)
    assert f'"{declared["name"]}", wiring.{function}' in main
    assert declared["deploy"]["healthEndpoints"] == {"liveness": "/health/liveness", "readiness": "/health/readiness"}
    assert "subscriptions" not in declared["deploy"]  # func makes Triggers without delivery settings: ours are in eventing/


@pytest.mark.parametrize("function", FUNCTIONS)
def test_requirements_are_the_pins_of_the_whole(function: str) -> None:
    whole = pins(ROOT / "requirements.txt")
    own = pins(ROOT / "functions" / function / "requirements.txt")
    assert own.items() <= whole.items()
    assert {"functions-framework", "starlette", "gunicorn", "uvicorn-worker"} <= own.keys()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_func_yaml_keeps_funcs_own_schema(function: str) -> None:
    if not SCHEMA.exists():
        pytest.skip(f"func's JSON Schema is not here ({SCHEMA.name}; OBSERVATORY_FUNC_SCHEMA names it)")
    schema = json.loads(SCHEMA.read_text())
    document = json.loads(json.dumps(func_yaml(function), default=str))
    jsonschema.Draft7Validator(schema).validate(document)
