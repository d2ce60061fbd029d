# SPDX-License-Identifier: Apache-2.0
"""Heads taken from checkpoints: the right numbers, the right words about them, and refusals."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from support.bits import bits
from support.pretrained_folders import TOKEN, change_config, head_tensors, write_classifier
from support.texts import LABELS, SENTENCES, TAGS
from support.tiny_bert import write_tiny_bert

load = mtf.MultiTaskModel.from_pretrained

TWO = ["negative", "positive"]


def numpy_logits(model: mtf.MultiTaskModel, folder: Path) -> np.ndarray[Any, Any]:
    """Compute what transformers would: W tanh(P h + p) + b, from the model's hidden states."""
    weights = load_file(str(folder / "model.safetensors"))
    found = model.forward(SENTENCES, ["hidden"])
    first = found["hidden"][found["offsets"][:-1]]
    pooled = np.tanh(
        first @ weights["bert.pooler.dense.weight"].T + weights["bert.pooler.dense.bias"]
    )
    return np.asarray(pooled @ weights["classifier.weight"].T + weights["classifier.bias"])


# ---- from transformers ---------------------------------------------------------------------------


def test_a_sequence_head_brings_its_pooler(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    folder = write_classifier(tmp_path / "ckpt", classifier_dropout=0.3)
    assert tiny_model.add_head("sentiment", from_pretrained=folder) is tiny_model
    head = tiny_model.heads["sentiment"]
    assert head.spec == mtf.SequenceClassification(
        ["negative", "positive"], hidden=(48,), activation="tanh", pooling="cls", dropout=0.3
    )
    assert head.trained and not head.frozen and not list(recwarn)
    logits = tiny_model.forward(SENTENCES, ["sentiment"])["sentiment"]
    np.testing.assert_allclose(logits, numpy_logits(tiny_model, folder), atol=1e-5)


def test_a_model_with_the_same_pooler_uses_it(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "ckpt")
    model = load(folder, pooling="pooler")
    model.add_head("sentiment", from_pretrained=str(folder))
    assert model.heads["sentiment"].spec == mtf.SequenceClassification(["negative", "positive"])
    logits = model.forward(SENTENCES, ["sentiment"])["sentiment"]
    np.testing.assert_allclose(logits, numpy_logits(model, folder), atol=1e-5)
    # The other form is the same function; it may be asked for.
    spec = mtf.SequenceClassification(
        ["negative", "positive"], hidden=(48,), activation="tanh", pooling="cls"
    )
    model.add_head("other_form", spec, from_pretrained=folder)
    other = model.forward(SENTENCES, ["other_form"])["other_form"]
    np.testing.assert_allclose(other, logits, atol=1e-5)


def test_another_pooler_is_kept_apart(tmp_path: Path) -> None:
    model = load(write_tiny_bert(tmp_path / "model"), pooling="pooler")
    model.set_parameter("backbone.pooler.dense.bias", np.ones(48))
    folder = write_classifier(tmp_path / "ckpt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the head does not read the model's pooler
        model.add_head("sentiment", from_pretrained=folder)
    assert model.heads["sentiment"].spec.hidden == (48,)
    logits = model.forward(SENTENCES, ["sentiment"])["sentiment"]
    np.testing.assert_allclose(logits, numpy_logits(model, folder), atol=1e-5)


def test_a_token_head(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "ckpt", TOKEN, tuple(TAGS), hidden_dropout_prob=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # another rate of dropout is no other backbone
        tiny_model.add_head("tags", from_pretrained=folder)
    assert tiny_model.heads["tags"].spec == mtf.TokenClassification(TAGS, dropout=0.2)
    assert tiny_model.heads["tags"].trained
    found = tiny_model.forward(SENTENCES, ["hidden", "tags"])
    own = head_tensors(len(TAGS))
    expected = found["hidden"] @ own["classifier.weight"].T + own["classifier.bias"]
    np.testing.assert_allclose(found["tags"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("model_type", "names", "activation", "dropout"),
    [
        (
            "roberta",
            ("classifier.dense", "classifier.out_proj"),
            "tanh",
            {"hidden_dropout_prob": 0.4},
        ),
        ("distilbert", ("pre_classifier", "classifier"), "relu", {"seq_classif_dropout": 0.4}),
    ],
)
def test_heads_of_other_families_are_read_and_warned_of(
    tiny_model: mtf.MultiTaskModel,
    tmp_path: Path,
    model_type: str,
    names: tuple[str, str],
    activation: str,
    dropout: dict[str, float],
) -> None:
    rng = np.random.default_rng(1)
    own = {
        f"{name}.{part}": rng.standard_normal((n, 48) if part == "weight" else n).astype(np.float32)
        for name, n in zip(names, (48, 2), strict=True)
        for part in ("weight", "bias")
    }
    folder = tmp_path / "ckpt"
    folder.mkdir()
    save_file(own, str(folder / "model.safetensors"))
    (folder / "config.json").write_text("{}")
    change_config(
        folder, model_type=model_type, architectures=["XForSequenceClassification"], **dropout
    )
    with pytest.warns(mtf.OtherBackboneWarning, match=r"found another one here \(53 of 53 tensors"):
        tiny_model.add_head("sentiment", from_pretrained=folder)
    spec = tiny_model.heads["sentiment"].spec
    assert (spec.hidden, spec.activation, spec.dropout) == ((48,), activation, 0.4)
    assert spec.labels == ("LABEL_0", "LABEL_1")
    params = tiny_model.parameters()
    for ours, theirs in (("hidden.0.", names[0]), ("", names[1])):
        for part in ("weight", "bias"):
            assert params[f"sentiment.{ours}{part}"].tobytes() == own[f"{theirs}.{part}"].tobytes()


def test_a_description_names_labels_that_have_no_names(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    folder = write_classifier(tmp_path / "ckpt", TOKEN, None, n_labels=3)
    spec = mtf.TokenClassification(["O", "B-x", "I-x"], dropout=0.0)
    tiny_model.add_head("tags", spec, from_pretrained=folder)
    assert tiny_model.heads["tags"].spec == spec
    tiny_model.add_head("plain", from_pretrained=folder)
    assert tiny_model.heads["plain"].labels == ("LABEL_0", "LABEL_1", "LABEL_2")


def test_old_checkpoints_without_architectures_need_a_description(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    folder = change_config(write_classifier(tmp_path / "ckpt", TOKEN), architectures=None)
    with pytest.raises(mtf.ConfigError, match="or pass the head's description as well"):
        tiny_model.add_head("tags", from_pretrained=folder)
    spec = mtf.TokenClassification(["negative", "positive"])
    assert tiny_model.add_head("tags", spec, from_pretrained=folder).heads["tags"].spec == spec


POOLED = {"hidden": (48,), "activation": "tanh", "pooling": "cls"}


@pytest.mark.parametrize(
    ("problem", "labels", "spec"),
    [
        ("multi_label_classification", TWO, mtf.MultiLabelClassification(TWO, **POOLED)),
        ("multi_label_classification", ["x"], mtf.MultiLabelClassification(["x"], **POOLED)),
        ("regression", TWO, mtf.Regression(TWO, **POOLED)),
        ("regression", ["x"], mtf.Regression(["x"], **POOLED)),
        (None, ["x"], mtf.Regression(["x"], **POOLED)),
        (None, TWO, mtf.SequenceClassification(TWO, **POOLED)),
    ],
)
def test_what_logits_are_for_is_read(
    problem: str | None, labels: list[str], spec: Any, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = write_classifier(tmp_path / "ckpt", labels=tuple(labels), problem_type=problem)
    model = load(tiny_folder).add_head("head", from_pretrained=folder)
    assert model.heads["head"].spec == spec
    logits = model.forward(SENTENCES, ["head"])["head"]
    np.testing.assert_allclose(logits, numpy_logits(model, folder), atol=1e-5)


def test_a_description_says_what_the_file_does_not(tiny_folder: Path, tmp_path: Path) -> None:
    """transformers goes by the first batch where there is no problem_type; here the caller does."""
    folder = write_classifier(tmp_path / "ckpt")
    unnamed = change_config(write_classifier(tmp_path / "old"), architectures=None)
    for spec in (
        mtf.MultiLabelClassification(TWO, threshold=0.3, **POOLED),
        mtf.Regression(TWO, **POOLED),
        mtf.PairClassification(TWO, **POOLED),
    ):
        for source in (folder, unnamed):
            model = load(tiny_folder).add_head("head", spec, from_pretrained=source)
            assert model.heads["head"].spec == spec
    siamese = mtf.PairClassification(TWO, encode="siamese", **POOLED)
    with pytest.raises(mtf.ConfigError, match=r"found {'kind': 'pair_class"):
        load(tiny_folder).add_head("head", siamese, from_pretrained=folder)


def test_another_backbone_is_said(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "ckpt", seed=1)
    with pytest.warns(mtf.OtherBackboneWarning, match="was trained over the backbone of") as seen:
        tiny_model.add_head("sentiment", from_pretrained=folder)
    assert "53 of 53 tensors differ" in str(seen[0].message)
    assert seen[0].filename == __file__
    one = write_classifier(tmp_path / "one")
    key = "backbone.encoder.layer.1.output.dense.bias"
    tiny_model.set_parameter(key, tiny_model.parameters()[key] + np.float32(1e-6))
    with pytest.warns(mtf.OtherBackboneWarning, match=f"1 of 53 tensors differ, e.g. '{key}'"):
        tiny_model.add_head("second", from_pretrained=one)


@pytest.mark.parametrize(
    ("changes", "n_other"),
    [
        ({"layer_norm_eps": 1e-5}, None),  # the same weights, and another function of them
        ({"drop": ("bert.encoder.layer.2.output.dense.bias",)}, 1),
        ({"drop": ("bert.encoder.layer.2.output.dense.bias",), "layer_norm_eps": 1e-5}, None),
    ],
)
def test_a_backbone_that_computes_something_else_is_said(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path, changes: dict[str, Any], n_other: int | None
) -> None:
    folder = write_classifier(tmp_path / "ckpt", TOKEN, tuple(TAGS), **changes)
    n = sum(key.startswith("backbone.") and "pooler" not in key for key in tiny_model.param_keys)
    said = rf"\({n if n_other is None else n_other} of {n} tensors differ"
    with pytest.warns(mtf.OtherBackboneWarning, match=said):
        tiny_model.add_head("ner_head", from_pretrained=folder)


def test_a_head_of_answers_names_no_labels(tiny_folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    found = {
        "qa_outputs.weight": rng.standard_normal((2, 48)).astype(np.float32),
        "qa_outputs.bias": rng.standard_normal(2).astype(np.float32),
    }
    folder = write_classifier(
        tmp_path / "ckpt",
        "BertForQuestionAnswering",
        labels=("NOT", "READ"),
        tensors=found,
        drop=("classifier.weight", "classifier.bias"),
    )
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("qa", from_pretrained=folder)
    assert model.heads["qa"].spec == mtf.QuestionAnswering(dropout=0.0)
    for part in ("weight", "bias"):
        np.testing.assert_array_equal(model.parameters()[f"qa.{part}"], found[f"qa_outputs.{part}"])


def test_a_taken_head_trains_and_comes_back(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "ckpt")
    model = load(folder)
    model.add_head("sentiment", from_pretrained=folder).freeze("backbone")
    before = bits(model.parameters())
    batch = {"sentiment": list(zip(SENTENCES, LABELS, strict=True))}
    model.step(batch, learning_rate=1e-2)
    moved = {key for key, value in model.parameters().items() if before[key] != value.tobytes()}
    assert moved == {key for key in model.param_keys if key.startswith("sentiment.")}
    model.save_pretrained(tmp_path / "out")
    again = load(tmp_path / "out")
    assert bits(again.parameters()) == bits(model.parameters())
    assert again.heads["sentiment"].trained


# ---- from a folder of ours -----------------------------------------------------------------------


@pytest.fixture
def saved(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> Path:
    two_head_model.step({"ner_head": [(["anna"], ["B-person"])]}, learning_rate=1e-3)
    return two_head_model.save_pretrained(tmp_path / "saved")


def test_a_head_of_our_own_folder(saved: Path) -> None:
    source, model = load(saved), load(saved)
    model.remove_head("ner_head").remove_head("classifier")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.add_head("tags", from_pretrained=saved, head="ner_head")
        model.add_head("fresh", from_pretrained=saved, head="classifier")
    assert model.heads["tags"].spec == source.heads["ner_head"].spec
    assert model.heads["tags"].trained and not model.heads["fresh"].trained
    ours = model.forward(SENTENCES, ["tags", "fresh"])
    theirs = source.forward(SENTENCES, ["ner_head", "classifier"])
    assert bits({"t": ours["tags"], "f": ours["fresh"]}) == bits(
        {"t": theirs["ner_head"], "f": theirs["classifier"]}
    )


def test_which_head_of_several(saved: Path, tiny_folder: Path, tmp_path: Path) -> None:
    tiny_model = load(tiny_folder)
    with pytest.raises(mtf.ConfigError, match=r"found 'classifier', 'ner_head'; choose with head="):
        tiny_model.add_head("new", from_pretrained=saved)
    with pytest.raises(mtf.ConfigError, match=r"unknown head 'ner'.*did you mean 'ner_head'"):
        tiny_model.add_head("new", from_pretrained=saved, head="ner")
    source = load(saved)
    source.remove_head("classifier").save_pretrained(tmp_path / "one")
    with pytest.warns(mtf.OtherBackboneWarning):  # the step of the fixture moved it
        tiny_model.add_head("new", from_pretrained=tmp_path / "one")
    assert tiny_model.heads["new"].labels == tuple(TAGS)


def test_the_pooling_of_the_source_goes_with_the_head(tmp_path: Path) -> None:
    folder = write_tiny_bert(tmp_path / "model")
    source = load(folder, pooling="cls")
    source.add_head("classifier", mtf.SequenceClassification(["a", "b"]))
    source.save_pretrained(tmp_path / "saved")
    model = load(folder, pooling="mean")
    model.add_head("classifier", from_pretrained=tmp_path / "saved")
    assert model.heads["classifier"].spec == mtf.SequenceClassification(["a", "b"], pooling="cls")
    ours, theirs = (one.forward(SENTENCES, ["classifier"])["classifier"] for one in (model, source))
    assert ours.tobytes() == theirs.tobytes()
    for name, changes, message in (
        ("pooler", {"pooling": "pooler"}, "load the model with pooling='pooler'"),
        ("embedding", {"pooling": "cls"}, "reads embeddings with pooling='cls', normalize=True"),
    ):
        other = load(folder, **changes)
        features = "embedding" if name == "embedding" else "pooled"
        other.add_head("classifier", mtf.SequenceClassification(["a", "b"], features=features))
        other.save_pretrained(tmp_path / name)
        with pytest.raises(mtf.ConfigError, match=message):
            model.add_head("new", from_pretrained=tmp_path / name)


# ---- what is refused, with nothing changed -------------------------------------------------------

Write = Callable[[Path], Path]


def own(**changes: Any) -> Write:
    return lambda folder: write_classifier(folder, **changes)


def no_weights(folder: Path) -> Path:
    write_classifier(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    return folder


def config_of(**changes: Any) -> Write:
    return lambda folder: change_config(write_classifier(folder), **changes)


@pytest.mark.parametrize(
    ("write", "spec", "error", "message"),
    [
        (own(hidden_size=64), None, mtf.ConfigError, "the model's width 48; found width 64"),
        (
            own(architecture=TOKEN, hidden_size=64),
            None,
            mtf.ConfigError,
            "the model's width 48; found width 64",
        ),
        (
            own(drop=("classifier.bias",)),
            None,
            mtf.CheckpointError,
            "'classifier.bias' of a ForSeq",
        ),
        (
            own(drop=("bert.pooler.dense.weight",)),
            None,
            mtf.CheckpointError,
            "expected tensor 'pooler.dense.weight'",
        ),
        (
            own(tensors={"classifier.bias": np.zeros(3, np.float32)}),
            None,
            mtf.CheckpointError,
            r"'classifier.bias' of shape \(2,\); found shape \(3,\)",
        ),
        (
            own(tensors={"classifier.weight": np.zeros((2, 40), np.float32)}),
            None,
            mtf.CheckpointError,
            r"of shape \(2, 48\); found shape \(2, 40\)",
        ),
        (
            own(tensors={"classifier.weight": np.zeros((2, 48), np.int32)}),
            None,
            mtf.CheckpointError,
            "found I32",
        ),
        (
            own(labels=("x",), problem_type="single_label_classification"),
            None,
            mtf.ConfigError,
            "set problem_type to 'regression' if it is a number",
        ),
        (own(architecture=TOKEN, labels=("x",)), None, mtf.CheckpointError, "at least two labels"),
        (own(problem_type="ranking"), None, mtf.ConfigError, "'regression'; found 'ranking'"),
        (own(problem_type=["regression"]), None, mtf.ConfigError, "correct the file"),
        (
            own(problem_type="regression"),
            mtf.MultiLabelClassification(TWO, hidden=(48,), activation="tanh", pooling="cls"),
            mtf.ConfigError,
            "{'kind': 'regression'}; found {'kind': 'multi_label_classification'}",
        ),
        (own(labels=("a", "b", "c"), n_labels=2), None, mtf.CheckpointError, "to name the 2 rows"),
        (own(labels=("a", "a")), None, mtf.CheckpointError, "labels must differ"),
        (own(classifier_dropout=1.5), None, mtf.CheckpointError, "classifier_dropout as a rate"),
        (own(architecture="BertModel"), None, mtf.ConfigError, r"architectures = \['BertModel'\]"),
        (
            own(architecture="BertForMultipleChoice"),
            None,
            mtf.ConfigError,
            "fine-tuned for classification",
        ),
        (
            own(architecture="BertForQuestionAnswering"),
            None,
            mtf.CheckpointError,
            "expected tensor 'qa_outputs.weight' of a ForQuestionAnswering head",
        ),
        (config_of(model_type="brt"), None, mtf.ConfigError, "'bert'.*found 'brt'; choose a model"),
        (no_weights, None, mtf.CheckpointError, "AutoModelForSequenceClassification.from_pretr"),
        (own(), mtf.TokenClassification(TWO), mtf.ConfigError, "'kind': 'sequence_classification'"),
        (own(), mtf.SequenceClassification(TWO), mtf.ConfigError, r"'hidden': \(48,\)"),
        (
            own(),
            mtf.SequenceClassification(TWO, hidden=(48,), pooling="cls"),
            mtf.ConfigError,
            "'activation': 'tanh'}; found {'activation': 'gelu'}",
        ),
        (
            own(architecture=TOKEN),
            mtf.TokenClassification(["positive", "negative"]),
            mtf.ConfigError,
            "in the order of its logits",
        ),
        (
            own(architecture=TOKEN, labels=None),
            mtf.TokenClassification(["a", "b", "c"]),
            mtf.ConfigError,
            r"\['LABEL_0', 'LABEL_1'\]; found \['a', 'b', 'c'\]",
        ),
        (own(), TWO, TypeError, "or None, to make it from the checkpoint; found list"),
    ],
)
def test_heads_that_cannot_be_taken(
    tiny_model: mtf.MultiTaskModel,
    tmp_path: Path,
    write: Write,
    spec: Any,
    error: type[Exception],
    message: str,
) -> None:
    before = bits(tiny_model.parameters())
    with pytest.raises(error, match=message):
        tiny_model.add_head("new", spec, from_pretrained=write(tmp_path / "ckpt"))
    assert not tiny_model.heads
    assert bits(tiny_model.parameters()) == before


def test_other_refusals(tiny_model: mtf.MultiTaskModel, tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(mtf.CheckpointError, match="expected a model folder at"):
        tiny_model.add_head("new", from_pretrained=tmp_path / "nowhere")
    with pytest.raises(mtf.ConfigError, match=r"found none in .*; leave head= out"):
        tiny_model.add_head("new", from_pretrained=tiny_folder, head="classifier")
    with pytest.raises(mtf.ConfigError, match="pass from_pretrained=folder too"):
        tiny_model.add_head("new", mtf.SequenceClassification(TWO), head="classifier")
    with pytest.raises(mtf.ConfigError, match="'backbone' is reserved"):
        tiny_model.add_head("backbone", from_pretrained=write_classifier(tmp_path / "ckpt"))
    assert not tiny_model.heads
