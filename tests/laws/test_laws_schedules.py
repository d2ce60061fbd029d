# SPDX-License-Identifier: Apache-2.0
"""The law of freezing across the phases of a schedule: bits, moments, step counts, pins."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data.batches import group_tasks, plan_epoch
from mtfreeze.planning.rate_clock import count_warmup_steps, schedule_factor
from support.bits import bits, changed
from support.small_tasks import ROWS, quick_fit, two_tasks
from support.texts import TAGGED, TAGS

FS = mtf.FreezeSchedule

pytestmark = [pytest.mark.laws, pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")]

SCHEDULES = {
    "gradual": FS.gradual(),
    "gradual by two": FS.gradual(per_step=2, layer_decay=2.6),
    "probe_then_tune": FS.probe_then_tune(1, 2),
    "fine_tune": FS.fine_tune(2),
    "up and down": (
        FS()
        .phase(train="heads", epochs=1)
        .phase(train=["heads", "layers[1:]"], steps=4)
        .phase(train=["classifier", "layers[2]"], steps=3)
        .phase(freeze="none", epochs=1)
        .phase(train="*.bias", epochs=1)
    ),
    "one head after the other": (
        FS().phase(train="classifier", epochs=1).phase(train=["ner_head", "layers[2:]"], epochs=2)
    ),
}

Moments = dict[str, tuple[bytes, bytes, int] | None]


def moments(model: mtf.MultiTaskModel) -> Moments:
    found: Moments = {}
    for index, key in enumerate(model.param_keys):
        state = model._core.state(index)
        found[key] = state and (state[0].tobytes(), state[1].tobytes(), state[2])
    return found


class Watcher(mtf.Callback):
    """Notes weights and moments at both ends of every phase, and the steps of each tensor."""

    def __init__(self) -> None:
        self.begins: list[dict[str, bytes]] = []
        self.ends: list[dict[str, bytes]] = []
        self.frozen: list[frozenset[str]] = []
        self.before: list[Moments] = []
        self.after: list[Moments] = []
        self._last: tuple[dict[str, bytes], Moments] | None = None

    def on_freeze_change(self, context: Any) -> None:
        now = bits(context.model.parameters())
        if self._last is not None:
            self.ends.append(self._last[0])
            self.before.append(self._last[1])
            self.after.append(moments(context.model))
        self.begins.append(now)
        self.frozen.append(context.phase.freeze.frozen)
        assert context.model.freeze_state() == context.phase.freeze

    def on_step_end(self, context: Any) -> None:
        self._last = bits(context.model.parameters()), moments(context.model)

    def on_train_end(self, context: Any) -> None:
        self.ends.append(bits(context.model.parameters()))


@pytest.mark.parametrize("mixing", ["proportional", "joint"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_frozen_bits_never_move_in_any_phase(
    two_head_model: mtf.MultiTaskModel, name: str, mixing: str
) -> None:
    watcher = Watcher()
    run = quick_fit(
        two_head_model,
        epochs=None,
        freeze_schedule=SCHEDULES[name],
        callbacks=[watcher],
        mixing=mixing,
        weight_decay={"all": 0.3, "*.bias": 0.3},
        max_grad_norm=0.05,
        lr_schedule="constant",
        warmup_ratio=0.0,
    )
    assert len(run.phases) == len(watcher.begins) == len(watcher.ends) > 1
    for phase, begin, end, frozen in zip(
        run.phases, watcher.begins, watcher.ends, watcher.frozen, strict=True
    ):
        moved = {key for key in begin if begin[key] != end[key]}
        assert not moved & frozen
        assert moved
        assert phase.frozen.ok
        assert phase.frozen.n_frozen == len(frozen) + len(two_head_model.unused)
        assert set(phase.frozen.changed) == moved
    assert run.frozen.ok and run.verify_frozen().ok
    always = frozenset.intersection(*watcher.frozen)
    assert run.frozen.n_frozen == len(always) + len(two_head_model.unused)


@pytest.mark.parametrize("name", SCHEDULES)
def test_moments_follow_the_freeze_state(two_head_model: mtf.MultiTaskModel, name: str) -> None:
    """At a change: dropped where refrozen, none where unfrozen, the same bits everywhere else."""
    watcher = Watcher()
    quick_fit(two_head_model, epochs=None, freeze_schedule=SCHEDULES[name], callbacks=[watcher])
    for number, (before, after) in enumerate(zip(watcher.before, watcher.after, strict=True)):
        was, now = watcher.frozen[number], watcher.frozen[number + 1]
        assert any(state and state[2] for state in before.values())
        for key, state in after.items():
            if key in now:
                assert state is None, key
            elif key in was:
                assert state is None or (state[2] == 0 and not any(state[0] + state[1])), key
            else:
                assert state == before[key], key


def test_step_counts_are_those_of_each_tensor(two_head_model: mtf.MultiTaskModel) -> None:
    """Gradual over 5 epochs of 3 + 2 steps: each layer counts from the epoch it joined."""
    counts: dict[str, int] = {}

    class Counter(mtf.Callback):
        def on_step_end(self, context: Any) -> None:
            counts.update({one.key: one.n_steps for one in context.model._core.params()})

    quick_fit(two_head_model, epochs=None, freeze_schedule=FS.gradual(), callbacks=[Counter()])
    assert counts["classifier.weight"] == 5 * 3
    assert counts["ner_head.weight"] == 5 * 2
    for layer, epochs in ((2, 4), (1, 3), (0, 2)):
        assert counts[f"backbone.encoder.layer.{layer}.output.dense.weight"] == epochs * 5
    assert counts["backbone.embeddings.word_embeddings.weight"] == 5


@pytest.mark.parametrize("mode", ["backbone", "backbone[:2]", "ner_head", "*.bias", "none"])
def test_one_phase_is_the_same_run_bit_for_bit(
    two_head_model: mtf.MultiTaskModel, mode: str
) -> None:
    twin = two_head_model.copy().freeze(mode)
    plain = quick_fit(twin, weight_decay=0.2, seed=4)
    schedule = FS().phase(freeze=mode, epochs=2)
    run = quick_fit(two_head_model, freeze_schedule=schedule, weight_decay=0.2, seed=4)
    assert changed(bits(twin.parameters()), two_head_model.parameters()) == []
    assert run.losses() == plain.losses()
    assert run.frozen == plain.frozen
    names = [name for name in plain.metrics if name.startswith("eval_")]
    assert {name: run.metrics[name] for name in names} == {
        name: plain.metrics[name] for name in names
    }


def test_two_phases_are_the_loop_written_by_hand(two_head_model: mtf.MultiTaskModel) -> None:
    """Heads, then all but the embeddings: the same orders, rates, moments, dropout and bits."""
    twin = two_head_model.copy()
    groups = group_tasks(two_tasks())
    data = {"classifier": ROWS, "ner_head": TAGGED}
    n_warmup = count_warmup_steps(15, 0.1, None)
    number = 0
    for epochs, frozen in (([0], "backbone"), ([1, 2], "embeddings")):
        twin.unfreeze().freeze(frozen)
        for epoch in epochs:
            for (part,) in plan_epoch(groups, 4, "proportional", 7, epoch):
                (task,) = part.tasks
                rows: list[Any] = [data[task][row] for row in part.rows]
                factor = schedule_factor("linear", number, 15, n_warmup)
                rate = {"backbone": 1e-3 * factor, "heads": 2e-3 * factor}
                twin.step({task: rows}, learning_rate=rate, seed=7)
                number += 1
    schedule = FS().phase(freeze="backbone", epochs=1).phase(freeze="embeddings", epochs=2)
    run = quick_fit(
        two_head_model,
        epochs=None,
        freeze_schedule=schedule,
        learning_rate={"backbone": 1e-3, "heads": 2e-3},
        seed=7,
    )
    assert run.n_steps == number == 15
    assert changed(bits(twin.parameters()), two_head_model.parameters()) == []


def test_fine_tune_is_plain_composition(two_head_model: mtf.MultiTaskModel) -> None:
    models = [two_head_model.copy() for _ in range(3)]
    mtf.fine_tune(models[0], two_tasks(), 2, batch_size=4, progress=False)
    by_phases = (
        FS()
        .phase(freeze="backbone", epochs=1, learning_rate={"heads": 1e-2})
        .phase(
            freeze="none",
            epochs=2,
            learning_rate={"backbone": 5e-5, "heads": 1e-3},
            layer_decay=2.6,
        )
    )
    for model, schedule in ((models[1], FS.fine_tune(2)), (models[2], by_phases)):
        mtf.fit(model, two_tasks(), freeze_schedule=schedule, batch_size=4, progress=False)
    first = bits(models[0].parameters())
    assert changed(first, two_head_model.parameters())
    assert changed(first, models[1].parameters()) == []
    assert changed(first, models[2].parameters()) == []


def test_threads_change_no_bit(two_head_model: mtf.MultiTaskModel) -> None:
    threads, found = mtf.get_threads(), []
    try:
        for n in (1, 2):
            mtf.set_threads(n)
            model = two_head_model.copy()
            run = quick_fit(model, epochs=None, freeze_schedule=FS.gradual(), mixing="joint")
            found.append((bits(model.parameters()), run.losses()))
    finally:
        mtf.set_threads(threads)
    assert found[0] == found[1]


def pinned(model: mtf.MultiTaskModel) -> Any:
    """Pin one part, freeze another without, and return the state."""
    return model.freeze("backbone[:1]").freeze("layers[2]", pin=False).freeze_state()


def test_the_freeze_state_is_restored(two_head_model: mtf.MultiTaskModel) -> None:
    before = pinned(two_head_model)
    run = quick_fit(two_head_model, epochs=None, freeze_schedule=FS.gradual())
    assert two_head_model.freeze_state() == before
    assert all(phase.frozen.ok for phase in run.phases)
    assert two_head_model._core.state(two_head_model.param_keys.index("classifier.bias")) is None


def test_unpin_lifts_pins_for_the_phase_only(two_head_model: mtf.MultiTaskModel) -> None:
    before = pinned(two_head_model)
    weights = bits(two_head_model.parameters())
    schedule = FS().phase(train="heads", epochs=1).phase(train="all", epochs=1, unpin=True)
    quick_fit(two_head_model, epochs=None, freeze_schedule=schedule)
    assert two_head_model.freeze_state() == before
    assert "backbone.embeddings.LayerNorm.bias" in changed(weights, two_head_model.parameters())


def test_pinned_bits_stay_in_every_phase(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone[:2]").freeze("ner_head")
    before = bits(two_head_model.parameters())
    quick_fit(two_head_model, epochs=None, freeze_schedule=FS.gradual())
    moved = changed(before, two_head_model.parameters())
    assert moved
    assert all(two_head_model.trainable(key) for key in moved)


def test_the_freeze_state_is_restored_after_an_error(two_head_model: mtf.MultiTaskModel) -> None:
    before = pinned(two_head_model)
    with pytest.raises(mtf.TrainingError):
        quick_fit(
            two_head_model,
            epochs=None,
            freeze_schedule=FS.gradual(every=9),
            learning_rate=1e30,
            max_grad_norm=None,
        )
    assert two_head_model.freeze_state() == before
    core = two_head_model._core
    assert all(core.state(i) is None for i in range(len(core.params())))


def test_ctrl_c_in_the_second_phase(two_head_model: mtf.MultiTaskModel) -> None:
    class Interrupter(mtf.Callback):
        def on_step_end(self, context: Any) -> None:
            if context.step == 7:
                os.kill(os.getpid(), signal.SIGINT)

    before = pinned(two_head_model)
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run = quick_fit(
            two_head_model, epochs=None, freeze_schedule=FS.gradual(), callbacks=[Interrupter()]
        )
    finally:
        signal.signal(signal.SIGINT, earlier)
    assert run.interrupted
    assert run.n_steps == 7
    assert [phase.n_steps for phase in run.phases] == [5, 2]
    assert run.frozen.ok
    assert two_head_model.freeze_state() == before


def test_what_moves_while_frozen_is_named_with_its_phase(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    """Also where a later phase trains the tensor, and so nothing would show at the end."""
    key = "backbone.encoder.layer.2.output.dense.bias"

    class Meddler(mtf.Callback):
        def on_step_end(self, context: Any) -> None:
            if context.step == 2:
                context.model.set_parameter(key, context.model.parameters()[key] + 1)

    run = quick_fit(
        two_head_model, epochs=None, freeze_schedule=FS.gradual(), callbacks=[Meddler()]
    )
    assert [phase.frozen.moved for phase in run.phases] == [(key,), (), (), (), ()]
    assert run.frozen.moved == (key,)
    assert not run.frozen
    assert key in run.verdict


def test_a_frozen_heads_task_is_evaluated_all_the_same(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    run = quick_fit(
        two_head_model,
        epochs=None,
        freeze_schedule=SCHEDULES["one head after the other"],
        eval_every="epoch",
    )
    trained = [(row["phase"], row["task"]) for row in run.history if "task" in row]
    assert set(trained) == {(1, "classifier"), (2, "ner_head")}
    scored = [row for row in run.history if "eval_ner_head_f1" in row]
    assert len(scored) == 3
    assert all("eval_classifier_accuracy" in row for row in scored)
    # The backbone that the second phase changes is the classifier's too: forgetting shows.
    losses = [row["eval_classifier_loss"] for row in scored]
    assert losses[1] != losses[0]


def test_changes_are_rows_of_the_history_and_lines(
    two_head_model: mtf.MultiTaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    run = quick_fit(two_head_model, epochs=None, freeze_schedule=FS.gradual(), progress=True)
    rows = [row for row in run.history if "freeze_change" in row]
    assert [row["phase_name"] for row in rows] == [
        "heads", "layers[2:]", "layers[1:]", "layers", "all",
    ]  # fmt: skip
    assert [row["step"] for row in rows] == [0, 5, 10, 15, 20]
    assert [row["frozen"] for row in rows] == [
        "backbone", "backbone[:2]", "backbone[:1]", "backbone.embeddings", "nothing",
    ]  # fmt: skip
    steps = [row for row in run.history if "task" in row]
    assert [row["phase"] for row in steps] == [1] * 5 + [2] * 5 + [3] * 5 + [4] * 5 + [5] * 5
    assert {row["frozen"] for row in steps if row["phase"] == 2} == {"backbone[:2]"}
    said = capsys.readouterr().out.splitlines()
    assert said[0] == (
        "freeze schedule: 5 phases, 5 epochs, 25 steps: "
        "heads -> layers[2:] -> layers[1:] -> layers -> all"
    )
    lines = [line for line in said if line.startswith("phase ")]
    assert lines == [
        f'phase {row["phase"]}/5 "{row["phase_name"]}": {row["freeze_change"]}' for row in rows
    ]
    assert lines[1].startswith('phase 2/5 "layers[2:]": frozen: backbone[:2] (')
    assert "in each of 5 phases" in said[-1]
    assert all(line in run.notes for line in lines)


def test_a_run_without_a_schedule_has_no_change(two_head_model: mtf.MultiTaskModel) -> None:
    run = quick_fit(two_head_model, epochs=1)
    assert not any("freeze_change" in row for row in run.history)
    assert {row["phase"] for row in run.history if "task" in row} == {1}
    (phase,) = run.phases
    assert (phase.n_steps, phase.frozen) == (run.n_steps, run.frozen)


def test_learned_weights_go_on_across_phases(two_head_model: mtf.MultiTaskModel) -> None:
    run = quick_fit(
        two_head_model,
        epochs=None,
        freeze_schedule=FS.fine_tune(2),
        loss_weighting="uncertainty",
        mixing="joint",
    )
    weights = [row["weight.classifier"] for row in run.history if "task" in row]
    assert weights[0] == 1.0
    assert len(set(weights)) == run.n_steps
    for row in run.history:
        if "task" in row:
            parts = [row[f"weight.{n}"] * row[f"{n}_loss"] for n in ("classifier", "ner_head")]
            assert row["loss"] == pytest.approx(sum(parts), rel=1e-12)


@pytest.mark.real
@pytest.mark.long
def test_gradual_unfreezing_of_the_real_model(minilm_shared: mtf.MultiTaskModel) -> None:
    model = minilm_shared.copy()
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    model.add_head("ner_head", mtf.TokenClassification(TAGS))
    watcher = Watcher()
    run = quick_fit(
        model,
        epochs=None,
        freeze_schedule=FS.gradual(layer_decay=2.6),
        learning_rate=None,
        callbacks=[watcher],
        mixing="joint",
        batch_size=10,
        lr_schedule="constant",
    )
    assert [phase.name for phase in run.phases] == [
        "heads", *(f"layers[{n}:]" for n in range(5, 0, -1)), "layers", "all",
    ]  # fmt: skip
    for begin, end, frozen in zip(watcher.begins, watcher.ends, watcher.frozen, strict=True):
        assert not {key for key in begin if begin[key] != end[key]} & frozen
    assert all(phase.frozen.ok for phase in run.phases)
    counts = [phase.frozen.n_frozen for phase in run.phases]
    assert counts == sorted(counts, reverse=True)
    assert np.isfinite(run.losses()).all()


def test_a_saved_run_keeps_the_earlier_state(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    before = pinned(two_head_model)
    schedule = FS().phase(train="heads", epochs=1).phase(freeze="none", epochs=1, unpin=True)
    quick_fit(two_head_model, epochs=None, freeze_schedule=schedule, output_dir=tmp_path / "out")
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "out")
    assert again.freeze_state() == before
    assert changed(bits(two_head_model.parameters()), again.parameters()) == []
