# SPDX-License-Identifier: Apache-2.0
"""Training over prefixes in bf16 and int8, and steps in bf16: the laws hold as they do in fp32."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConfigError
from mtfreeze.features import clear_memory
from mtfreeze.training.checkpoint import list_checkpoints
from support.bits import bits
from support.small_tasks import ROWS, quick_fit, two_tasks
from support.texts import SENTENCES
from support.wide_bert import wide_model

LOWER = ("bf16", "int8")
GRADUAL = {"epochs": 5, "freeze_schedule": mtf.FreezeSchedule.gradual(every=1)}
TIMED = ("train_runtime", "train_samples_per_second", "prefix_runtime")


@pytest.fixture(autouse=True)
def empty_memory() -> Iterator[None]:
    clear_memory()
    yield
    clear_memory()


@pytest.fixture
def threads() -> Iterator[None]:
    earlier = mtf.get_threads()
    yield
    mtf.set_threads(earlier)


def train(
    folder: Path, mode: str, frozen_in: str | None = None, **changes: Any
) -> tuple[mtf.MultiTaskModel, Any]:
    """Train a new model; ``gradual`` begins with the whole backbone frozen, not pinned."""
    model = wide_model(folder)
    if mode == "gradual":
        model.freeze("backbone", pin=False, precision=frozen_in)
    elif mode != "none":
        model.freeze(mode, precision=frozen_in)
    settings = GRADUAL if mode == "gradual" else {"epochs": 2}
    return model, quick_fit(model, eval_every="epoch", **{**settings, **changes})


def figures(run: Any) -> dict[str, float]:
    """Return the metrics of a run that are no seconds."""
    return {name: value for name, value in run.metrics.items() if name not in TIMED}


def same(first: tuple[mtf.MultiTaskModel, Any], second: tuple[mtf.MultiTaskModel, Any]) -> None:
    """Assert that two runs gave the same bits."""
    assert first[1].losses() == second[1].losses()
    assert figures(first[1]) == figures(second[1])
    assert bits(first[0].parameters()) == bits(second[0].parameters())


# ---- frozen prefixes -----------------------------------------------------------------------------


@pytest.mark.laws
@pytest.mark.parametrize("of_run", ["fp32", "bf16"])
@pytest.mark.parametrize("frozen_in", [None, *LOWER])
@pytest.mark.parametrize("mode", ["backbone", "backbone[:2]", "gradual"])
def test_cached_is_uncached(
    wide_folder: Path, mode: str, frozen_in: str | None, of_run: str
) -> None:
    plain = train(wide_folder, mode, frozen_in, cache=False, precision=of_run)
    cached = train(wide_folder, mode, frozen_in, cache="memory", precision=of_run)
    assert cached[1].cache.n_texts > 0
    same(plain, cached)
    assert plain[1].verify_frozen() and cached[1].verify_frozen()


@pytest.mark.real
@pytest.mark.long
@pytest.mark.parametrize("of_run", ["fp32", "bf16"])
@pytest.mark.parametrize("frozen_in", LOWER)
@pytest.mark.parametrize("mode", ["backbone", "backbone[:3]"])
def test_cached_is_uncached_on_minilm(
    minilm_shared: mtf.MultiTaskModel, mode: str, frozen_in: str, of_run: str
) -> None:
    def run(cache: str | bool) -> tuple[mtf.MultiTaskModel, Any]:
        model = minilm_shared.copy().freeze(mode, precision=frozen_in)
        model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
        tasks = {"classifier": mtf.Task(train=ROWS, eval=ROWS)}
        return model, quick_fit(model, tasks, cache=cache, learning_rate=1e-4, precision=of_run)

    plain, cached = run(False), run("memory")
    same(plain, cached)
    assert cached[1].cache.memory_bytes > 0 and cached[1].verify_frozen()


@pytest.mark.laws
@pytest.mark.parametrize("name", LOWER)
def test_frozen_weights_stay_and_come_back(wide_folder: Path, name: str) -> None:
    fresh = wide_model(wide_folder)
    exact, before = fresh.forward(SENTENCES, ["hidden_states.2"]), bits(fresh.parameters())
    model, run = train(wide_folder, "backbone[:2]", name, weight_decay=0.1)
    frozen = model.freeze_state().frozen
    after = bits(model.parameters())
    assert all(before[key] == after[key] for key in frozen)
    assert any(before[key] != after[key] for key in after.keys() - frozen)
    assert run.verify_frozen() and run.frozen.n_frozen >= len(frozen)
    assert getattr(model.freeze_state(), name) == frozen  # as before the run
    lower = model.forward(SENTENCES, ["hidden_states.2"])["hidden_states.2"]
    assert lower.tobytes() != exact["hidden_states.2"].tobytes()
    model.unfreeze()
    back = model.forward(SENTENCES, ["hidden_states.2"])["hidden_states.2"]
    assert back.tobytes() == exact["hidden_states.2"].tobytes()


def test_precisions_never_share_features(wide_folder: Path) -> None:
    found = {}
    for name in (None, *LOWER):
        _, run = train(wide_folder, "backbone", name, cache="memory")
        assert run.cache.n_reused == 0 and run.cache.n_texts > 0
        found[name] = tuple(run.losses())
        _, again = train(wide_folder, "backbone", name, cache="memory")
        assert again.cache.n_texts == 0 and tuple(again.losses()) == found[name]
    assert len(set(found.values())) == 3
    # A run in bf16 computes the same prefix as one that froze it in bf16.
    _, run = train(wide_folder, "backbone", cache="memory", precision="bf16")
    assert run.cache.n_texts == 0
    assert tuple(run.losses()) == found["bf16"]  # heads are small: their products stay fp32


def test_evaluation_follows_freezing(wide_folder: Path) -> None:
    model, run = train(wide_folder, "backbone", "int8")
    tasks = two_tasks()
    assert mtf.evaluate(model, tasks).items() <= figures(run).items()
    exact = mtf.evaluate(model.unfreeze(), tasks)
    assert exact["eval_classifier_loss"] != run.metrics["eval_classifier_loss"]


def test_a_schedule_keeps_the_precision_of_what_stays_frozen(wide_folder: Path) -> None:
    model = wide_model(wide_folder).freeze("backbone", pin=False, precision="int8")
    phases = mtf.FreezeSchedule.gradual().resolve(model, None)
    for phase in phases:
        assert phase.freeze.int8 == phase.freeze.frozen
    assert [len(phase.freeze.int8) for phase in phases] == [53, 37, 21, 5, 0]
    model.freeze("backbone", precision="bf16")  # pinned now
    phases = mtf.FreezeSchedule().phase(train="heads").resolve(model, 1)
    assert phases[0].freeze.bf16 == model.freeze_state().bf16


def test_phases_may_name_a_precision(wide_folder: Path) -> None:
    model = wide_model(wide_folder)
    schedules = {
        "gradual": mtf.FreezeSchedule.gradual(precision="int8"),
        "probe": mtf.FreezeSchedule.probe_then_tune(1, 1, precision="int8"),
        "fine": mtf.FreezeSchedule.fine_tune(1, precision="int8"),
    }
    for schedule in schedules.values():
        first = schedule.resolve(model, None)[0].freeze
        assert first.int8 == first.frozen and len(first.int8) == 53
        again = mtf.FreezeSchedule.from_dict(schedule.to_dict())
        assert again.resolve(model, None)[0].freeze == first
    assert "precision='int8'" in repr(schedules["gradual"])
    phases = mtf.FreezeSchedule.gradual(precision="bf16").resolve(model, None)
    assert all(phase.freeze.bf16 == phase.freeze.frozen for phase in phases)
    model.freeze("backbone[:1]", precision="int8")  # pinned; the phase's word counts
    phase = mtf.FreezeSchedule().phase(train="heads", precision="fp32").resolve(model, 1)[0]
    assert phase.freeze.precisions == {}
    with pytest.raises(ConfigError, match="unknown precision 'bf61'"):
        mtf.FreezeSchedule().phase(train="heads", precision="bf61")


@pytest.mark.laws
@pytest.mark.parametrize("of_run", ["fp32", "bf16"])
def test_phases_of_different_precisions_are_cached_apart(wide_folder: Path, of_run: str) -> None:
    schedule = (
        mtf.FreezeSchedule()
        .phase(train="heads", epochs=1, precision="bf16")
        .phase(train="heads", epochs=1, precision="int8")
        .phase(train=["heads", "backbone.layers[2]"], epochs=2)
    )
    how = {"epochs": None, "freeze_schedule": schedule, "precision": of_run}
    plain = train(wide_folder, "none", cache=False, **how)
    cached = train(wide_folder, "none", cache="memory", **how)
    same(plain, cached)
    assert cached[1].cache.memory_bytes > 0
    clear_memory()
    model = wide_model(wide_folder)
    settings = {"batch_size": 4, "learning_rate": 1e-3, "eval_every": "epoch", "cache": "memory"}
    before = mtf.estimate(model, two_tasks(), progress=False, **settings, **how)
    beside = before.beside(quick_fit(model, **settings, **how))
    assert beside.deviation("flops") == 0 and beside.deviation("cache_bytes") == 0


# ---- steps in bf16 -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["none", "backbone[:2]", "backbone.layers[1]"])
def test_bf16_steps_are_close_to_fp32(wide_folder: Path, mode: str) -> None:
    with np.errstate(all="raise"):
        _, exact = train(wide_folder, "none" if mode == "backbone.layers[1]" else mode)
        _, lower = train(
            wide_folder, "none" if mode == "backbone.layers[1]" else mode, precision="bf16"
        )
    assert exact.losses() != lower.losses()
    np.testing.assert_allclose(lower.losses(), exact.losses(), rtol=0.05)


@pytest.mark.laws
@pytest.mark.parametrize("kept", ["fp32", "bf16"])
@pytest.mark.parametrize("mode", ["none", "backbone[:2]"])
def test_bf16_steps_have_the_same_bits_at_any_thread_count(
    wide_folder: Path, mode: str, kept: str, threads: None
) -> None:
    found = []
    for n in (1, 2, 3):
        mtf.set_threads(n)
        model, run = train(wide_folder, mode, precision="bf16", save_activations=kept, epochs=2)
        found.append((run.losses(), bits(model.parameters())))
    assert found[0] == found[1] == found[2]


def test_weights_and_their_state_stay_fp32(wide_folder: Path) -> None:
    model, _ = train(wide_folder, "backbone[:2]", precision="bf16")
    key = "backbone.encoder.layer.2.intermediate.dense.weight"
    values = model.parameters()[key]
    rounded = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    assert values.dtype == np.float32 and (values != rounded).mean() > 0.9
    assert model.freeze_state().precisions == {}  # the run's own is gone with it


def test_a_run_says_what_it_computes_in(wide_folder: Path) -> None:
    _, run = train(wide_folder, "backbone[:2]", precision="bf16", save_activations="bf16")
    assert any("(1.1 M, bf16) | trained" in note for note in run.notes)
    said = [note for note in run.notes if note.startswith("precision: products in bf16")]
    assert len(said) == 1 and said[0].endswith("kept for the backward pass are bf16")
    _, run = train(wide_folder, "backbone[:2]")
    assert not any("bf16" in note or "precision" in note for note in run.notes)


def test_kept_activations_in_bf16_take_less_and_change_little(wide_folder: Path) -> None:
    model = wide_model(wide_folder)
    offsets = {"tokens": np.array([0, 30, 64], dtype=np.int64)}

    def saved(**options: Any) -> int:
        plan = model._core.plan(["classifier"], training=True, offsets=offsets, **options)
        return plan.saved_bytes

    assert saved(save_bf16=True) < 0.75 * saved()
    exact = model.gradients({"classifier": ROWS})
    kept = model.gradients({"classifier": ROWS}, save_activations="bf16")
    lower = model.gradients({"classifier": ROWS}, precision="bf16")
    assert kept.keys() == exact.keys() == lower.keys()
    norms = {key: float(np.linalg.norm(values)) for key, values in exact.items()}
    floor = 1e-2 * max(norms.values())  # some true gradients are zero: those of key biases
    for other, limit in ((kept, 0.02), (lower, 0.03)):
        errors = {
            key: np.linalg.norm(other[key] - exact[key]) / max(norm, floor)
            for key, norm in norms.items()
        }
        assert 0 < max(errors.values()) < limit, max(errors, key=lambda key: errors[key])
        assert all(values.dtype == np.float32 for values in other.values())


def test_single_steps_take_a_precision(wide_folder: Path) -> None:
    losses = {}
    for name in ("fp32", "bf16"):
        model = wide_model(wide_folder)
        for _ in range(5):
            result = model.step(
                {"classifier": ROWS}, learning_rate=1e-3, dropout=False, precision=name
            )
        losses[name] = result.losses["classifier"]
    assert losses["fp32"] != losses["bf16"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        (
            "precision",
            "int8",
            ConfigError,
            "which is for inference and frozen parts alone, as in model.freeze",
        ),
        ("precision", "bf61", ConfigError, "unknown precision 'bf61'.*did you mean 'bf16'"),
        ("precision", None, TypeError, "precision must be one of 'fp32', 'bf16'; found None"),
        ("precision", 16, TypeError, "found int 16"),
        ("save_activations", "int8", ConfigError, "save_activations must be one of 'fp32', 'bf16'"),
        ("save_activations", "half", ConfigError, "unknown save_activations 'half'"),
        ("save_activations", True, TypeError, "save_activations must be one of"),
    ],
)
def test_wrong_settings_are_said_before_anything_trains(
    wide_folder: Path, argument: str, value: Any, error: type[Exception], message: str
) -> None:
    model = wide_model(wide_folder)
    before = bits(model.parameters())
    batch = {"classifier": ROWS}
    for call in (
        lambda: quick_fit(model, **{argument: value}),
        lambda: mtf.estimate(model, two_tasks(), progress=False, **{argument: value}),
        lambda: model.gradients(batch, **{argument: value}),
        lambda: model.step(batch, learning_rate=1e-3, **{argument: value}),
    ):
        with pytest.raises(error, match=message):
            call()
    assert bits(model.parameters()) == before


# ---- checkpoints ---------------------------------------------------------------------------------


class Stop(Exception):
    pass


class StopAt(mtf.Callback):
    """Ends a run after a step, before its checkpoint."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, context: Any) -> None:
        if context.step == self.step:
            raise Stop


