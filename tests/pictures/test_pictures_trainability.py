# SPDX-License-Identifier: Apache-2.0
"""The picture of what is frozen says what the table says, at every size."""

from __future__ import annotations

from pathlib import Path

import pytest

import mtfreeze as mtf
from mtfreeze.families import FAMILIES
from mtfreeze.families.part_kinds import part_kind
from mtfreeze.pictures.style import short_unit, state_look
from mtfreeze.pictures.trainability import trainability_figure, trainability_text
from support.detection import detector, write_detr_folder
from support.figure_parts import hatches_of, overlaps, words_of
from support.picture_data import LAYER_KINDS, every_size, summary

QUIET = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
FROZEN, PARTLY, TRAINS = (state_look(s)["hatch"] for s in ("frozen", "partly", "trainable"))


@QUIET
def test_cells_are_the_parameters_by_kind(two_head_model: mtf.MultiTaskModel) -> None:
    pytest.importorskip("matplotlib")
    two_head_model.freeze("backbone[:1]").freeze("*.layer.1.*.bias").freeze("ner_head.bias")
    figure = trainability_figure(two_head_model.summary())
    axes = figure.axes[0]
    # The whole unit first, then its kinds, biases last; norms and biases are kinds of their own.
    assert hatches_of(axes) == [
        *[FROZEN] * (1 + 5),
        *[FROZEN] * (1 + 9),
        PARTLY,
        *[TRAINS] * 8,
        FROZEN,
        *[TRAINS] * (1 + 9),
        *[TRAINS] * (1 + 2),
        PARTLY,
        TRAINS,
        FROZEN,
    ]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [short_unit(path) for path in two_head_model.unit_index]


@QUIET
def test_a_kind_that_is_both_is_cut(two_head_model: mtf.MultiTaskModel) -> None:
    pytest.importorskip("matplotlib")
    two_head_model.freeze("*.layer.2.attention.self.query.bias")
    hatches = hatches_of(trainability_figure(two_head_model.summary()).axes[0])
    assert hatches.count(FROZEN) == 1
    at = hatches.index(FROZEN)
    assert hatches[at - 9 : at + 2] == [PARTLY, *[TRAINS] * 8, FROZEN, TRAINS]


@QUIET
def test_a_unit_without_a_kind_has_no_cell_of_it(tiny_model: mtf.MultiTaskModel) -> None:
    pytest.importorskip("matplotlib")
    deep = mtf.SequenceClassification(["a", "b"], hidden=(8,))
    tiny_model.add_head("deep", deep)
    tiny_model.add_head("plain", mtf.SequenceClassification(["a", "b"])).freeze("plain")
    hatches = hatches_of(trainability_figure(tiny_model.summary()).axes[0])
    # The whole unit first; then weights, hidden layers and biases, or none of the second.
    assert hatches[-7:] == [*[TRAINS] * (1 + 3), *[FROZEN] * (1 + 2)]


@every_size
def test_every_size_can_be_read(n_layers: int, n_heads: int) -> None:
    pytest.importorskip("matplotlib")
    heads = [f"head_number_{i}" for i in range(n_heads)]
    figure = trainability_figure(summary(n_layers, heads, n_layers // 2, min(2, n_layers // 2)))
    words = words_of(figure)
    axes = figure.axes[0]
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    assert overlaps(axes.get_yticklabels(), renderer) == []
    assert overlaps(list(axes.texts), renderer) == []
    whole = figure.bbox
    for text in (*axes.texts, *axes.get_yticklabels()):
        box = text.get_window_extent(renderer)
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and box.y1 <= whole.y1, text.get_text()
    assert figure.get_size_inches()[1] < 14
    for kind in LAYER_KINDS:
        assert kind.replace(" ", "\n", 1) in words or kind in words


def test_totals_and_prefix_are_said() -> None:
    pytest.importorskip("matplotlib")
    table = summary(6, ["classifier"], 3, 1)
    words = " ".join(words_of(trainability_figure(table)).split())
    share = table.n_frozen / table.n_values
    assert f"frozen: 18.8 M ({share:.1%})" in words
    assert "never trained" in words
    assert "prefix: no backward pass" in words
    assert "takes 50% of the work" in words


@QUIET
def test_the_words_are_those_of_table_and_explanation(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone[:1]").freeze("*.layer.1.*.bias")
    table = two_head_model.summary()
    text = trainability_text(table, two_head_model.explain())
    assert str(table) in text and two_head_model.explain() in text
    assert "layer 0 to layer 2: biases" in text


@QUIET
def test_parts_add_up_to_the_units(two_head_model: mtf.MultiTaskModel) -> None:
    table = two_head_model.freeze("backbone[:1]").freeze("*.layer.1.*.bias").summary()
    for row in table.rows:
        own = [part for part in table.parts if part.unit == row.unit]
        assert sum(part.n_values for part in own) == row.n_values
        assert sum(part.n_frozen for part in own) == row.n_frozen


def test_the_method_writes_the_picture(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = two_head_model.plot_trainability(tmp_path / "picture.svg")
    assert path == tmp_path / "picture.svg" and path.stat().st_size > 1000


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("backbone.embeddings.word_embeddings.weight", "words"),
        ("backbone.embeddings.LayerNorm.weight", "norm"),
        ("backbone.encoder.layer.0.attention.output.dense.weight", "attention output"),
        ("backbone.encoder.layer.0.output.dense.weight", "feed-forward out"),
        ("backbone.encoder.layer.0.attention.output.LayerNorm.weight", "attention norm"),
        ("backbone.encoder.layer.0.output.LayerNorm.bias", "biases"),
        ("classifier.hidden.0.weight", "hidden layers"),
        ("backbone.encoder.layer.0.new_gate.weight", "new gate"),
    ],
)
def test_kinds(key: str, kind: str) -> None:
    assert part_kind(FAMILIES["bert"], key) == kind


def test_a_detector_names_its_norms_and_the_layers_of_its_head(tmp_path: Path) -> None:
    model = detector(write_detr_folder(tmp_path / "detr"))
    found: dict[str, list[str]] = {}
    for part in model.summary().parts:
        found.setdefault(part.unit, []).append(part.kind)
    norms = [kind for kind in found["decoder.layers[0]"] if kind.endswith("norm")]
    assert norms == ["attention norm", "cross norm", "feed-forward norm"]
    assert found["shapes"] == ["labels", "biases", "boxes"]
    own = [kind for kinds in found.values() for kind in kinds]
    assert not [kind for kind in own if kind.isdigit() or "layer norm" in kind]
