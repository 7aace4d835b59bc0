"""`@task(..., cron=...)`: what it declares, and what it refuses in words."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.catalogue import Catalogue
from contracts.errors import ConfigurationError
from contracts.schedule import CODE, ScheduleSpec
from functions.processor.tasks.collect import collect
from functions.processor.tasks.registry import REGISTRY


def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, annotation: str = "dict") -> Catalogue:
    """The catalogue with one more module, whose task has these options."""
    name = f"declares_{abs(hash((options, annotation)))}"
    lines = ["from dataclasses import dataclass", "from datetime import timedelta", "from functions.processor.tasks import task",
             "@dataclass", "class Days:", "    days: int", f"@task('declared.report', {options})",
             f"def report(payload: {annotation}) -> None: ..."]  # fmt: skip
    (tmp_path / f"{name}.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    try:
        return collect([name])
    finally:
        REGISTRY.tasks.pop("declared.report", None)
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("cron='30 2 * * MON-FRI', timezone='Europe/Berlin'", {"cron": "30 2 * * MON-FRI", "timezone": "Europe/Berlin"}),
        ("every=90, overlap='queue', misfires='all'", {"every_seconds": 90, "overlap": "queue", "misfires": "all"}),
        ("every=timedelta(hours=2)", {"every_seconds": 7_200}),
    ],
)
def test_a_declaration_is_a_schedule_of_its_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, expected: dict[str, Any]) -> None:
    catalogue = declared(tmp_path, monkeypatch, options)
    template = {"type": "declared.report", "payload": {}}
    assert catalogue.schedules() == {"declared.report": ScheduleSpec(template, declared_by=CODE, **expected)}
    assert Catalogue.from_json(catalogue.as_json()) == catalogue  # it travels as data


def test_a_payload_of_its_own_goes_into_the_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = declared(tmp_path, monkeypatch, "every=60, scheduled_payload={'days': 3}", "Days")
    assert catalogue.schedules()["declared.report"].template["payload"] == {"days": 3}


def test_a_task_without_a_schedule_declares_none() -> None:
    assert collect([]).schedules() == {}


def test_a_catalogue_of_the_version_before_is_still_read() -> None:
    document = collect([]).as_json()
    for task in document["tasks"]:
        del task["schedule"]
    assert Catalogue.from_json(document).schedules() == {}


@pytest.mark.parametrize(
    ("options", "annotation", "words"),
    [
        ("cron='61 * * * *'", "dict", "unusable minute field"),
        ("cron='* * * *'", "dict", "five fields"),
        ("cron='0 2 * * *', timezone='Europe/Belin'", "dict", "Europe/Berlin"),
        ("cron='* * * * *', every=5", "dict", "not both"),
        ("every=0.1", "dict", "1 or more"),
        ("every=timedelta(days=9999)", "dict", "every"),
        ("every=timedelta(0)", "dict", "every"),
        ("cron='* * * * *', overlap='never'", "dict", "overlap"),
        ("scheduled_payload={'days': 3}", "dict", "cron or every"),
        ("every=60", "Days", "scheduled_payload"),
        ("every=60, scheduled_payload={'days': 'x'}", "Days", "days"),
        ("cron=5", "dict", "cron"),
    ],
)
def test_a_declaration_that_cannot_be_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, annotation: str, words: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        declared(tmp_path, monkeypatch, options, annotation)
    assert "declared.report" in caught.value.message and words in caught.value.message
