# SPDX-License-Identifier: Apache-2.0
"""Labels of a checkpoint, in id2label and label2id: in one, in both, or against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mtfreeze as mtf
from mtfreeze.model.checkpoint_labels import read_labels
from support.pretrained_folders import change_config, write_classifier

NAMES = ("z", "a", "m")
BY_ID = {"0": "z", "1": "a", "2": "m"}
BY_LABEL = {"m": 2, "z": 0, "a": 1}
GENERIC = {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
GENERIC_BY_LABEL = {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}


def read(**config: Any) -> tuple[str, ...]:
    return read_labels(config, 3, "classifier.weight", "config.json")


@pytest.mark.parametrize(
    "config",
    [
        {"id2label": BY_ID, "label2id": BY_LABEL},
        {"id2label": BY_ID},
        {"id2label": BY_ID, "label2id": None},
        {"label2id": BY_LABEL},
        {"id2label": None, "label2id": {"m": "2", "z": "0", "a": "1"}},
        # What transformers writes where only one of them was set.
        {"id2label": BY_ID, "label2id": GENERIC_BY_LABEL},
        {"id2label": BY_ID, "label2id": {"LABEL_0": 0, "LABEL_1": 1}},
        {"id2label": GENERIC, "label2id": BY_LABEL},
        # Another spelling of the same places says nothing against them.
        {"id2label": BY_ID, "label2id": {"Z": 0, "A": 1, "M": 2}},
    ],
)
def test_names_come_from_where_they_are(config: dict[str, Any]) -> None:
    assert read(**config) == NAMES


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"id2label": GENERIC},
        {"label2id": GENERIC_BY_LABEL},
        {"label2id": {"LABEL_0": 0, "LABEL_1": 1}},
        {"id2label": GENERIC, "label2id": {"z": 0, "a": 0}},
    ],
)
def test_without_names_they_are_called_as_transformers_does(config: dict[str, Any]) -> None:
    assert read(**config) == tuple(GENERIC.values())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"id2label": BY_ID, "label2id": {"a": 0, "m": 1, "z": 2}},
            "found 'z' at 0 in id2label and at 2 in label2id",
        ),
        ({"id2label": BY_ID, "label2id": {"z": 1, "other": 0}}, "'z' at 0 .* at 1 in label2id"),
        ({"label2id": {"z": 0, "a": 1}}, "expected label2id to name the 3 rows"),
        ({"label2id": {"z": 0, "a": 0, "m": 1}}, "expected label2id to name the 3 rows"),
        ({"label2id": {"z": 1, "a": 2, "m": 3}}, "expected label2id to name the 3 rows"),
        ({"label2id": ["z", "a", "m"]}, "expected label2id to be {label: position}"),
        ({"label2id": {"z": 0.5, "a": 1, "m": 2}}, "expected label2id to be {label: position}"),
        ({"id2label": {"0": "z", "1": "a"}}, "expected id2label to name the 3 rows"),
    ],
)
def test_what_does_not_fit_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(mtf.CheckpointError, match=message):
        read(**config)


@given(st.lists(st.text(max_size=8), min_size=2, max_size=8, unique=True), st.data())
def test_either_form_in_any_order_is_read_as_written(names: list[str], data: st.DataObject) -> None:
    by_id = {str(position): name for position, name in enumerate(names)}
    by_label = {names[i]: i for i in data.draw(st.permutations(range(len(names))))}
    both = {"id2label": by_id, "label2id": by_label}
    for config in ({"id2label": by_id}, {"label2id": by_label}, both):
        assert read_labels(config, len(names), "classifier.weight", "config.json") == tuple(names)


def test_a_head_gets_the_names_and_a_wrong_file_makes_none(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    folder = write_classifier(tmp_path / "ckpt", labels=None, n_labels=2)
    change_config(folder, label2id={"positive": 1, "negative": 0})
    tiny_model.add_head("first", from_pretrained=folder)
    assert tiny_model.heads["first"].labels == ("negative", "positive")
    change_config(folder, id2label={"0": "positive", "1": "negative"})
    with pytest.raises(mtf.CheckpointError, match="'positive' at 0 in id2label and at 1 in"):
        tiny_model.add_head("second", from_pretrained=folder)
    assert list(tiny_model.heads) == ["first"]
