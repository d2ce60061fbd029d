# SPDX-License-Identifier: Apache-2.0
"""Table, words and picture of a model: they say what the core's plan says."""

from __future__ import annotations

from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.pricing.explain import unit_list
from support.texts import LABELS, SENTENCES

QUIET = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
BATCH: dict[str, Any] = {"classifier": list(zip(SENTENCES, LABELS, strict=True))}


def test_rows_are_the_units(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.step(BATCH, learning_rate=1e-3)
    two_head_model.freeze("backbone[:1]").freeze("*.layer.1.*.bias")
    table = two_head_model.summary()
    assert [row.unit for row in table.rows] == list(two_head_model.unit_index)
    assert [row.state for row in table.rows] == [
        "frozen",
        "frozen",
        "partly",
        "trainable",
        "trainable",
        "trainable",
    ]
    assert [row.in_prefix for row in table.rows] == [True, True, False, False, False, False]
    assert [row.trained for row in table.rows] == [None, None, None, None, True, False]
    params = two_head_model.parameters()
    assert table.n_values == sum(value.size for value in params.values())
    frozen = two_head_model.freeze_state().frozen
    assert table.n_frozen == sum(value.size for key, value in params.items() if key in frozen)
    assert table.unused == {
        "embeddings.position_ids": 64,
        "pooler.dense.bias": 48,
        "pooler.dense.weight": 2304,
    }


@QUIET
@pytest.mark.parametrize(
    "mode", ["none", "backbone[:2]", "backbone", "ner_head", "layers[1]", "all"]
)
def test_bytes_are_those_of_the_plan(two_head_model: mtf.MultiTaskModel, mode: str) -> None:
    two_head_model.freeze(mode)
    before = two_head_model.freeze_state()
    table = two_head_model.summary()
    assert two_head_model.freeze_state() == before
    trained = table.n_values - table.n_frozen
    assert (table.gradient_bytes, table.moment_bytes) == (4 * trained, 8 * trained)
    now = table.gradient_bytes + table.moment_bytes + table.saved_bytes
    assert sum(row.saved_bytes for row in table.rows) == table.full_bytes - now
    assert all(row.saved_bytes >= 0 for row in table.rows)
    assert (table.work == 1) == (mode == "none") and 0 < table.work <= 1


def test_summary_leaves_the_optimizer_state_alone(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone[:2]").step(BATCH, learning_rate=1e-3)
    position = two_head_model.index.key_index["classifier.weight"]
    before = two_head_model._core.state(position)
    two_head_model.summary()
    after = two_head_model._core.state(position)
    assert before is not None and after is not None
    assert [before[0].tobytes(), before[2]] == [after[0].tobytes(), after[2]]


@QUIET
def test_text_and_html(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone", "ner_head")
    text = repr(two_head_model)
    assert text == str(two_head_model.summary())
    lines = {line.split()[0]: line for line in text.splitlines()[1:]}
    assert "frozen, prefix" in lines["backbone.layers[1]"]
    assert "frozen, never trained" in lines["ner_head"]
    assert "trains, never trained" in lines["classifier"]
    assert "present, not used, not trained: embeddings.position_ids (64)" in text
    html = two_head_model._repr_html_()
    assert html.count("<tr>") == 7 and "frozen, prefix" in html
    two_head_model.name = "<b>"
    assert "&lt;b&gt;" in two_head_model._repr_html_()


@QUIET
def test_it_says_what_is_pinned(two_head_model: mtf.MultiTaskModel) -> None:
    assert "pinned" not in repr(two_head_model.freeze("backbone", pin=False))
    model = two_head_model.freeze("backbone[:2]", "ner_head", "layers[2].attention")
    assert model.summary().pinned == ("backbone[:2]", "ner_head", "backbone.layers[2] (partly)")
    line = "pinned: backbone[:2], ner_head, backbone.layers[2] (partly); a schedule trains what"
    assert line in repr(model) and line in model._repr_html_()


@QUIET
@pytest.mark.parametrize(
    ("frozen", "said", "unsaid"),
    [
        ("none", ["Frozen: nothing (0 of", "Nothing is frozen, so nothing is saved."], ["Prefix"]),
        ("backbone", ["Prefix: embeddings, layers 0-2.", "100% of the forward"], ["No prefix"]),
        (
            "backbone[:2]",
            ["Prefix: embeddings, layers 0-1.", "Trains: layer 2, "],
            ["Frozen above"],
        ),
        (
            "layers[1:]",
            [
                "No prefix: embeddings at the bottom trains",
                "Frozen above something that trains",
            ],
            ["Prefix:"],
        ),
        (
            "*.bias",
            ["Partly trainable: embeddings, layers 0-2, classifier, ner_head."],
            ["Prefix:"],
        ),
        ("all", ["Nothing trains: a step would only run forward."], ["Work of a step"]),
        ("heads", ["Frozen heads: classifier, ner_head.", "Nothing trains"], ["Prefix"]),
        ("ner_head", ["Frozen heads: ner_head. Their tasks add no loss"], ["Nothing trains"]),
    ],
)
def test_words(
    two_head_model: mtf.MultiTaskModel, frozen: str, said: list[str], unsaid: list[str]
) -> None:
    text = two_head_model.freeze(frozen).explain()
    for words in said:
        assert words in text
    for words in unsaid:
        assert words not in text
    assert "Never trained, so predictions are random: classifier, ner_head." in text
    assert "saved back unchanged: embeddings.position_ids" in text


def test_words_without_heads(tiny_model: mtf.MultiTaskModel) -> None:
    assert "No heads yet: figures are for a loss on the pooled vector." in tiny_model.explain()


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        ([], "nothing"),
        (["backbone.layers[2]"], "layer 2"),
        ([f"backbone.layers[{i}]" for i in (0, 1, 2, 4, 6, 7)], "layers 0-2, layer 4, layers 6-7"),
        (["backbone.embeddings", "backbone.layers[0]", "head"], "embeddings, layer 0, head"),
    ],
)
def test_lists_of_units(paths: list[str], text: str) -> None:
    assert unit_list(paths) == text


@pytest.mark.real
def test_figures_of_the_real_model(minilm_shared: mtf.MultiTaskModel) -> None:
    table = minilm_shared.copy().freeze("backbone[:3]").summary()
    assert table.n_values == 22_565_376
    embeddings, layer = (30_522 + 512 + 2 + 2) * 384, 1_774_464
    assert table.n_frozen == embeddings + 3 * layer
    assert table.n_values == embeddings + 6 * layer
    assert table.weight_bytes >= 4 * table.n_values
