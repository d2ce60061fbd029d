# SPDX-License-Identifier: Apache-2.0
"""The law of freezing and the meaning of a step, as whole training runs show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from support.bits import bits, changed
from support.core_spy import CoreSpy
from support.small_tasks import ROWS, quick_fit, two_tasks
from support.texts import LABELS, SENTENCES, TAGGED, TAGS
from support.tiny_bert import write_tiny_bert

pytestmark = [pytest.mark.laws, pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")]

MODES = [
    "all",
    "backbone",
    "classifier",
    "ner_head",
    "heads",
    "backbone[:2]",
    "embeddings",
    "layers[1]",
    "*.bias",
    "re:attention|classifier",
    "none",
]


def still_model(folder: Path, dropout: float = 0.1) -> mtf.MultiTaskModel:
    """Return the tiny BERT with two heads and no dropout in its backbone."""
    write_tiny_bert(folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head(
        "classifier", mtf.SequenceClassification(["negative", "positive"], dropout=dropout)
    )
    return model.add_head("ner_head", mtf.TokenClassification(TAGS, dropout=dropout))


@pytest.mark.parametrize("mode", MODES)
def test_frozen_bits_never_move(two_head_model: mtf.MultiTaskModel, mode: str) -> None:
    """1,000 steps with weight decay and clipping: every frozen tensor keeps its bits."""
    model = two_head_model.freeze(mode)
    before = bits(model.parameters())
    frozen = {key for key in before if model.trainable(key) is False}
    short = [(words[:3], tags[:3]) for words, tags in TAGGED[:2]]
    tasks = {
        "classifier": mtf.Task(train=ROWS[:2], train_through_frozen=True),
        "ner_head": mtf.Task(train=short, train_through_frozen=True),
    }
    run = quick_fit(
        model,
        tasks,
        epochs=1000 if mode != "all" else 1,
        batch_size=4,
        mixing="joint",
        weight_decay={"all": 0.3, "*.bias": 0.3},
        max_grad_norm=0.05,
        lr_schedule="constant",
        warmup_ratio=0.0,
    )
    moved = set(changed(before, model.parameters()))
    assert moved & frozen == set()
    assert run.frozen.ok
    if mode != "all":
        assert run.n_steps == 1000
        assert moved == set(before) - frozen
        assert {row["clip"] < 1 for row in run.history if "clip" in row} >= {True}


def test_frozen_bits_survive_saving_and_another_run(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    two_head_model.freeze("backbone[:2]")
    before = bits(two_head_model.parameters())
    quick_fit(two_head_model, output_dir=tmp_path / "out")
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "out")
    assert again.freeze_state() == two_head_model.freeze_state()
    run = quick_fit(again)
    frozen = [key for key in before if not again.trainable(key)]
    assert frozen
    assert not set(changed(before, again.parameters())) & set(frozen)
    assert run.frozen.ok


def test_frozen_have_no_state_and_no_share_in_the_norm(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each update: gradients only of what trains, and the norm is theirs alone."""
    norms = []

    class Spy(CoreSpy):
        def train_apply(self, *arguments: Any, **named: Any) -> Any:
            params = self.core.params()
            found = [self.core.gradient(index) for index in range(len(params))]
            total = 0.0
            for param, gradient in zip(params, found, strict=True):
                assert not (param.frozen and gradient is not None), param.key
                if gradient is not None:
                    total += float((gradient.astype(np.float64) ** 2).sum())
            result = self.core.train_apply(*arguments, **named)
            norms.append((result.grad_norm, total**0.5))
            for index, param in enumerate(params):
                assert not (param.frozen and self.core.state(index) is not None), param.key
            return result

    model = two_head_model.freeze("backbone[:2]", "*.bias")
    monkeypatch.setattr(model, "_core", Spy(model._core))
    quick_fit(model)
    assert len(norms) == 10
    for reported, summed in norms:
        assert reported == pytest.approx(summed, rel=1e-5)