def resumable(folder: Path, output: Path, **changes: Any) -> tuple[mtf.MultiTaskModel, Any]:
    how = {"output_dir": output, "save_every": 1, "precision": "bf16", "save_activations": "bf16"}
    return train(folder, "backbone[:2]", "int8", **{**how, **changes})


def test_a_resumed_run_has_the_same_bits(wide_folder: Path, tmp_path: Path) -> None:
    whole = resumable(wide_folder, tmp_path / "whole")
    with pytest.raises(Stop):
        resumable(wide_folder, tmp_path / "part", callbacks=[StopAt(4)])
    resumed = resumable(wide_folder, tmp_path / "part", resume=True)
    same(whole, resumed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "fp32"}, r"settings.precision: 'bf16' then, 'fp32' now"),
        ({"save_activations": "fp32"}, r"settings.save_activations: 'bf16' then, 'fp32' now"),
    ],
)
def test_another_precision_is_another_run(
    wide_folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    resumable(wide_folder, tmp_path)
    with pytest.raises(ConfigError, match=message):
        resumable(wide_folder, tmp_path, resume=True, **changes)


def test_another_precision_of_the_frozen_part_is_another_run(
    wide_folder: Path, tmp_path: Path
) -> None:
    how = {"output_dir": tmp_path, "save_every": 1}
    train(wide_folder, "backbone[:2]", "int8", **how)
    with pytest.raises(ConfigError, match=r"phase 1.freeze.int8: .* only then"):
        train(wide_folder, "backbone[:2]", **how, resume=True)
    model = mtf.MultiTaskModel.from_pretrained(list_checkpoints(tmp_path)[0])
    assert model.freeze_state().int8 == model.freeze_state().frozen  # a checkpoint is a model


def test_checkpoints_of_earlier_versions_go_on(wide_folder: Path, tmp_path: Path) -> None:
    how = {"output_dir": tmp_path, "save_every": 2}
    _, run = train(wide_folder, "backbone[:2]", **how)
    folder = list_checkpoints(tmp_path)[0] / "trainer"
    state = json.loads((folder / "state.json").read_text("utf-8"))
    for name in ("precision", "save_activations", "group_by_length"):
        del state["facts"]["settings"][name]
    for phase in state["facts"]["phases"]:
        del phase["freeze"]["bf16"], phase["freeze"]["int8"]
    data = json.dumps(state).encode()
    (folder / "state.json").write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    import hashlib

    manifest["files"]["trainer/state.json"] = {
        "n_bytes": len(data),
        "blake2b": hashlib.blake2b(data, digest_size=16).hexdigest(),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    _, again = train(wide_folder, "backbone[:2]", **how, resume=True)
    assert figures(again) == figures(run)
    with pytest.raises(ConfigError, match="'fp32' then, 'bf16' now"):
        train(wide_folder, "backbone[:2]", **how, resume=True, precision="bf16")


# ---- prices --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{}, {"precision": "bf16", "save_activations": "bf16"}])
@pytest.mark.parametrize("frozen_in", [None, "int8"])
def test_an_estimate_prices_the_same_run(
    wide_folder: Path, frozen_in: str | None, how: dict[str, str]
) -> None:
    model = wide_model(wide_folder).freeze("backbone[:2]", precision=frozen_in)
    given: dict[str, Any] = {"start": "heads", "batch_size": 4, "progress": False, **how}
    before = mtf.estimate(model, two_tasks(), 2, **given)
    run = quick_fit(model, **given)
    beside = before.beside(run)
    assert beside.deviation("flops") == 0
    assert abs(beside.deviation("peak_bytes")) < 0.02
    assert beside.deviation("form_bytes") == 0
    if frozen_in or how:  # products in fp32 may be made without packed copies
        assert before.total.form_bytes > 0 and "packed weights" in str(before)
