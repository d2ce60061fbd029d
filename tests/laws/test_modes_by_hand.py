# SPDX-License-Identifier: Apache-2.0
"""Every freeze mode by hand, on real weights: held to the law without the proof of the run itself.

Starts where a comparison should start: a real backbone with two heads that already work. From there
every mode trains a copy with other parts frozen, and is held to what freezing promises: what is
frozen keeps its bits, what is not moves, and the scores stay sensible. The data are the first rows
of examples/data, so the scores are rough. ``tests/test_freeze_modes.py`` is the comparison as users
write it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import mtfreeze as mtf

if TYPE_CHECKING:
    from mtfreeze.training.run import Run

pytestmark = [pytest.mark.real, pytest.mark.long]

DATA = Path(__file__).resolve().parents[2] / "examples" / "data"
SENTIMENT = {"0": "negative", "1": "positive"}
KINDS = ["corporation", "creative-work", "group", "location", "person", "product"]
TAGS = ["O", *(f"{prefix}-{kind}" for kind in KINDS for prefix in "BI")]
METRIC = {"classifier": "eval_classifier_accuracy", "ner_head": "eval_ner_head_f1"}

# mode -> what must not move, what must move, the tasks whose loss trains something
MODES = {
    "all": (["all"], [], []),
    "backbone": (["backbone"], ["classifier", "ner_head"], ["classifier", "ner_head"]),
    "classifier": (["classifier"], ["backbone.layers[0:6]", "ner_head"], ["ner_head"]),
    "ner_head": (["ner_head"], ["backbone.layers[0:6]", "classifier"], ["classifier"]),
    "backbone[:3]": (
        ["backbone.embeddings", "backbone.layers[0:3]"],
        ["backbone.layers[3:6]", "classifier", "ner_head"],
        ["classifier", "ner_head"],
    ),
    "none": ([], ["backbone", "classifier", "ner_head"], ["classifier", "ner_head"]),
}


@pytest.fixture(scope="module")
def tasks() -> dict[str, mtf.Task]:
    """Two tasks, cut small: sentiment of reviews, and named entities of tweets."""
    reviews = [
        mtf.read_tsv(DATA / f"reviews_{part}.tsv", label_map=SENTIMENT)
        for part in ("train", "eval")
    ]
    tweets = [mtf.read_conll(DATA / f"wnut_{part}.conll") for part in ("train", "eval")]
    return {
        "classifier": mtf.Task(train=reviews[0][:120], eval=reviews[1][:80]),
        "ner_head": mtf.Task(train=tweets[0][:120], eval=tweets[1][:60]),
    }


@pytest.fixture(scope="module")
def start(minilm_folder: Path, tasks: dict[str, mtf.Task]) -> tuple[mtf.MultiTaskModel, Run]:
    """The starting point of every mode: both heads trained on the frozen backbone."""
    model = mtf.MultiTaskModel.from_pretrained(minilm_folder, pooling="mean", normalize=True)
    model.add_head("classifier", mtf.SequenceClassification(labels=list(SENTIMENT.values())))
    model.add_head("ner_head", mtf.TokenClassification(labels=TAGS))
    model.freeze("backbone")
    run = mtf.fit(
        model, tasks, epochs=5, batch_size=8, learning_rate={"heads": 1e-2}, progress=False
    )
    return model, run


def keys_of(model: mtf.MultiTaskModel, selectors: list[str]) -> list[str]:
    """Return the parameter keys that any of the selectors names."""
    chosen = model.select(*selectors) if selectors else []
    keys = [key for key, named in zip(model.parameters(), chosen, strict=False) if named]
    assert bool(keys) == bool(selectors)
    return keys


def test_the_heads_work_at_the_start(start: tuple[mtf.MultiTaskModel, Run]) -> None:
    _, run = start
    assert run.verify_frozen(), run.verify_frozen().moved
    assert run.metrics["eval_classifier_accuracy"] > 0.7, "half of the reviews are positive"
    assert run.metrics["eval_ner_head_f1"] > 0.05, "always predicting O scores zero"
    losses = run.losses()
    assert np.mean(losses[-4:]) < 0.7 * np.mean(losses[:4])


@pytest.mark.parametrize("mode", MODES)
def test_mode(mode: str, start: tuple[mtf.MultiTaskModel, Run], tasks: dict[str, mtf.Task]) -> None:
    begin, begin_run = start
    still, moving, training = MODES[mode]
    model = begin.copy().unfreeze()
    if mode != "none":
        model.freeze(mode)
    before = {key: values.copy() for key, values in model.parameters().items()}

    run = mtf.fit(
        model,
        tasks,
        epochs=1,
        batch_size=16,
        learning_rate={"backbone": 5e-5, "heads": 1e-3},
        progress=False,
    )

    # What is frozen has the same bits: by the digests of the run, and by looking.
    assert run.verify_frozen(), run.verify_frozen().moved
    after = model.parameters()
    for key in keys_of(model, still):
        assert after[key].tobytes() == before[key].tobytes(), f"{key} moved in mode {mode}"
        assert model.trainable(key) is False
    # What trains has moved; of token types only one is in use, so their table is left out.
    for key in keys_of(model, moving):
        assert model.trainable(key) is True
        if "token_type" not in key:
            assert not np.array_equal(after[key], before[key]), f"{key} stood still in mode {mode}"
    # Only tasks whose head trains contribute a loss; all tasks are evaluated.
    assert {row["task"] for row in run.history if "loss" in row} == set(training)
    for task, metric in METRIC.items():
        change = run.metrics[metric] - begin_run.metrics[metric]
        print(f"{mode:14} {task:12} {run.metrics[metric]:.3f} ({change:+.3f})")
        assert 0.0 <= run.metrics[metric] <= 1.0
        if mode == "all":
            assert change == 0.0, "nothing trained, so nothing may change"
        else:
            assert change > -0.15, f"{task} fell apart in mode {mode}"


def test_a_frozen_head_on_a_frozen_backbone_predicts_the_same(
    start: tuple[mtf.MultiTaskModel, Run], tasks: dict[str, mtf.Task]
) -> None:
    """Freezing both ends of a path keeps its predictions, whatever the other head learns."""
    begin, _ = start
    model = begin.copy().unfreeze().freeze("backbone", "classifier")
    texts = ["The battery died after a week.", "What a lovely place!"]
    mtf.fit(model, tasks, epochs=1, learning_rate=1e-2, progress=False)
    np.testing.assert_array_equal(
        model.predict_proba("classifier", texts), begin.predict_proba("classifier", texts)
    )
