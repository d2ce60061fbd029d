# SPDX-License-Identifier: Apache-2.0
"""`Similarity`: rows, training, figures, answers, files, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConfigError, DataError
from mtfreeze.heads.registry import spec_from_dict
from support.bits import bits, changed
from support.texts import SENTENCES

PAIRS = list(zip(SENTENCES, [*SENTENCES[1:], SENTENCES[0]], strict=True))
SCORED = [(a, b, (i % 5) / 4) for i, (a, b) in enumerate(PAIRS)]
FLAGGED = [(a, b, i % 2) for i, (a, b) in enumerate(PAIRS)]
TRIPLETS = [(a, b, SENTENCES[(i + 3) % len(SENTENCES)]) for i, (a, b) in enumerate(PAIRS)]
LABELLED = [(text, "even" if i % 2 else "odd") for i, text in enumerate(SENTENCES)]
ROWS: dict[str, list[Any]] = {
    "cosine": SCORED,
    "cosent": SCORED,
    "angle": SCORED,
    "multiple_negatives": PAIRS,
    "contrastive": FLAGGED,
    "online_contrastive": FLAGGED,
    "triplet": TRIPLETS,
    "margin_mse": [(*row, 0.1 * i) for i, row in enumerate(TRIPLETS)],
}
SETTINGS: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-3, "progress": False}


def task_of(loss: str) -> dict[str, mtf.Task]:
    """Return a task of rows that a loss reads, for training and evaluation."""
    return {"sim": mtf.Task(train=ROWS[loss], eval=ROWS[loss])}


# ---- learning ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ROWS)
def test_every_loss_trains_the_backbone(tiny_model: mtf.MultiTaskModel, loss: str) -> None:
    model = tiny_model.add_head("sim", mtf.Similarity(loss))
    tasks = task_of(loss)
    before = mtf.evaluate(model, tasks, batch_size=4)
    run = mtf.fit(model, tasks, epochs=4, **SETTINGS)
    assert run.metrics["eval_sim_loss"] < before["eval_sim_loss"]
    measure = model.heads["sim"].spec.measure
    assert set(before) == {f"eval_sim_{one}" for one in ("loss", *measure.names)}
    assert run.frozen.ok


def test_labelled_texts_are_rows_of_a_triplet_loss(tiny_model: mtf.MultiTaskModel) -> None:
    model = tiny_model.add_head("sim", mtf.Similarity("triplet", margin=1.0))
    tasks = {"sim": mtf.Task(train=LABELLED, eval=LABELLED)}
    before = mtf.evaluate(model, tasks)
    run = mtf.fit(model, tasks, epochs=6, **SETTINGS)
    assert run.metrics["eval_sim_mrr@10"] > before["eval_sim_mrr@10"]


def test_cuts_learn_too(tiny_model: mtf.MultiTaskModel) -> None:
    spec = mtf.Similarity("cosent", dims=(48, 16))
    run = mtf.fit(tiny_model.add_head("sim", spec), task_of("cosent"), epochs=1, **SETTINGS)
    assert np.isfinite(run.metrics["train_loss"])


@pytest.mark.parametrize("frozen", ["backbone[:2]", "backbone.embeddings", "sim"])
def test_freezing_holds(two_head_model: mtf.MultiTaskModel, frozen: str) -> None:
    """Frozen weights keep their bits; the task of a frozen head has no loss."""
    model = two_head_model.add_head("sim", mtf.Similarity("multiple_negatives"))
    model.freeze(frozen)
    before = bits(model.parameters())
    run = mtf.fit(model, task_of("multiple_negatives"), epochs=1, **SETTINGS)
    moved = changed(before, model.parameters())
    assert run.frozen.ok
    if frozen == "sim":
        assert not moved and not run.n_steps
        through = {"sim": mtf.Task(train=PAIRS, train_through_frozen=True)}
        assert mtf.fit(model, through, epochs=1, **SETTINGS).n_steps
        assert changed(before, model.parameters())
    else:
        kept = {key for key in model.parameters() if not model.trainable(key)}
        assert moved and not kept & set(moved)


def test_beside_other_heads_in_one_step(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model.add_head("sim", mtf.Similarity("cosent"))
    model.add_head("near", mtf.Similarity("multiple_negatives", features="pooled"))
    tasks = {
        **task_of("cosent"),
        "near": mtf.Task(train=PAIRS),
        "classifier": mtf.Task(train=[(text, i % 2) for i, text in enumerate(SENTENCES)]),
    }
    run = mtf.fit(model, tasks, epochs=1, mixing="joint", **SETTINGS)
    # A head without parameters has nothing to start with.
    first, *_, last = (row for row in run.history if "task" in row)
    assert (first["phase_name"], first["task"]) == ("start", "classifier")
    assert {"sim_loss", "near_loss", "classifier_loss"} <= last.keys()
    alone = [model.gradients({name: tasks[name]}) for name in tasks]
    together = model.gradients(tasks)
    for key, value in together.items():
        parts = [one[key] for one in alone if key in one]
        np.testing.assert_allclose(value, sum(parts), rtol=1e-3, atol=1e-5, err_msg=key)


# ---- judging and answering -----------------------------------------------------------------------


def cosines(model: mtf.MultiTaskModel, rows: Any) -> Any:
    """Return the cosines of pairs by `encode`."""
    first, second = (model.encode([row[i] for row in rows]).astype(np.float64) for i in (0, 1))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / lengths


def test_predict_gives_the_cosines_of_pairs(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model.add_head("sim", mtf.Similarity("multiple_negatives"))
    found = model.predict("sim", PAIRS)
    assert found.shape == (len(PAIRS),) and found.dtype == np.float32
    np.testing.assert_allclose(found, cosines(model, PAIRS), atol=2e-7)
    np.testing.assert_array_equal(model.predict("sim", PAIRS[:3]), found[:3])
    with pytest.raises(ConfigError, match="probabilities"):
        model.predict_proba("sim", PAIRS)


def test_correlations_are_those_of_scipy(tiny_model: mtf.MultiTaskModel) -> None:
    stats = pytest.importorskip("scipy.stats", reason="the reference of correlations")
    model = tiny_model.add_head("sim", mtf.Similarity("cosent"))
    found = mtf.evaluate(model, task_of("cosent"))
    given, gold = cosines(model, SCORED), [row[2] for row in SCORED]
    assert found["eval_sim_pearson_cosine"] == pytest.approx(stats.pearsonr(gold, given)[0], 1e-5)
    assert found["eval_sim_spearman_cosine"] == pytest.approx(stats.spearmanr(gold, given)[0])


def test_the_loss_is_the_mean_over_batches_in_order(tiny_model: mtf.MultiTaskModel) -> None:
    """Whatever passes are cut: of long texts first, of few tokens, by a run or alone."""
    model = tiny_model.add_head("sim", mtf.Similarity("multiple_negatives"))
    batches = [PAIRS[i : i + 3] for i in range(0, len(PAIRS), 3)]
    each = [mtf.evaluate(model, {"sim": mtf.Task(eval=rows)})["eval_sim_loss"] for rows in batches]
    whole = mtf.evaluate(model, task_of("multiple_negatives"), batch_size=3)["eval_sim_loss"]
    assert whole == pytest.approx(np.mean(each), rel=1e-12)
    assert whole != mtf.evaluate(model, task_of("multiple_negatives"))["eval_sim_loss"]


def test_a_folder_keeps_it(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    spec = mtf.Similarity("multiple_negatives", dims=(48, 8), weights=(1, 0.5), scale=10.0)
    assert spec_from_dict(spec.to_dict(), "here") == spec
    model = tiny_model.add_head("sim", spec).freeze("sim")
    model.save_pretrained(tmp_path / "saved")
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "saved")
    assert again.heads["sim"].spec == spec and again.heads["sim"].frozen
    np.testing.assert_array_equal(again.predict("sim", PAIRS), model.predict("sim", PAIRS))
    np.testing.assert_array_equal(model.copy().predict("sim", PAIRS), model.predict("sim", PAIRS))


def test_a_comparison_takes_it(tiny_model: mtf.MultiTaskModel) -> None:
    model = tiny_model.add_head("sim", mtf.Similarity("multiple_negatives"))
    tasks, modes = task_of("multiple_negatives"), ["backbone[:2]", "none"]
    found = mtf.compare(model, tasks, modes=modes, seeds=1, epochs=1, **SETTINGS)
    assert "MRR@10" in str(found.table())
    assert mtf.estimate(model, task_of("multiple_negatives"), epochs=1, **SETTINGS).seconds > 0


# ---- what is refused -----------------------------------------------------------------------------

BAD_ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown loss": ({"loss": "cosin"}, "did you mean 'cosine'"),
    "no loss": ({"loss": None}, "loss"),
    "a scale for cosine": ({"scale": 5.0}, "leave scale out"),
    "a margin for cosent": ({"loss": "cosent", "margin": 1.0}, "leave margin out"),
    "a scale of 0": ({"loss": "cosent", "scale": 0}, "above 0"),
    "directions for cosine": ({"directions": ("query_to_doc", "doc_to_query")}, "leave them out"),
    "no first direction": (
        {"loss": "multiple_negatives", "directions": ("doc_to_query",)}, "must hold 'query_to_doc'"
    ),
    "an unknown direction": (
        {"loss": "multiple_negatives", "directions": ("query_to_docs",)}, "did you mean"
    ),
    "parts without the positive": (
        {
            "loss": "multiple_negatives",
            "directions": ("query_to_doc", "doc_to_doc"),
            "partition": "per_direction",
        },
        "use 'joint'",
    ),
    "the same width twice": ({"dims": (8, 8)}, "different widths"),
    "no width": ({"dims": ()}, "different widths"),
    "a width of 0": ({"dims": (0,)}, "at least 1"),
    "weights without widths": ({"weights": (1.0,)}, "one for each of dims"),
    "other features": ({"features": "hidden"}, "features"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_arguments_that_cannot_be_used(case: str) -> None:
    arguments, message = BAD_ARGUMENTS[case]
    with pytest.raises((ConfigError, TypeError), match=message):
        mtf.Similarity(**arguments)


BAD_ROWS: dict[str, tuple[str, list[Any], str]] = {
    "a score above 1 for cosine": ("cosine", [("a", "b", 4.5)], "divide the scores.*by 5"),
    "a score below -1 for cosine": ("cosine", [("a", "b", -3)], "from -1 to 1; found -3"),
    "no score for cosine": ("cosine", [("a", "b", None)], "no score; add it"),
    "a pair for cosent": ("cosent", [("a", "b")], "expected two texts and a"),
    "one text": ("cosent", [("a", 0.5)], "found one text"),
    "a word for a score": ("cosent", [("a", "b", "alike")], "found 'alike' behind the texts"),
    "a third kind for contrastive": ("contrastive", [("a", "b", 2)], "from 0 to 1; found 2"),
    "half alike": ("online_contrastive", [("a", "b", 0.5)], "alike \\(1\\) or not \\(0\\)"),
    "a score for negatives": ("multiple_negatives", [("a", "b", 0)], "leave the score out"),
    "a pair for triplet": ("triplet", [("a", "b", "c"), ("a", "b")], "one kind|texts"),
    "no margin": ("margin_mse", [("a", "b", "c")], "no score; add it"),
    "margins of others": ("margin_mse", [("a", "b", "c", [0.1, 0.2])], "behind the texts"),
    "a pair for margin_mse": ("margin_mse", [("a", "b", 0.1)], "found 2 texts"),
    "an empty text": ("multiple_negatives", [("a", "  ")], "text 2 is empty"),
    "rows of several sizes": (
        "multiple_negatives", [("a", "b", "c"), ("a", "b", "c", "d")], "equally many texts"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS)
def test_rows_that_cannot_be_learned_from(tiny_model: mtf.MultiTaskModel, case: str) -> None:
    loss, rows, message = BAD_ROWS[case]
    model = tiny_model.add_head("sim", mtf.Similarity(loss))
    before = bits(model.parameters())
    with pytest.raises(DataError, match=message):
        mtf.fit(model, {"sim": mtf.Task(train=rows)}, epochs=1, **SETTINGS)
    assert not changed(before, model.parameters())


TOO_FEW: dict[str, tuple[str, list[Any], str]] = {
    "one row of negatives": ("multiple_negatives", [("a", "b")], "found one row"),
    "one score only": ("cosent", [("a", "b", 1), ("b", "c", 1)], "nothing to tell apart"),
    "one label only": ("triplet", [("a", "x"), ("b", "x")], "nothing to tell apart"),
}  # fmt: skip


@pytest.mark.parametrize("case", TOO_FEW)
def test_rows_in_which_there_is_nothing_to_compare(
    tiny_model: mtf.MultiTaskModel, case: str
) -> None:
    loss, rows, message = TOO_FEW[case]
    model = tiny_model.add_head("sim", mtf.Similarity(loss))
    tasks = {"sim": mtf.Task(train=rows, eval=rows)}
    with pytest.raises(DataError, match=message):
        mtf.compare(model, tasks, modes=["none"], epochs=1, **SETTINGS)


@pytest.mark.parametrize("rows", [["a"], [("a",)], [("a", "b", "c")], [("a", "b"), "c"]])
def test_questions_that_are_no_pairs(tiny_model: mtf.MultiTaskModel, rows: list[Any]) -> None:
    model = tiny_model.add_head("sim", mtf.Similarity("cosine"))
    with pytest.raises((DataError, TypeError), match="text"):
        model.predict("sim", rows)


def test_a_width_above_the_models_is_refused(tiny_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(ConfigError, match=r"dims.*64.*48"):
        tiny_model.add_head("sim", mtf.Similarity("cosine", dims=(64, 48)))


class _Stop(mtf.Callback):
    """Ends a run after three steps."""

    def on_step_end(self, context: Any) -> None:
        """Raise at the third."""
        if context.step == 3:
            raise RuntimeError("the power went")


def test_a_run_that_was_interrupted_goes_on_to_the_same_bits(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    model = tiny_model.add_head("sim", mtf.Similarity("multiple_negatives", dims=(48, 8)))
    whole, parts, tasks = model.copy(), model.copy(), task_of("multiple_negatives")
    options: dict[str, Any] = {"epochs": 2, "save_every": 1, **SETTINGS}
    mtf.fit(whole, tasks, output_dir=tmp_path / "whole", **options)
    with pytest.raises(RuntimeError, match="the power went"):
        mtf.fit(parts, tasks, output_dir=tmp_path / "parts", callbacks=[_Stop()], **options)
    again = model.copy()
    mtf.fit(again, tasks, output_dir=tmp_path / "parts", resume=True, **options)
    assert bits(again.parameters()) == bits(whole.parameters())
