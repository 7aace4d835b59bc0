"""The queues' file: what it may say, and what is refused in words."""

import pytest

from contracts.errors import ConfigurationError
from eventing.queues import QueueDeclaration, load_queues

DEFAULT = "queues:\n  - {name: default}\n"


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "queues.yaml").write_text(text)
        return load_queues(tmp_path / "queues.yaml")

    return read


def test_a_queue_is_read_whole_and_what_is_left_out_has_no_limit(read):
    queues = read(DEFAULT + "  - {name: io, description: Calls., max_running: 4, rate_per_second: 0.5, paused: true}\n")
    assert queues == {"default": QueueDeclaration("default", "", None, None, False), "io": QueueDeclaration("io", "Calls.", 4, 0.5, True)}
    assert queues["io"].as_json() == {"name": "io", "description": "Calls.", "max_running": 4, "rate_per_second": 0.5, "paused": True}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the document is None; it takes a mapping with queues"),
        ("queues: []", "declares no queue named 'default'"),
        ("queues: {}", "queues is {}; it takes a list"),
        ("queues: [x]", "queues[0] is 'x'; it takes a mapping with name"),
        ("lists: []", "lists is not known here; allowed are queues"),
        (DEFAULT + "  - {description: x}", "queues[1].name is missing"),
        (DEFAULT + "  - {name: Default}", "queues[1].name is 'Default'; it takes 1 to 40 of a-z, 0-9 and inner hyphens"),
        (DEFAULT + "  - {name: 5}", "queues[1].name is 5; it takes text, in quotes"),
        (DEFAULT + "  - {name: on}", "queues[1].name is True; it takes text, in quotes"),
        (DEFAULT + "  - {name: default}", "queues[1] declares the queue 'default' a second time"),
        (DEFAULT + "  - {name: a, max_running: 0}", "queues[1].max_running is 0; it takes a whole number from 1"),
        (DEFAULT + "  - {name: a, max_running: 1.5}", "queues[1].max_running is 1.5"),
        (DEFAULT + "  - {name: a, rate_per_second: 0}", "queues[1].rate_per_second is 0; it takes a number above 0"),
        (DEFAULT + "  - {name: a, rate_per_second: .nan}", "queues[1].rate_per_second is nan"),
        (DEFAULT + "  - {name: a, paused: 1}", "queues[1].paused is 1; it takes true or false"),
        (DEFAULT + "  - {name: a, limit: 1}", "queues[1].limit is not known here; allowed are name, description"),
        (DEFAULT + "  - {name: a, name: b}", "the key 'name' stands twice"),
        (DEFAULT + "---\nqueues: []\n", "the document is one of 2; the file takes one"),
        ("queues: [\n", "is no valid YAML"),
    ],
)
def test_a_mistake_is_named_with_file_key_and_what_is_allowed(read, text, message):
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert message in str(caught.value)
    assert "queues.yaml" in str(caught.value)


def test_our_queues_have_a_description():
    assert all(queue.description for queue in load_queues().values())
