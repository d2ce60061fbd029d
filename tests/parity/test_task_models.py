# SPDX-License-Identifier: Apache-2.0
"""Heads of every family, written and read as task models of transformers, with its own logits."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.families import FAMILIES
from mtfreeze.heads.kind import HeadSpec, PooledHead
from support.families import NAMES, load_family, write_family
from support.texts import SENTENCES, TAGS

pytestmark = [
    pytest.mark.parity,
    pytest.mark.long,
    pytest.mark.usefixtures("torch", "transformers"),
]

TOLERANCE = 1e-5
SEQUENCE = "SequenceClassification"
KINDS: dict[str, HeadSpec] = {
    "SequenceClassification": mtf.SequenceClassification(["bad", "fair", "good"], dropout=0.3),
    "TokenClassification": mtf.TokenClassification(TAGS, dropout=0.3),
}


PROBLEMS: dict[str, tuple[HeadSpec, list[Any], Any]] = {
    "multi_label_classification": (
        mtf.MultiLabelClassification(["x", "y", "z"]),
        [["x"], [], ["y", "z"], ["z"]],
        [[1.0, 0, 0], [0.0, 0, 0], [0.0, 1, 1], [0.0, 0, 1]],
    ),
    "regression": (mtf.Regression(), [0.5, -1.0, 2.0, 0.25], [0.5, -1.0, 2.0, 0.25]),
    "regression, two": (
        mtf.Regression(["x", "y"]),
        [[1, 0], [2, 1], [3, 0], [4, 4]],
        [[1.0, 0], [2.0, 1], [3.0, 0], [4.0, 4]],
    ),
}
"""What one class is for besides one label: a head, labels of four texts, transformers' form."""


def form_of(model: mtf.MultiTaskModel, kind: str, plain: HeadSpec | None = None) -> HeadSpec:
    """Return the description of the head that the family's class of this kind computes."""
    layout = model.index.family.head_layouts[f"For{kind}"]
    plain = KINDS[kind] if plain is None else plain
    options: dict[str, Any] = {"bias": layout.logits_bias}
    if layout.hidden:
        options |= {"hidden": (model.width,), "activation": layout.activation}
    if isinstance(plain, PooledHead):
        options["pooling"] = layout.pooling
    defaults = {name: value for name, (_, value) in layout.options.items()}
    return replace(plain, **{**options, **defaults})


def with_head(folder: Path, kind: str, plain: HeadSpec | None = None) -> mtf.MultiTaskModel:
    """Return the model with a head in that form, its weights of a size that shows."""
    model = load_family(folder, heads=False)
    model.add_head("head", form_of(model, kind, plain))
    rng = np.random.default_rng(7)
    for key, values in model.parameters().items():
        if key.startswith("head."):
            model.set_parameter(key, values + 0.2 * rng.standard_normal(values.shape))
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_written_and_read(
    name: str, kind: str, tmp_path: Path, torch: Any, transformers: Any
) -> None:
    folder = write_family(tmp_path / "in", name)
    model = with_head(folder, kind)
    saved = model.save_pretrained(tmp_path / "task", head="head")
    cls = getattr(transformers, f"AutoModelFor{kind}")
    network, info = cls.from_pretrained(saved, output_loading_info=True)
    assert not info["missing_keys"] and not info["mismatched_keys"], info
    assert not info["unexpected_keys"], info
    assert type(network).__name__ == FAMILIES[name].class_stem + f"For{kind}"
    assert list(network.config.id2label.values()) == list(model.heads["head"].labels)
    encoded = model.encoder.encode_texts(SENTENCES)
    with torch.no_grad():
        theirs = [
            network.eval()(input_ids=torch.tensor(np.asarray(ids)[None].astype(int))).logits[0]
            for ids in encoded
        ]
    rows = [one.numpy()[None] if one.ndim == 1 else one.numpy() for one in theirs]
    ours = model.forward(SENTENCES, ["head"])["head"]
    np.testing.assert_allclose(ours, np.concatenate(rows), rtol=0, atol=TOLERANCE)
    again = load_family(saved, heads=False)
    again.add_head("head", from_pretrained=saved)
    assert again.forward(SENTENCES, ["head"])["head"].tobytes() == ours.tobytes()
    assert again.heads["head"].labels == model.heads["head"].labels


def loaded(saved: Path, transformers: Any) -> Any:
    """Load a task model of texts with transformers, which must find all of it."""
    cls = transformers.AutoModelForSequenceClassification
    network, info = cls.from_pretrained(saved, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "mismatched_keys", "unexpected_keys"))
    return network.eval()


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", ["bert", "roberta", "llama"])
def test_other_problems(
    name: str, problem: str, tmp_path: Path, torch: Any, transformers: Any
) -> None:
    plain, labels, theirs = PROBLEMS[problem]
    model = with_head(write_family(tmp_path / "in", name), SEQUENCE, plain)
    saved = model.save_pretrained(tmp_path / "task", head="head")
    network = loaded(saved, transformers)
    assert network.config.problem_type == problem.partition(",")[0]
    texts, losses, logits = SENTENCES[:4], [], []
    for text, label in zip(texts, theirs, strict=True):
        (ids,) = model.encoder.encode_texts([text])
        with torch.no_grad():
            out = network(
                input_ids=torch.tensor(np.asarray(ids)[None].astype(int)),
                labels=torch.tensor([label]),
            )
        losses.append(float(out.loss))
        logits.append(out.logits[0].numpy())
    ours = model.forward(texts, ["head"])["head"]
    np.testing.assert_allclose(ours, np.stack(logits), rtol=0, atol=TOLERANCE)
    rows = list(zip(texts, labels, strict=True))
    found = mtf.evaluate(model, {"head": mtf.Task(eval=rows)})["eval_head_loss"]
    assert found == pytest.approx(np.mean(losses), rel=1e-5)
    again = load_family(saved, heads=False).add_head("head", from_pretrained=saved)
    found_spec = again.heads["head"].spec  # Llama's class has no dropout to note
    assert replace(found_spec, dropout=plain.dropout) == model.heads["head"].spec
    assert again.forward(texts, ["head"])["head"].tobytes() == ours.tobytes()
    network.save_pretrained(tmp_path / "theirs")
    model.add_head("back", from_pretrained=tmp_path / "theirs")
    assert type(model.heads["back"].spec) is type(plain)
    assert model.forward(texts, ["back"])["back"].tobytes() == ours.tobytes()


