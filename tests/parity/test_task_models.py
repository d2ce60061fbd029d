# SPDX-License-Identifier: Apache-2.0
"""Heads of every family, written and read as task models of transformers, with its own logits."""

from __future__ import annotations

from dataclasses import replace
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
KINDS = {
    "SequenceClassification": mtf.SequenceClassification(["bad", "fair", "good"], dropout=0.3),
    "TokenClassification": mtf.TokenClassification(TAGS, dropout=0.3),
}


def form_of(model: mtf.MultiTaskModel, kind: str) -> HeadSpec:
    """Return the description of the head that the family's class of this kind computes."""
    layout = model.index.family.head_layouts[f"For{kind}"]
    options: dict[str, Any] = {"bias": layout.logits_bias}
    if layout.hidden:
        options |= {"hidden": (model.width,), "activation": layout.activation}
    if isinstance(KINDS[kind], PooledHead):
        options["pooling"] = layout.pooling
    defaults = {name: value for name, (_, value) in layout.options.items()}
    return replace(KINDS[kind], **{**options, **defaults})


def with_head(folder: Path, kind: str) -> mtf.MultiTaskModel:
    """Return the model with a head in that form, its weights of a size that shows."""
    model = load_family(folder, heads=False)
    model.add_head("head", form_of(model, kind))
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


@pytest.mark.parametrize("name", NAMES)
def test_another_function_is_refused(name: str, tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path / "in", name), heads=False)
    model.add_head("wide", mtf.SequenceClassification(["a", "b"], hidden=(7, 7), pooling="max"))
    model.add_head("deep", mtf.TokenClassification(TAGS, hidden=(11,), activation="silu"))
    model.add_head("number", mtf.Regression(["score"]))
    for head, said in (("wide", "is not what"), ("deep", "is not what"), ("number", "of kind")):
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