def test_the_other_tasks_head_is_not_stepped(two_head_model: mtf.MultiTaskModel) -> None:
    """A task alone: the other head trains in name, but no decay and no moments touch it."""
    before = bits(two_head_model.parameters())
    quick_fit(
        two_head_model, {"classifier": mtf.Task(train=ROWS)}, weight_decay=0.5, warmup_ratio=0.0
    )
    moved = changed(before, two_head_model.parameters())
    assert "classifier.weight" in moved
    assert not {"ner_head.weight", "ner_head.bias"} & set(moved)


def test_step_counts_are_per_tensor(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a proportional run each head's bias correction counts its own task's steps."""
    from mtfreeze.training import trainer

    counts: dict[str, int] = {}
    real = trainer.run_step

    def spy(model: Any, *rest: Any) -> dict[str, Any]:
        figures = real(model, *rest)
        counts.update({param.key: param.n_steps for param in model._core.params()})
        return figures

    monkeypatch.setattr(trainer, "run_step", spy)
    quick_fit(two_head_model)  # 2 epochs of 3 and 2 batches
    assert counts["classifier.weight"] == 6
    assert counts["ner_head.weight"] == 4
    assert counts["backbone.encoder.layer.0.output.dense.weight"] == 10


def test_unused_tensors_are_saved_back_unchanged(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    unused = {name: raw.data for name, raw in two_head_model.unused.items()}
    assert "pooler.dense.weight" in unused
    quick_fit(two_head_model, output_dir=tmp_path / "out", weight_decay=0.5)
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "out")
    assert {name: raw.data for name, raw in again.unused.items()} == unused


def test_loss_of_a_frozen_head_trains_nothing(two_head_model: mtf.MultiTaskModel) -> None:
    """With the classifier frozen, the run equals one without its task at all."""
    quick_fit(two_head_model, epochs=1)
    alone = two_head_model.freeze("classifier").copy()
    quick_fit(two_head_model)
    quick_fit(alone, {"ner_head": two_tasks()["ner_head"]})
    assert changed(bits(alone.parameters()), two_head_model.parameters()) == []


def test_train_through_frozen_moves_the_backbone_only(two_head_model: mtf.MultiTaskModel) -> None:
    quick_fit(two_head_model, epochs=1)
    two_head_model.freeze("classifier")
    before = bits(two_head_model.parameters())
    task = mtf.Task(train=ROWS, eval=ROWS, train_through_frozen=True)
    run = quick_fit(two_head_model, {"classifier": task}, epochs=8, learning_rate=3e-3)
    moved = set(changed(before, two_head_model.parameters()))
    assert not {"classifier.weight", "classifier.bias"} & moved
    assert "backbone.encoder.layer.0.output.dense.weight" in moved
    assert "classifier: frozen; its loss trains the backbone through it" in run.notes
    assert np.mean(run.losses()[-5:]) < np.mean(run.losses()[:5])


def test_same_seed_same_bits_at_one_and_two_threads(two_head_model: mtf.MultiTaskModel) -> None:
    """Order, dropout, sums: nothing depends on how many threads work."""
    threads = mtf.get_threads()
    found = []
    try:
        for n in (1, 2, 2):
            mtf.set_threads(n)
            model = two_head_model.copy()
            run = quick_fit(model, mixing="joint", token_budget=24, seed=3)
            found.append((bits(model.parameters()), run.losses()))
    finally:
        mtf.set_threads(threads)
    assert found[0] == found[1] == found[2]


def test_another_seed_gives_other_bits(two_head_model: mtf.MultiTaskModel) -> None:
    models = [two_head_model.copy() for _ in range(2)]
    for seed, model in enumerate(models):
        quick_fit(model, seed=seed)
    assert changed(bits(models[0].parameters()), models[1].parameters())


def test_dropout_is_the_same_in_every_freeze_mode(tmp_path: Path) -> None:
    """First losses of a joint run, bit for bit: only the heads drop out, whatever trains below."""
    model = still_model(tmp_path / "still", dropout=0.5)
    first = {}
    for mode in ("none", "backbone", "backbone[:1]", "backbone[:3]", "layers[1]", "*.bias"):
        twin = model.copy().freeze(mode)
        first[mode] = quick_fit(twin, mixing="joint", epochs=1).losses()[0]
    assert len(set(first.values())) == 1, first
    off = quick_fit(still_model(tmp_path / "off", dropout=0.0), mixing="joint", epochs=1).losses()[
        0
    ]
    assert off != first["none"]


def test_dropout_of_a_layer_does_not_depend_on_what_else_trains(tmp_path: Path) -> None:
    write_tiny_bert(tmp_path / "m")
    model = mtf.MultiTaskModel.from_pretrained(tmp_path / "m")
    for name in ("classifier", "other"):
        spec = mtf.SequenceClassification(["negative", "positive"], dropout=0.0)
        model.add_head(name, spec)
    task = {"classifier": mtf.Task(train=ROWS, train_through_frozen=True)}
    losses = []
    for also in ([], ["other"], ["classifier"], ["re:layer.2.*bias"]):
        twin = model.copy().freeze("backbone[:2]", *also)
        losses.append(quick_fit(twin, task, epochs=1).losses()[0])
    assert len(set(losses)) == 1, losses
    assert quick_fit(model.copy().freeze("backbone"), task, epochs=1).losses()[0] != losses[0]


def test_dropout_does_not_depend_on_packing(tmp_path: Path) -> None:
    """Micro-batches of one sequence drop out what one big batch drops out."""
    model = still_model(tmp_path / "still", dropout=0.5)
    losses = [
        quick_fit(model.copy(), mixing="joint", epochs=1, token_budget=budget).losses()[0]
        for budget in (1, 30, 4096)
    ]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


@pytest.mark.parametrize("budget", [1, 17, 40])
def test_micro_batches_add_up_to_the_step(two_head_model: mtf.MultiTaskModel, budget: int) -> None:
    """The mean is over the labelled words of the whole step, not of each micro-batch."""
    batch = {"classifier": ROWS[:5], "ner_head": TAGGED}
    whole = two_head_model.gradients(batch, dropout=True, seed=1)
    parts = two_head_model.gradients(batch, dropout=True, seed=1, token_budget=budget)
    assert whole.keys() == parts.keys()
    largest = max(float(np.linalg.norm(value)) for value in whole.values())
    for key, value in whole.items():
        difference = float(np.linalg.norm(value - parts[key]))
        assert difference <= 1e-5 * max(float(np.linalg.norm(value)), 1e-3 * largest), key


def test_a_step_is_clipped_adamw(tmp_path: Path) -> None:
    """Three steps of fit against AdamW in double precision from the gradients of each step."""
    model = still_model(tmp_path / "still", dropout=0.0)
    rate, decay, limit, betas, eps = 1e-2, 0.1, 0.2, (0.8, 0.95), 1e-8
    batch = {"classifier": ROWS, "ner_head": TAGGED}
    twin = model.copy()
    decays = {param.key: param.decays for param in model._core.params()}
    weights = {key: value.astype(np.float64) for key, value in twin.parameters().items()}
    moments = {key: (np.zeros_like(v), np.zeros_like(v)) for key, v in weights.items()}
    for number in range(1, 4):
        for key, value in weights.items():
            twin.set_parameter(key, value)
        gradients = {k: g.astype(np.float64) for k, g in twin.gradients(batch).items()}
        norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
        for key, gradient in gradients.items():
            clipped = gradient * min(1.0, limit / norm)
            first = betas[0] * moments[key][0] + (1 - betas[0]) * clipped
            second = betas[1] * moments[key][1] + (1 - betas[1]) * clipped**2
            moments[key] = (first, second)
            weights[key] = weights[key] * (1 - rate * decay * decays[key])
            corrected = np.sqrt(second / (1 - betas[1] ** number)) + eps
            weights[key] -= rate * (first / (1 - betas[0] ** number)) / corrected
    run = quick_fit(
        model,
        {name: mtf.Task(train=rows) for name, rows in batch.items()},
        epochs=3,
        batch_size=10,
        mixing="joint",
        learning_rate=rate,
        weight_decay=decay,
        max_grad_norm=limit,
        betas=betas,
        eps=eps,
        lr_schedule="constant",
        warmup_ratio=0.0,
    )
    # The shorter task starts over; with 5 rows in batches of 10 a batch is all of its rows.
    assert run.n_steps == 3
    found = model.parameters()
    for key in (
        "classifier.weight",
        "ner_head.bias",
        "backbone.encoder.layer.2.output.dense.weight",
    ):
        # Rows come in another order, so sums round otherwise; a wrong rule is off by 1e-2.
        assert np.abs(found[key] - weights[key]).max() < 5e-4, key


def test_joint_rows_share_one_pass_and_give_the_same_losses(tmp_path: Path) -> None:
    """Rows with both labels: the losses of separate passes, at the cost of one."""
    model = still_model(tmp_path / "still", dropout=0.0)
    both = [
        {"words": words, "labels": {"classifier": label, "ner_head": tags}}
        for (words, tags), label in zip(TAGGED, LABELS, strict=False)
    ]
    settings: dict[str, Any] = {"mixing": "joint", "epochs": 1, "batch_size": 5}
    shared = quick_fit(
        model.copy(), {n: mtf.Task(train=both) for n in ("classifier", "ner_head")}, **settings
    ).history[0]
    labelled = [(words, label) for (words, _), label in zip(TAGGED, LABELS, strict=False)]
    apart = {
        "classifier": mtf.Task(train=[{"words": w, "label": one} for w, one in labelled]),
        "ner_head": mtf.Task(train=list(reversed(TAGGED))),
    }
    separate = quick_fit(model.copy(), apart, **settings).history[0]
    assert shared["n_sequences"] == 5
    assert separate["n_sequences"] == 10
    for head in ("classifier", "ner_head"):
        assert shared[f"{head}_loss"] == pytest.approx(separate[f"{head}_loss"], rel=1e-5)


def test_a_failed_step_leaves_frozen_and_trainable_alone(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    two_head_model.freeze("backbone[:1]")
    weights = two_head_model.parameters()["classifier.weight"].copy()
    weights[0, 0] = np.inf
    two_head_model.set_parameter("classifier.weight", weights)
    before = bits(two_head_model.parameters())
    with pytest.raises(mtf.TrainingError, match=r"classifier\.weight holds 1 of 96"):
        quick_fit(two_head_model, {"classifier": mtf.Task(train=ROWS)})
    assert changed(before, two_head_model.parameters()) == []
    assert len(two_head_model.predict("ner_head", SENTENCES[:2])) == 2


@pytest.mark.parametrize("rate", [1e38, 3e38])
def test_a_step_whose_update_overflows_is_refused(
    two_head_model: mtf.MultiTaskModel, rate: float
) -> None:
    before = bits(two_head_model.parameters())
    refused = r"the update of \"[a-z_.]+\" is not finite in step 1"
    with pytest.raises(mtf.TrainingError, match=refused):
        quick_fit(
            two_head_model,
            {"classifier": mtf.Task(train=ROWS)},
            epochs=1,
            batch_size=64,
            learning_rate=rate,
            warmup_ratio=0,
        )
    assert changed(before, two_head_model.parameters()) == []
    with pytest.raises(mtf.TrainingError, match=refused):
        two_head_model.step({"classifier": ROWS}, learning_rate=rate)
    assert changed(before, two_head_model.parameters()) == []


def test_a_step_without_epsilon_is_refused(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.ConfigError, match="eps must be a finite number, above 0; found 0"):
        two_head_model.step({"classifier": ROWS}, learning_rate=1e-3, eps=0)
