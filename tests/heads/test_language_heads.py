# SPDX-License-Identifier: Apache-2.0
"""Language heads: guesses, figures, ties, freezing, joint steps, resuming, saving, refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.heads.guesses import GUESSES, surprises
from mtfreeze.heads.registry import spec_from_dict
from mtfreeze.inputs.head_spaces import PICKED, POSITIONS
from mtfreeze.inputs.packing import IDS
from mtfreeze.steps.by_hand import make_batch
from support.families import load_family, write_family
from support.texts import SENTENCES


def bits(values: Any) -> bytes:
    """Return what an array holds."""
    return np.ascontiguousarray(values).tobytes()


TABLE = "backbone.embeddings.word_embeddings.weight"
TEXTS = mtf.Examples.from_texts(list(SENTENCES))
SETTINGS: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-3, "progress": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_family(tmp_path_factory.mktemp("language") / "bert", "bert")


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_family(tmp_path_factory.mktemp("language") / "gpt2", "gpt2")


@pytest.fixture()
def masked(folder: Path) -> mtf.MultiTaskModel:
    return load_family(folder).add_head("mlm", mtf.MaskedLM(probability=0.4))


@pytest.fixture()
def causal(decoder: Path) -> mtf.MultiTaskModel:
    return load_family(decoder).add_head("lm", mtf.CausalLM())


def task(**more: Any) -> mtf.Task:
    return mtf.Task(train=TEXTS, **more)


# ---- figures -------------------------------------------------------------------------------------


def test_figures_by_hand() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]], np.float32))
    found, right = surprises(logits, np.array([1, 1, -100], np.int32))
    np.testing.assert_allclose(found, [np.log(4), -np.log(0.8), 0], rtol=1e-6)
    assert right.tolist() == [False, True, False]
    rows = np.array([[np.log(4), 1, 0], [-np.log(0.8), 1, 1], [0, 0, 0]])
    figures = GUESSES.figures(rows)
    assert figures == {"accuracy": 0.5, "perplexity": pytest.approx((4 / 0.8) ** 0.5)}
    assert GUESSES.figures(np.zeros((0, 3))) == {"accuracy": 0.0, "perplexity": 0.0}
    assert GUESSES.figures(np.array([[1e9, 1, 0]]))["perplexity"] == np.inf


def test_surprises_of_many_rows_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (300, 11)).astype(np.float32)
    labels = rng.integers(0, 11, 300).astype(np.int32)
    labels[::7] = -100
    found, right = surprises(logits, labels)
    for at in range(300):
        one, hit = surprises(logits[at : at + 1], labels[at : at + 1])
        assert (one[0], hit[0]) == (found[at], right[at])


def test_perplexity_is_exp_of_the_loss(masked: mtf.MultiTaskModel) -> None:
    found = mtf.evaluate(masked, {"mlm": mtf.Task(eval=TEXTS)})
    assert found["eval_mlm_perplexity"] == pytest.approx(np.exp(found["eval_mlm_loss"]))
    assert found == mtf.evaluate(masked, {"mlm": mtf.Task(eval=TEXTS)}, cache=False)


# ---- batches -------------------------------------------------------------------------------------


def test_masks_are_drawn_anew_for_every_epoch(masked: mtf.MultiTaskModel) -> None:
    first, again, later, other = (
        make_batch(masked, {"mlm": task()}, seed, epoch).batch
        for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    for batch in (first, again, later, other):
        assert len(batch.inputs[POSITIONS]) == batch.offsets[PICKED][-1]
    assert bits(first.inputs[IDS]) == bits(again.inputs[IDS])
    assert bits(first.inputs[IDS]) != bits(later.inputs[IDS])
    assert bits(first.inputs[IDS]) != bits(other.inputs[IDS])


def test_a_text_that_is_too_long_becomes_several(folder: Path) -> None:
    model = load_family(folder, heads=False).add_head("mlm", mtf.MaskedLM(block=6))
    words = ["good", "food", "bad", "service"] * 20
    encoded = model.encoder.encode_examples(
        mtf.Examples.from_texts([" ".join(words), "good"]), model.heads["mlm"].spec.encoding
    )
    assert encoded.n_rows == 2 and len(encoded) == 21 and encoded.n_truncated == 0
    assert encoded.lengths.max() == 6
    inner = np.concatenate([encoded[s][1:-1] for s in encoded.sequences_of([0])])
    whole = model.encoder.encode_words([words[:30]])[0][1:-1]
    assert inner[:30].tolist() == whole.tolist() and len(inner) == 80
    assert model.max_length > 6  # of others


def test_joint_steps_leave_other_tasks_their_texts(masked: mtf.MultiTaskModel) -> None:
    """The losses of a shared step are those of each task alone: nothing masks their texts."""
    labelled = mtf.Examples.from_rows([(text, "positive") for text in SENTENCES])
    tasks = {"classifier": mtf.Task(train=labelled), "mlm": mtf.Task(train=labelled)}
    together = make_batch(masked, tasks)
    assert [one.head for one in together.losses] == ["classifier", "mlm"]
    assert together.batch.n_sequences == 2 * len(SENTENCES)
    found = masked.gradients(tasks)
    alone = [masked.gradients({name: one}) for name, one in tasks.items()]
    for key in found:
        total = sum(one[key].astype(np.float64) for one in alone if key in one)
        np.testing.assert_allclose(found[key], total, atol=1e-5, err_msg=key)


def test_one_head_after_the_other_counts_micro_batches_alike(masked: mtf.MultiTaskModel) -> None:
    whole = masked.gradients({"mlm": task()})
    cut = masked.gradients({"mlm": task()}, token_budget=8)
    for key, values in whole.items():
        np.testing.assert_allclose(cut[key], values, atol=1e-6, err_msg=key)


# ---- ties and freezing ---------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["backbone", "mlm.weight", TABLE])
def test_a_tied_table_freezes_by_either_name(masked: mtf.MultiTaskModel, what: str) -> None:
    masked.freeze(what)
    before = bits(masked.parameters()[TABLE])
    run = mtf.fit(masked, {"mlm": task()}, epochs=2, **SETTINGS)
    assert bits(masked.parameters()[TABLE]) == before
    run.verify_frozen()
    assert masked.heads["mlm"].trained


def test_a_frozen_head_leaves_the_table_to_the_backbone(masked: mtf.MultiTaskModel) -> None:
    masked.mark_trained(["mlm"])
    masked.freeze("mlm")
    assert masked.trainable("backbone.embeddings") is True
    found = masked.gradients({"mlm": task(train_through_frozen=True)})
    assert TABLE in found and not any(key.startswith("mlm.") for key in found)
    assert np.abs(found[TABLE]).min(axis=1).max() > 0


def test_an_own_decoder_is_the_heads(folder: Path) -> None:
    model = load_family(folder, heads=False).add_head("mlm", mtf.MaskedLM(tied=False))
    assert model.parameters()["mlm.weight"].shape == model.parameters()[TABLE].shape
    model.mark_trained(["mlm"])
    model.freeze("mlm")
    assert model.trainable("backbone.embeddings") is True


def test_a_tied_table_trains_densely_and_other_steps_by_rows(folder: Path) -> None:
    """A step of the language head moves rows that no text has; a later step of another decays."""
    model = load_family(folder).add_head("mlm", mtf.MaskedLM())
    used = np.unique(np.concatenate(list(model.encoder.encode_texts(list(SENTENCES)))))
    unused = np.setdiff1d(np.arange(len(model.parameters()[TABLE])), used)
    before = model.parameters()[TABLE].copy()
    model.step({"mlm": task()}, learning_rate=1e-3, weight_decay=0.0)
    assert (model.parameters()[TABLE][unused] != before[unused]).any(axis=1).all()


# ---- runs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", ["none", "backbone", "backbone[:2]"])
def test_cached_is_uncached(folder: Path, frozen: str) -> None:
    def run(cache: Any) -> tuple[bytes, dict[str, float]]:
        model = load_family(folder).add_head("mlm", mtf.MaskedLM())
        if frozen != "none":
            model.freeze(frozen)
        labelled = mtf.Examples.from_rows([(t, "positive") for t in SENTENCES[:4]])
        tasks = {"mlm": task(eval=TEXTS), "classifier": mtf.Task(train=labelled)}
        found = mtf.fit(model, tasks, epochs=2, cache=cache, **SETTINGS)
        values = b"".join(bits(one) for one in model.parameters().values())
        kept = {k: v for k, v in found.metrics.items() if k.startswith("eval")}
        return values, kept

    assert run(False) == run("memory")


def test_a_run_taken_up_again_has_the_same_bits(folder: Path, tmp_path: Path) -> None:
    def fit(where: str, **more: Any) -> mtf.MultiTaskModel:
        model = load_family(folder, heads=False).add_head("mlm", mtf.MaskedLM(probability=0.4))
        settings = {**SETTINGS, "start": "cold", **more}
        mtf.fit(model, {"mlm": task()}, epochs=3, output_dir=tmp_path / where, **settings)
        return model

    whole = fit("whole", save_every=1, keep_checkpoints=100)
    saved = sorted((tmp_path / "whole" / "checkpoints").iterdir())
    assert len(saved) == 9
    for at in (1, 5):
        again = fit(f"again-{at}", save_every=1000, resume=saved[at])
        for key, values in whole.parameters().items():
            assert bits(again.parameters()[key]) == bits(values), key


def test_saved_and_loaded(masked: mtf.MultiTaskModel, tmp_path: Path) -> None:
    mtf.fit(masked, {"mlm": task()}, epochs=1, **SETTINGS)
    masked.save_pretrained(tmp_path / "out")
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "out")
    assert again.heads["mlm"].spec == masked.heads["mlm"].spec
    assert again.heads["mlm"].trained
    asked = ["the [MASK] was [MASK]", "good", ""]
    assert again.predict("mlm", asked) == masked.predict("mlm", asked)
    spec = masked.heads["mlm"].spec
    assert spec_from_dict(spec.to_dict(), "here") == spec


# ---- predictions ---------------------------------------------------------------------------------


def test_fillings(masked: mtf.MultiTaskModel) -> None:
    found = masked.predict("mlm", ["the [MASK] was [MASK]", "no place", "[MASK]"])
    assert [len(one) for one in found] == [2, 0, 1]
    for guesses in (*found[0], *found[2]):
        shares = [one["probability"] for one in guesses]
        assert len(guesses) == 5 and shares == sorted(shares, reverse=True) and sum(shares) <= 1
        assert all(isinstance(one["token"], str) for one in guesses)
    together = masked.predict_all(["the [MASK] was"])
    assert set(together) == {"classifier", "ner_head", "mlm"}
    assert together["mlm"] == masked.predict("mlm", ["the [MASK] was"])


def test_next_tokens(causal: mtf.MultiTaskModel) -> None:
    found = causal.predict("lm", ["good food", "bad"])
    assert [len(one) for one in found] == [5, 5]
    assert set(found[0][0]) == {"token", "probability"}
    run = mtf.fit(causal, {"lm": task(eval=TEXTS)}, epochs=8, **{**SETTINGS, "learning_rate": 1e-2})
    start = mtf.evaluate(load_again(causal), {"lm": mtf.Task(eval=TEXTS)})
    assert run.metrics["eval_lm_perplexity"] < start["eval_lm_perplexity"]


def load_again(model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Return the model as it was before it trained."""
    return load_family(Path(model.name)).add_head("lm", mtf.CausalLM())