@pytest.mark.parametrize("name", ["bert", "electra", "gte", "roberta"])
def test_pairs_in_one_sequence(name: str, tmp_path: Path, torch: Any, transformers: Any) -> None:
    """A joint pair head is the class over both texts, with the types of their tokens."""
    plain = mtf.PairClassification(["no", "maybe", "yes"])
    model = with_head(write_family(tmp_path / "in", name), SEQUENCE, plain)
    saved = model.save_pretrained(tmp_path / "task", head="head")
    network = loaded(saved, transformers)
    tokenizer = transformers.AutoTokenizer.from_pretrained(saved, local_files_only=True)
    pairs = list(pairwise(SENTENCES))
    theirs = []
    for first, second in pairs:
        inputs = tokenizer(first, second, return_tensors="pt")
        if model.config.get("type_vocab_size", 1) > 1:
            assert inputs["token_type_ids"].max() == 1
        with torch.no_grad():
            theirs.append(network(**inputs).logits[0].numpy())
    ours = model.forward(pairs, ["head"])["head"]
    assert np.ptp(ours, axis=0).max() > 1e-3
    np.testing.assert_allclose(ours, np.stack(theirs), rtol=0, atol=TOLERANCE)
    network.save_pretrained(tmp_path / "theirs")
    for source in (saved, tmp_path / "theirs"):
        again = load_family(saved, heads=False)
        again.add_head("head", model.heads["head"].spec, from_pretrained=source)
        assert again.heads["head"].kind == "pair_classification"
        assert again.forward(pairs, ["head"])["head"].tobytes() == ours.tobytes()
        assert again.predict("head", pairs) == model.predict("head", pairs)


@pytest.mark.parametrize("name", NAMES)
def test_another_function_is_refused(name: str, tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path / "in", name), heads=False)
    model.add_head("wide", mtf.SequenceClassification(["a", "b"], hidden=(7, 7), pooling="max"))
    model.add_head("deep", mtf.TokenClassification(TAGS, hidden=(11,), activation="silu"))
    model.add_head("number", mtf.Regression(["score"], pooling="max"))
    model.add_head("pairs", mtf.PairClassification(["a", "b"], encode="siamese"))
    for head in ("wide", "deep", "number", "pairs"):
        said = "of kind" if head == "pairs" else "is not what"
        with pytest.raises(mtf.ConfigError, match=said):
            model.save_pretrained(tmp_path / "out", head=head)
    layout = model.index.family.head_layouts["ForSequenceClassification"]
    form = form_of(model, "SequenceClassification")
    for flag, there in (("bias", True), ("hidden_bias", bool(form.hidden))):
        if there:
            other = replace(form, **{flag: not getattr(form, flag)})
            model.add_head(f"other_{flag}", other)
            if flag in layout.options:  # the configuration can say either
                model.save_pretrained(tmp_path / "either", head=f"other_{flag}")
                continue
            with pytest.raises(
                mtf.ConfigError, match=f"expected {{'{flag}': {not getattr(other, flag)}}}"
            ):
                model.save_pretrained(tmp_path / "out", head=f"other_{flag}")
    with pytest.raises(mtf.ConfigError, match="did you mean 'wide'"):
        model.save_pretrained(tmp_path / "out", head="wid")
    with pytest.raises(mtf.ConfigError, match="found both"):
        model.save_pretrained(tmp_path / "out", head="wide", tasks={})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["bert", "albert"])
def test_the_backbones_own_pooler(name: str, tmp_path: Path) -> None:
    """A linear head over the family's pooler is what the class computes, too."""
    model = load_family(write_family(tmp_path / "in", name), heads=False, pooling="pooler")
    model.add_head("head", mtf.SequenceClassification(["a", "b"]))
    saved = model.save_pretrained(tmp_path / "task", head="head")
    again = load_family(saved, heads=False, pooling="pooler").add_head("h", from_pretrained=saved)
    ours = model.forward(SENTENCES, ["head"])["head"]
    assert again.forward(SENTENCES, ["h"])["h"].tobytes() == ours.tobytes()
    assert again.heads["h"].spec.hidden == ()


def test_what_another_model_left_there_goes(tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path / "in", "bert"))
    saved = model.save_pretrained(tmp_path / "out")
    model.add_head("head", form_of(model, "SequenceClassification"))
    model.save_pretrained(saved, head="head")
    names = {path.name for path in saved.iterdir()}
    assert not names & {"mtfreeze.json", "heads", "modules.json", "freeze_report.json"}
