"""Which field of its job an agent has refused, read from its log."""

from __future__ import annotations

import pytest

from orchestrator.adapters.refused_job import refused_field


@pytest.mark.parametrize(
    ("log", "field"),
    [
        ('bad job: channels: a number\n{"bad_job": "channels: a number"}\n', "channels: a number"),
        ('bad job: channels\n{"bad_job": "channels: \\"x\\""}', 'channels: "x"'),
        ("12:00:00 bad job (31): no\nbad job (31): channels: a number\n", "channels: a number"),  # an image of before
        ('{"bad_job": 7}\n{"else": 1}\n{broken\n', ""),
        ("", ""),
    ],
)
def test_the_refused_field_is_read_from_a_line_of_json(log: str, field: str) -> None:
    assert refused_field(log) == field
