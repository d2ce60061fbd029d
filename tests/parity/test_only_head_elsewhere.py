# SPDX-License-Identifier: Apache-2.0
"""The folder of a model with one head, as it was saved, in a class and pipeline of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.heads.kind import HeadSpec
from support.families import load_family, write_family
from support.texts import SENTENCES, TAGS

pytestmark = [
    pytest.mark.parity,
    pytest.mark.usefixtures("torch", "transformers"),
    pytest.mark.filterwarnings("ignore"),  # of transformers, about itself
]

TEXTS = [text for text in SENTENCES if text.strip()]
TEXT_HEAD = mtf.SequenceClassification(
    ["bad", "fair", "good"], pooling="cls", hidden=(48,), activation="tanh"
)


@pytest.mark.parametrize(
    ("name", "spec", "task"),
    [
        ("bert", TEXT_HEAD, "text-classification"),
        ("bert", mtf.TokenClassification(TAGS), "token-classification"),
        pytest.param("distilbert", mtf.TokenClassification(TAGS), "token-classification",
                     marks=pytest.mark.long),
        pytest.param("roberta", TEXT_HEAD, "text-classification", marks=pytest.mark.long),
        pytest.param("gpt2", mtf.TokenClassification(TAGS), "token-classification",
                     marks=pytest.mark.long),
    ],
)  # fmt: skip
def test_in_transformers(
    name: str, spec: HeadSpec, task: str, tmp_path: Path, torch: Any, transformers: Any
) -> None:
    """The class finds all that it has, gives the same logits, and its pipeline answers."""
    model = load_family(write_family(tmp_path / "in", name), heads=False).add_head("head", spec)
    rng = np.random.default_rng(7)
    for key, values in model.parameters().items():
        if key.startswith("head."):
            model.set_parameter(key, values + 0.3 * rng.standard_normal(values.shape))
    saved = model.save_pretrained(tmp_path / "out")
    end = "SequenceClassification" if task.startswith("text") else "TokenClassification"
    cls = getattr(transformers, f"AutoModelFor{end}")
    network, info = cls.from_pretrained(saved, output_loading_info=True)
    assert not info["missing_keys"] and not info["mismatched_keys"], info
    assert list(network.config.id2label.values()) == list(model.heads["head"].labels)
    theirs = []
    for ids in model.encoder.encode_texts(TEXTS):
        with torch.no_grad():
            batch = torch.tensor(np.asarray(ids)[None].astype(int))
            theirs.append(network.eval()(input_ids=batch).logits[0].numpy())
    ours = model.forward(TEXTS, ["head"])["head"]
    found = np.concatenate([one.reshape(-1, ours.shape[1]) for one in theirs])
    assert np.ptp(ours, axis=0).max() > 0.01
    np.testing.assert_allclose(found, ours, rtol=0, atol=1e-5)
    base = transformers.AutoModel.from_pretrained(saved, output_loading_info=True)[1]
    assert not base["missing_keys"], base
    answers = transformers.pipeline(task, model=str(saved))(TEXTS)
    if task.startswith("text"):
        assert [one["label"] for one in answers] == model.predict("head", TEXTS)
    card = (saved / "README.md").read_text()
    assert f"AutoModelFor{end}" in card and "save_pretrained" not in card
