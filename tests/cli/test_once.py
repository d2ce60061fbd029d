# SPDX-License-Identifier: Apache-2.0
"""A choice given twice is refused, in every command, in settings and in YAML; or all is obeyed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtfreeze import freeze_control
from mtfreeze.cli.app import cli
from mtfreeze.cli.job import load_config, parse_config
from mtfreeze.cli.job_yaml import parse_yaml
from mtfreeze.cli.modes import mode_of, modes_of
from mtfreeze.cli.once import OnceCommand
from mtfreeze.errors import ConfigError

Command = Callable[..., tuple[int, str, str]]


def all_commands(group: click.Group = cli, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that is no group, by its words."""
    context = click.Context(group)
    for word in group.list_commands(context):
        one = group.get_command(context, word)
        assert one is not None
        if isinstance(one, click.Group):
            yield from all_commands(one, f"{name}{word} ")
        else:
            yield f"{name}{word}", one


COMMANDS = {**dict(all_commands()), "freeze_control": freeze_control._load()}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_takes_one_value_is_given_once(name: str) -> None:
    command = COMMANDS[name]
    assert isinstance(command, OnceCommand)
    for option in command.params:
        if isinstance(option, click.Option) and option.opts:
            one = [option.opts[0]] if option.is_flag else [option.opts[0], "1"]
            words = [*one, *one]
            with click.Context(command, resilient_parsing=True) as context:
                if option.is_flag or option.multiple:
                    command.parse_args(context, words)
                    continue
                with pytest.raises(click.UsageError, match=f"{option.opts[0]} once; found it 2"):
                    command.parse_args(context, words)


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--config", "job.yaml", "--mode", "none", "--mode", "backbone"),
        ("train", "--mode=none", "--config", "job.yaml", "--mode=none"),
        ("inspect", "--config", "a.yaml", "--config", "b.yaml"),
        ("train", "--config", "a.yaml", "--resume", "--resume", "b"),
        ("compare", "--config", "a.yaml", "--modes", "all", "--modes", "none"),
        ("compare", "--config", "a.yaml", "--modes", "all", "--mode", "none"),
        ("predict", "model", "text", "--head", "a", "--head", "a"),
    ],
)
def test_refused_before_anything_is_read(command: Command, words: tuple[str, ...]) -> None:
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert "once; found" in err or "found both" in err


def test_a_second_mode_says_what_takes_several(command: Command) -> None:
    code, _, err = command("--mode", "a", "--mode", "b", entry=freeze_control.main)
    assert code == 2
    assert "one mode may have several parts: A,!B; mtfreeze compare takes several modes" in err


JOB = """
model: {name: m}
heads: {classifier: {task: sequence_classification, labels: [negative, positive]}}
data: {classifier: {train: rows.csv}}
training: {epochs: 3}
"""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("training.epochs=1", "training.epochs=1"),
        ("training.epochs=1", "training.epochs=2"),
        ("training.learning_rate=1.0", "training.learning_rate.heads=2.0"),
        ("training.learning_rate.heads=2.0", "training.learning_rate=1.0"),
        ("start={epochs: 2}", "start.epochs=1"),
    ],
)
def test_settings_of_one_key(tmp_path: Path, first: str, second: str) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    settings = [first, "training.seed=1", second]
    with pytest.raises(ConfigError, match="each key in one setting") as caught:
        load_config(tmp_path / "job.yaml", settings)
    assert repr(first) in str(caught.value) and repr(second) in str(caught.value)


def test_settings_of_keys_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    settings = ["training.learning_rate.heads=2.0", "training.learning_rate.backbone=1.0"]
    found = load_config(tmp_path / "job.yaml", settings)
    assert found.training["learning_rate"] == {"heads": 2.0, "backbone": 1.0}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("training: {epochs: 1}\ntraining: {epochs: 2}", "2:1"),
        ("training: {epochs: 1, epochs: 1}", "1:23"),
        ("training:\n  epochs: 1\n  'epochs': 2", "3:3"),
        ("a: [{k: 1}, {k: 1, j: 2, k: 3}]", "1:26"),
        ("label_map: {1: a, '1': b}", "1:19"),
        ("a: {no: 1, yes: 2, no: 3}", "1:20"),
        ("? a\n: 1\n? a\n: 2", "3:3"),
        ("a: &k x\nx: 1\n*k : 2", "3:1"),
        ("? {k: 1, k: 2}\n: 3", "1:10"),
        ("a: &a {k: 1}\nb: {<<: *a, <<: *a}", "2:13"),
    ],
)
def test_keys_of_yaml(text: str, place: str) -> None:
    with pytest.raises(ConfigError, match=f"^job:{place}: expected each key once"):
        parse_yaml(text, "job")


def test_keys_that_only_look_alike() -> None:
    """Of other mappings, in other cases, and one that takes the place of what `<<` brings."""
    text = "a: &a {k: 1, K: 2}\nb: {<<: *a, k: 3}\nc: [{k: 1}, {k: 1}]\nk: k"
    assert parse_yaml(text, "job")["b"] == {"k": 3, "K": 2}


def test_a_setting_that_names_a_key_twice(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    with pytest.raises(ConfigError, match="found 'epochs' a second time"):
        load_config(tmp_path / "job.yaml", ["start={epochs: 1, epochs: 2}"])


def test_keys_of_a_mapping_that_are_one_text() -> None:
    raw: Any = {"model": {"name": "m"}, "data": {"a": {"train": "x", "label_map": {1: "a"}}}}
    assert parse_config(raw).data["a"]["label_map"] == {"1": "a"}
    raw["data"]["a"]["label_map"]["1"] = "b"
    with pytest.raises(ConfigError, match="label_map has the key '1' twice"):
        parse_config(raw)


WORDS = st.sampled_from(["no", "yes", "on", "1", "01", "1.50", "null", "~", "a", "2024-01-01", "="])


@given(st.dictionaries(WORDS, WORDS, min_size=1))
def test_a_key_is_what_is_written(words: dict[str, str]) -> None:
    text = "\n".join(f"{key}: '{value}'" for key, value in words.items())
    assert parse_yaml(text, "job") == words


@pytest.mark.parametrize(
    ("text", "modes"),
    [
        ("backbone", ["backbone"]),
        ("backbone, none", ["backbone", "none"]),
        ("!classifier,none", ["!classifier", "none"]),
        ("backbone,!layers[2];none", [["backbone", "!layers[2]"], "none"]),
        ("backbone, !layers[2] ;", [["backbone", "!layers[2]"]]),
        ("none; re:a{1,2}", ["none", "re:a{1,2}"]),
    ],
)
def test_modes_of_several_parts(text: str, modes: list[str | list[str]]) -> None:
    assert modes_of(text) == modes
    assert [mode_of("re:a{1,2}"), mode_of("a, !b"), mode_of(" a")] == [
        "re:a{1,2}",
        ["a", "!b"],
        "a",
    ]


def test_modes_that_may_be_one_or_several(command: Command) -> None:
    code, out, err = command("compare", "--config", "a.yaml", "--modes", "backbone,!heads")
    assert (code, out) == (2, "")
    assert "expected ; between modes where one has several parts" in err
    assert "write 'backbone,!heads;' for one, 'backbone; !heads' for 2" in err