# ---- refusals ------------------------------------------------------------------------------------

DESCRIPTIONS: list[tuple[Callable[[], Any], str]] = [
    (lambda: mtf.MaskedLM(labels=["a", "b"]), "leave labels out"),
    (lambda: mtf.MaskedLM(probability=0), "above 0 and below 1; found 0"),
    (lambda: mtf.MaskedLM(probability=1.0), "above 0 and below 1; found 1"),
    (lambda: mtf.MaskedLM(probability="0.1"), "must be a number; found"),
    (lambda: mtf.MaskedLM(probability=float("nan")), "above 0 and below 1|must be a number"),
    (lambda: mtf.MaskedLM(whole_words="yes"), "whole_words must be True or False"),
    (lambda: mtf.MaskedLM(tied=1.5), "tied must be True or False"),
    (lambda: mtf.CausalLM(block=1), "block must be"),
    (lambda: mtf.CausalLM(block="long"), "block must be"),
    (lambda: mtf.CausalLM(n_words=-1), "n_words must be"),
]


@pytest.mark.parametrize(("make", "message"), DESCRIPTIONS)
def test_bad_descriptions(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((mtf.ConfigError, TypeError), match=message):
        make()


def test_heads_over_the_wrong_models(folder: Path, decoder: Path) -> None:
    bert, gpt2 = load_family(folder, heads=False), load_family(decoder, heads=False)
    with pytest.raises(mtf.ConfigError, match=r"would copy the answer; use mtf.MaskedLM"):
        bert.add_head("lm", mtf.CausalLM())
    with pytest.raises(mtf.ConfigError, match=r"guesses from both sides; found .*'gpt2'"):
        gpt2.add_head("mlm", mtf.MaskedLM())
    with pytest.raises(mtf.ConfigError, match=r"table of words, \(\d+, 48\); found \d+ outputs of"):
        bert.add_head("mlm", mtf.MaskedLM(hidden=(12,)))
    with pytest.raises(mtf.ConfigError, match=r"expected n_words=.*found 7; leave n_words out"):
        bert.add_head("mlm", mtf.MaskedLM(n_words=7))
    assert not bert.heads and not gpt2.heads


def test_rows_that_are_no_texts(masked: mtf.MultiTaskModel) -> None:
    for rows, message in (
        ([(["good", "food"], ["O", "O"])], "reads texts; found words; join them"),
        ([("one", "two", "positive")], "reads texts; found several texts"),
    ):
        with pytest.raises(mtf.DataError, match=message):
            masked.step({"mlm": rows}, learning_rate=1e-3)
    with pytest.raises(TypeError, match="row 1 of data"):
        mtf.Examples.from_texts(["good", None])  # type: ignore[list-item]


def test_blocks_that_do_not_fit(folder: Path) -> None:
    for block, found in ((2, "block=2"), (5000, "block=5000")):
        model = load_family(folder, heads=False).add_head("mlm", mtf.MaskedLM(block=block))
        with pytest.raises(mtf.ConfigError, match=f"expected blocks of more than 2.*{found}"):
            model.step({"mlm": TEXTS}, learning_rate=1e-3)


def test_probabilities_are_of_labels(masked: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.ConfigError, match="found 'mlm', a masked_lm head"):
        masked.predict_proba("mlm", ["the [MASK]"])


def test_a_whole_folder_is_needed(masked: mtf.MultiTaskModel, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    masked.save_pretrained(tmp_path / "out", head="mlm")
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    tensors.pop("cls.predictions.bias")
    save_file(tensors, tmp_path / "out" / "model.safetensors")
    with pytest.raises(mtf.CheckpointError, match=r"expected tensor 'cls.predictions.bias'"):
        masked.add_head("again", from_pretrained=tmp_path / "out")


def test_a_head_of_another_form_is_no_class_of_transformers(folder: Path, tmp_path: Path) -> None:
    model = load_family(folder, heads=False)
    model.add_head("mlm", mtf.MaskedLM(hidden=(48,), activation="relu"))
    with pytest.raises(mtf.ConfigError, match="is not what BertForMaskedLM computes"):
        model.save_pretrained(tmp_path / "out", head="mlm")


def test_costs_and_estimates_count_the_head(masked: mtf.MultiTaskModel) -> None:
    tasks = {"mlm": task()}
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 4, "start": "cold"}
    expected = mtf.estimate(masked, tasks, progress=False, **settings).phases[0]
    (cost,) = mtf.fit(masked, tasks, progress=False, **settings).costs
    assert expected.forward_flops == pytest.approx(cost.forward_flops, rel=0.015)
    batch = make_batch(masked, tasks).batch
    plans = [
        masked._core.plan(["mlm"], training=True, offsets=offsets).forward_flops
        for offsets in ({"tokens": batch.offsets["tokens"]}, batch.offsets)
    ]
    assert plans[1] > 1.03 * plans[0]
    assert cost.forward_flops == pytest.approx(2 * plans[1], rel=0.015)
