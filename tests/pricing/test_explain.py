# SPDX-License-Identifier: Apache-2.0
"""`explain`: what a freeze choice saves and does not, with the figures of the plan."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.pricing.freeze_prices import N_TOKENS
from mtfreeze.quantities import in_bytes
from support.families import load_family, write_family

QUIET = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")

LENGTH = 32
"""Tokens of the texts that a freeze choice is priced by."""


def giga(flops: float) -> str:
    """Return FLOPs as the sentences have them."""
    return f"{flops / 1e9:.3g} GFLOP"


def line_with(model: mtf.MultiTaskModel, words: str) -> str:
    """Return the one line of the explanation with these words."""
    (found,) = [line for line in model.explain().splitlines() if words in line]
    return found


@QUIET
def test_layers_above_a_trainable_one_save_their_weight_gradients(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    offsets = {"tokens": np.arange(0, N_TOKENS + 1, LENGTH)}
    heads = list(two_head_model.heads)
    full = two_head_model._core.plan(heads, training=True, offsets=offsets)
    two_head_model.freeze("backbone.layers[1:]")
    now = two_head_model._core.plan(heads, training=True, offsets=offsets)
    line = line_with(two_head_model, "Frozen above something that trains: layers 1-2.")
    saved = full.dw_flops - now.dw_flops
    assert f"saves {giga(saved)} of weight gradients, nothing else" in line
    crossed = sum(unit.dx_flops for unit in now.units[2:4])
    assert f"still crosses it ({giga(crossed)})" in line
    # But for dropout, the rest of the work is that of training everything.
    assert now.dx_flops == pytest.approx(full.dx_flops, rel=0.005)
    assert now.forward_flops == pytest.approx(full.forward_flops, rel=0.005)


@QUIET
def test_biases_alone_save_weight_gradients(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze(r"re:backbone.*(query|key|value|dense|embeddings)\.weight")
    line = line_with(two_head_model, "Only biases and norms train there.")
    assert re.search(r"saves [\d.e-]+ GFLOP of weight gradients, nothing else", line)
    two_head_model.unfreeze().freeze("*layer.1*query*")
    assert "Only biases" not in two_head_model.explain()


@QUIET
def test_the_first_line_names_what_is_partly_frozen(two_head_model: mtf.MultiTaskModel) -> None:
    def first() -> str:
        return two_head_model.explain().splitlines()[0]

    two_head_model.freeze("all").unfreeze("*.bias")
    units = "parts of embeddings, layers 0-2, classifier, ner_head"
    assert first().startswith(f"Frozen: {units} (")
    assert f"Trains: {units} (" in first()
    two_head_model.unfreeze().freeze("embeddings", "re:layer\\.1.*query")
    assert first().startswith("Frozen: embeddings and, partly, layer 1 (")
    assert "Trains: layer 0, layer 2, classifier, ner_head and, partly, layer 1 (" in first()
    two_head_model.unfreeze("re:layer\\.1")
    assert first().startswith("Frozen: embeddings (")
    assert "partly" not in first()


@QUIET
def test_a_frozen_head_is_crossed_where_its_loss_trains(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    offsets = {"tokens": np.arange(0, N_TOKENS + 1, LENGTH)}
    plan = two_head_model._core.plan(list(two_head_model.heads), training=True, offsets=offsets)
    own = plan.units[two_head_model.unit_index["ner_head"]].dw_flops
    two_head_model.freeze("ner_head")
    line = line_with(two_head_model, "Where a loss trains through ner_head")
    assert f"saves {giga(own)} of weight gradients a step, nothing else" in line
    assert "Where a loss" not in two_head_model.freeze("backbone").explain()


@QUIET
def test_what_a_cache_would_save_and_keep(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone")
    width = two_head_model.width
    line = line_with(two_head_model, "Over several epochs")
    share = re.search(r"3 epochs take (\d+)% of the work", line)
    assert share is not None and 33 <= int(share[1]) <= 35
    assert f"one row a token for ner_head ({in_bytes(4000 * width)} for 1,000 tokens)" in line
    per_text = in_bytes(1000 / LENGTH * 4 * width)
    assert f"one row a text for classifier ({per_text} for 1,000 tokens in texts of 32)" in line
    two_head_model.unfreeze().freeze("backbone[:2]")
    line = line_with(two_head_model, "Over several epochs")
    assert f"one row a token for classifier, ner_head ({in_bytes(4000 * width)}" in line


@QUIET
@pytest.mark.parametrize("frozen", ["none", "backbone.layers[1]", "all"])
def test_no_cache_without_a_prefix_or_without_training(
    frozen: str, two_head_model: mtf.MultiTaskModel
) -> None:
    assert "Over several epochs" not in two_head_model.freeze(frozen).explain()


def test_a_prefix_of_embeddings_is_not_worth_keeping(two_head_model: mtf.MultiTaskModel) -> None:
    text = two_head_model.freeze("backbone.embeddings").explain()
    assert "so fit keeps nothing of it" in text and "Over several epochs" not in text


def test_layers_that_share_their_weights_are_said(tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path / "albert", "albert"))
    said = str(model.explain())
    assert "they freeze and train as one, a gradient is the sum over all of them" in said
