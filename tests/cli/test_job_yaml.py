# SPDX-License-Identifier: Apache-2.0
"""YAML of strangers: bounded before it is read, refused with a place in the file."""

from __future__ import annotations

import pytest

from mtfreeze.cli.job_yaml import parse_yaml
from mtfreeze.errors import ConfigError
from support.process_state import within


def nested(levels: int, line: str, first: str) -> str:
    """Return YAML in which each of the lines names the one before nine times."""
    lines = [first]
    lines += [line.format(n=n, below=", ".join([f"*a{n - 1}"] * 9)) for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (nested(12, "a{n}: &a{n} [{below}]", "a0: &a0 [x, x]"), r"job:\d+:\d+: .*at most 70,000"),
        (nested(12, "a{n}: &a{n} {{<<: [{below}]}}", "a0: &a0 {k: 1}"), "at most 70,000 values"),
        ("a: &a [*a]", "at most 70,000 values"),
        ("[" * 100_000, "expected"),
        ("{a: " * 100_000, "50 levels deep"),
        ("- " * 100_000, "50 levels deep"),
        ("? " * 100_000, "50 levels deep"),
        ("a: [" + "x," * 80_000 + "]", "at most 70,000 values"),
        ("#" * 1_000_001, "at most 1,000,000 characters; found 1,000,001"),
        ("a: " + "9" * 5000, "a number of 5,000 characters"),
        ("a: 1" + ":59" * 300_000, "a number of 900,001 characters"),
        ("a: !!int ''", "a value that cannot be read"),
        ("a: !!float abc", "a value that cannot be read"),
        ("a: !!timestamp 2024-99-99", "timestamp"),
        ("a: !!binary aaaa", "binary"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("? [a]\n: b", "unhashable key"),
        ("a: *b", "undefined alias"),
        ("a: \x07", "expected YAML"),
        ("a: 010", r'job:1:4: .*010 is 8 in YAML: write 8, or "010" in quotes'),
        ("a: [1, -07]", "job:1:8: .*-07 is -7 in YAML"),
        ("a: 1:30", "1:30 is 90 in YAML"),
        ("a: 1:30.5", "1:30.5 is 90.5 in YAML"),
        ("a: !heads", 'job:1:4: .*a text that begins with ! stands in quotes, as "!heads"'),
        ("a: [backbone, !layers[1]]", "a text that begins with ! stands in quotes"),
    ],
    ids=range(25),
)
def test_refused_at_once(text: str, found: str) -> None:
    with within(1), pytest.raises(ConfigError, match=found) as caught:
        parse_yaml(text, "job")
    assert len(str(caught.value)) < 400


def test_what_a_job_may_hold() -> None:
    assert parse_yaml("a: &a {k: [1, 2.5, null, true, x]}\nb: *a\nc: {<<: *a}", "job") == {
        key: {"k": [1, 2.5, None, True, "x"]} for key in "abc"
    }
    assert parse_yaml("[2024-01-01, 2024-99-99 10:00:00]", "job") == [
        "2024-01-01",
        "2024-99-99 10:00:00",
    ]
    assert parse_yaml('[backbone, "!heads"]', "job") == ["backbone", "!heads"]
    assert parse_yaml("", "job") is None
    assert parse_yaml("[0, -0, 0.5, 0x1F, 1_000, 08, 10]", "job") == [0, 0, 0.5, 31, 1000, "08", 10]
