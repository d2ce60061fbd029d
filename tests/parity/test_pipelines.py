# SPDX-License-Identifier: Apache-2.0
"""Heads that left as task models, in the pipelines of transformers: the answers of `predict`.

From text to answer: the tokenizer of the folder, the class, what the pipeline makes of its logits.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.heads.kind import HeadSpec, PooledHead
from support.families import load_family, write_family
from support.texts import SENTENCES, TAGS

pytestmark = [
    pytest.mark.parity,
    pytest.mark.usefixtures("torch", "transformers"),
    pytest.mark.filterwarnings("ignore"),  # of transformers, about itself
]

TOLERANCE = 1e-5
TEXTS = [text for text in SENTENCES if text.strip()]
OTHERS = ["distilbert", "electra", "mpnet"]


def left(
    folder: Path, name: str, spec: HeadSpec, end: str, pooling: str | None = None
) -> tuple[mtf.MultiTaskModel, str]:
    """Return a model with a head in a form of the family's class, and where the head is saved."""
    own = {"pooling": "pooler"} if pooling == "pooler" else {}
    model = load_family(write_family(folder / "in", name), heads=False, **own)
    layout = model.index.family.head_layouts[end]
    options: dict[str, Any] = {"bias": layout.logits_bias}
    if layout.hidden and not own:
        options |= {"hidden": (model.width,), "activation": layout.activation}
    options |= {key: default for key, (_, default) in layout.options.items()}
    if isinstance(spec, PooledHead) and not own:
        options["pooling"] = pooling or layout.pooling
    model.add_head("head", replace(spec, **options))
    rng = np.random.default_rng(7)
    for key, values in model.parameters().items():
        if key.startswith("head."):
            model.set_parameter(key, values + 0.3 * rng.standard_normal(values.shape))
    return model, str(model.save_pretrained(folder / "task", head="head"))


@pytest.mark.parametrize(
    ("name", "pooling"),
    [
        ("bert", None),
        ("bert", "pooler"),
        pytest.param("modernbert", "mean", marks=pytest.mark.long),
        *(pytest.param(name, None, marks=pytest.mark.long) for name in OTHERS),
    ],
)
def test_labels_of_texts(name: str, pooling: str | None, tmp_path: Path, transformers: Any) -> None:
    spec = mtf.SequenceClassification(["bad", "fair", "good"])
    model, folder = left(tmp_path, name, spec, "ForSequenceClassification", pooling)
    answers = transformers.pipeline("text-classification", model=folder, top_k=None)(TEXTS)
    theirs = [{one["label"]: one["score"] for one in row} for row in answers]
    ours = model.predict_proba("head", TEXTS)
    found = [[row[label] for label in spec.labels] for row in theirs]
    np.testing.assert_allclose(found, ours, rtol=0, atol=TOLERANCE)
    assert np.ptp(ours, axis=0).max() > 0.01  # or equal answers would say nothing
    best = [max(row, key=row.__getitem__) for row in theirs]
    assert best == model.predict("head", TEXTS)


def test_several_labels_and_numbers(tmp_path: Path, transformers: Any) -> None:
    spec = mtf.MultiLabelClassification(["x", "y", "z"])
    model, folder = left(tmp_path / "labels", "bert", spec, "ForSequenceClassification")
    answers = transformers.pipeline("text-classification", model=folder, top_k=None)(TEXTS)
    found = [{one["label"]: one["score"] for one in row} for row in answers]
    theirs = [[row[label] for label in spec.labels] for row in found]
    np.testing.assert_allclose(theirs, model.predict_proba("head", TEXTS), rtol=0, atol=TOLERANCE)
    model, folder = left(
        tmp_path / "numbers", "bert", mtf.Regression(), "ForSequenceClassification"
    )
    pipe = transformers.pipeline("text-classification", model=folder)
    numbers = [one["score"] for one in pipe(TEXTS, function_to_apply="none")]
    np.testing.assert_allclose(numbers, model.predict("head", TEXTS), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "name", ["bert", *(pytest.param(name, marks=pytest.mark.long) for name in OTHERS)]
)
def test_tags_of_words(name: str, tmp_path: Path, transformers: Any) -> None:
    spec = mtf.TokenClassification(TAGS)
    model, folder = left(tmp_path, name, spec, "ForTokenClassification")
    pipe = transformers.pipeline("token-classification", model=folder, ignore_labels=[])
    for text in TEXTS:
        words = text.split()
        (tags,) = model.predict("head", [words], words=True)
        (chances,) = model.predict_proba("head", [words], words=True)
        raw = pipe(text)
        # the first piece of each word is what speaks for it
        starts = [0, *(i + 1 for i, letter in enumerate(text) if letter == " ")]
        first = {one["start"] + (text[one["start"]] == " "): one for one in reversed(raw)}
        theirs = [first[start] for start in starts if start in first]
        assert len(theirs) == len(words)
        assert [one["entity"] for one in theirs] == list(tags)
        best = [max(row) for row in chances]
        np.testing.assert_allclose([one["score"] for one in theirs], best, rtol=0, atol=TOLERANCE)
