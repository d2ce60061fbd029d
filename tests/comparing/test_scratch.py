# SPDX-License-Identifier: Apache-2.0
"""The mode without pre-training: random weights of a seed, of the heads too, and nothing frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.comparing.repeat import python_call
from mtfreeze.comparing.scenarios import Scenario, read_modes
from mtfreeze.model.random_weights import draw_backbone
from support.bits import bits
from support.texts import LABELS, SENTENCES
from support.vision_folders import vision_model, write_vision_folder

ROWS = list(zip(SENTENCES, LABELS, strict=True))
TASKS = {"classifier": mtf.Task(train=ROWS, eval=ROWS)}
SETTINGS: dict[str, Any] = {"epochs": 2, "progress": False}


def test_weights_are_those_of_a_fresh_model(two_head_model: mtf.MultiTaskModel) -> None:
    before, trained = two_head_model.parameters(), bits(two_head_model.parameters())
    twin = two_head_model.copy()
    draw_backbone(twin, 1)
    assert bits(before) == trained
    values = twin.parameters()
    words = values["backbone.embeddings.word_embeddings.weight"]
    assert abs(float(words.std()) - 0.02) < 0.001 and abs(float(words.mean())) < 0.002
    for key, value in values.items():
        if not key.startswith("backbone."):
            assert value.tobytes() == trained[key]
        elif value.ndim > 1:
            assert value.tobytes() != trained[key] and 0.01 < float(value.std()) < 0.03
        else:
            assert (value == (1.0 if key.endswith("LayerNorm.weight") else 0.0)).all()
    again = two_head_model.copy()
    draw_backbone(again, 1)
    assert bits(again.parameters()) == bits(values)
    draw_backbone(again, 2)
    assert bits(again.parameters()) != bits(values)


def test_images_can_be_learned_from_random_weights(tmp_path: Path) -> None:
    model = vision_model(write_vision_folder(tmp_path / "vit"))
    draw_backbone(model, 0)
    assert np.isfinite(model.encode([np.zeros((24, 30, 3), np.uint8)])).all()


def test_it_stands_beside_freezing(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.remove_head("ner_head")
    model = two_head_model.copy()
    mtf.fit(model.freeze("backbone"), TASKS, learning_rate=1e-2, **SETTINGS)
    before = bits(model.parameters())
    modes = ["backbone", mtf.Scratch(), ("drawn", mtf.Scratch())]
    found = mtf.compare(model, TASKS, modes, seeds=[3], **SETTINGS)
    assert bits(model.parameters()) == before
    runs = found.first_runs()
    scratch = runs["from scratch"]
    assert scratch.error is None and scratch.frozen_ok
    assert scratch.parameters_trained == sum(one.size for one in model.parameters().values())
    # What `fit` does with a model whose weights, those of its trained head too, are drawn anew.
    fresh = two_head_model.copy()
    draw_backbone(fresh, 3)
    spec = fresh.heads["classifier"].spec
    fresh.remove_head("classifier").add_head("classifier", spec, seed=3)
    run = mtf.fit(fresh, TASKS, seed=3, start="cold", **SETTINGS)
    losses = [row["loss"] for row in scratch.history if "loss" in row]
    assert losses == run.losses()
    assert losses == [row["loss"] for row in runs["drawn"].history if "loss" in row]


def test_it_is_kept_and_repeated(two_head_model: mtf.MultiTaskModel) -> None:
    (one,) = read_modes(two_head_model, [mtf.Scratch()], 1)
    assert Scenario.from_dict(one.to_dict()) == one and one.scratch
    plain = Scenario("all", mode=("all",)).to_dict()
    assert Scenario.from_dict(plain).scratch is False
    way = Scenario("small", way=mtf.Lora(rank=2)).to_dict()
    call = python_call({"model": "m", "modes": [one.to_dict(), way], "seeds": [0]})
    assert "('from scratch', mtf.Scratch())," in call
    assert f"('small', mtf.{mtf.Lora(rank=2)!r})," in call


def test_what_is_no_mode_names_it(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(TypeError, match=r"Scratch\(\)"):
        read_modes(two_head_model, [3], 1)
