# SPDX-License-Identifier: Apache-2.0
"""Cached = uncached: the same losses, metrics and weights, bit for bit, and each layer run once."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.features import clear_memory
from support.bits import bits
from support.small_tasks import quick_fit, two_tasks
from support.texts import LABELS, SENTENCES
from support.tiny_bert import write_tiny_bert

N_LAYERS = 6
MODES = ("backbone", "backbone[:3]", "backbone[:5]", "gradual")
SCHEDULED = {"epochs": N_LAYERS + 2, "freeze_schedule": mtf.FreezeSchedule.gradual(every=1)}


@pytest.fixture(autouse=True)
def empty_memory() -> None:
    clear_memory()


@pytest.fixture(scope="module")
def six_layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT as deep as MiniLM."""
    folder = tmp_path_factory.mktemp("six")
    write_tiny_bert(folder, num_hidden_layers=N_LAYERS)
    return folder


def make(folder: Path, mode: str) -> mtf.MultiTaskModel:
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    tags = ["O", "B-person", "I-person", "B-location", "I-location"]
    model.add_head("ner_head", mtf.TokenClassification(tags))
    return model if mode in ("gradual", "none") else model.freeze(mode)


def train(folder: Path, mode: str, **changes: Any) -> tuple[mtf.MultiTaskModel, Any]:
    model = make(folder, mode)
    settings = SCHEDULED if mode == "gradual" else {"epochs": 5}
    return model, quick_fit(model, eval_every="epoch", **{**settings, **changes})


def same(first: tuple[mtf.MultiTaskModel, Any], second: tuple[mtf.MultiTaskModel, Any]) -> None:
    """Assert that two runs gave the same bits."""
    assert first[1].losses() == second[1].losses()
    assert bits(first[0].parameters()) == bits(second[0].parameters())
    first_found, second_found = (_found(run) for _, run in (first, second))
    assert first_found == second_found


def _found(run: Any) -> list[Any]:
    """Return all figures of a run that are no seconds."""
    timed = ("train_runtime", "train_samples_per_second", "prefix_runtime")
    rows = [row for row in run.history if "eval_classifier_loss" in row]
    return [{k: v for k, v in run.metrics.items() if k not in timed}, rows]


@pytest.mark.laws
@pytest.mark.parametrize("mixing", ["proportional", "round_robin", "joint"])
@pytest.mark.parametrize("mode", MODES)
def test_cached_is_uncached(six_layers: Path, mode: str, mixing: str) -> None:
    plain = train(six_layers, mode, cache=False, mixing=mixing)
    cached = train(six_layers, mode, cache="memory", mixing=mixing)
    assert "prefix_runtime" not in plain[1].metrics
    assert cached[1].cache.memory_bytes > 0 and cached[1].cache.n_texts > 0
    same(plain, cached)
    assert cached[1].verify_frozen()


@pytest.mark.laws
@pytest.mark.parametrize("mode", MODES)
def test_small_micro_batches_and_learned_weights(six_layers: Path, mode: str) -> None:
    # Micro-batches are cut by tokens, also where only pooled rows are given.
    how = {"token_budget": 20, "loss_weighting": "uncertainty", "batch_size": 6}
    same(train(six_layers, mode, cache=False, **how), train(six_layers, mode, cache="auto", **how))


@pytest.mark.parametrize("limit", ["1", "6KB", "1MB"])
@pytest.mark.parametrize("setting", ["memory", "auto"])
def test_beyond_the_limit(
    six_layers: Path, setting: str, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train(six_layers, "gradual", cache=False)
    monkeypatch.setenv("MTFREEZE_CACHE_MEMORY", limit)
    cached = train(six_layers, "gradual", cache=setting)
    same(plain, cached)
    if setting == "auto" and limit == "1":
        assert cached[1].cache.file_bytes > 0
    if setting == "memory" and limit == "1":
        assert cached[1].cache.memory_bytes == 0
        assert any("beyond the limit" in note for note in cached[1].notes)


def test_a_folder_serves_the_next_process(six_layers: Path, tmp_path: Path) -> None:
    plain = train(six_layers, "backbone[:3]", cache=False)
    first = train(six_layers, "backbone[:3]", cache=tmp_path / "cache")
    clear_memory()  # as a new process would begin
    second = train(six_layers, "backbone[:3]", cache=tmp_path / "cache")
    same(plain, first)
    same(plain, second)
    assert first[1].cache.n_texts > 0
    assert second[1].cache.n_texts == 0 and second[1].cache.n_reused > 0


def test_a_damaged_folder_is_said_and_passed_over(six_layers: Path, tmp_path: Path) -> None:
    plain = train(six_layers, "backbone", cache=False)
    train(six_layers, "backbone", cache=tmp_path / "cache")
    clear_memory()
    for file in (tmp_path / "cache").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:-1])
    with pytest.warns(mtf.CacheWarning) as seen:
        again = train(six_layers, "backbone", cache=tmp_path / "cache")
    same(plain, again)
    advice = f"`mtfreeze cache clear {tmp_path / 'cache'} --damaged`"
    assert all(advice in str(one.message) for one in seen)
    assert {Path(one.filename).name for one in seen} == {"small_tasks.py"}  # where fit was called


def test_bf16_is_close_and_said_in_its_size(six_layers: Path) -> None:
    full = train(six_layers, "backbone[:3]", cache="memory")
    clear_memory()
    half = train(six_layers, "backbone[:3]", cache="memory", cache_dtype="bf16")
    assert half[1].cache.memory_bytes * 2 == full[1].cache.memory_bytes
    np.testing.assert_allclose(half[1].losses(), full[1].losses(), rtol=0.02)
    assert half[1].losses() != full[1].losses()


def test_a_run_finds_what_an_earlier_one_computed(six_layers: Path) -> None:
    first = train(six_layers, "backbone[:3]", cache="memory")
    second = train(six_layers, "backbone[:3]", cache="memory")
    assert first[1].cache.n_texts > 0
    assert second[1].cache.n_texts == 0
    same(first, second)


def test_a_changed_weight_never_meets_an_old_feature(six_layers: Path) -> None:
    train(six_layers, "backbone[:3]", cache="memory")

    def nudged() -> mtf.MultiTaskModel:
        model = make(six_layers, "backbone[:3]")
        key = next(key for key in model.param_keys if "layer.0.intermediate.dense.bias" in key)
        values = model.parameters()[key].copy()
        values[0] = np.nextafter(values[0], np.float32(1))
        return model.set_parameter(key, values)

    plain, cached = nudged(), nudged()
    runs = quick_fit(plain, cache=False), quick_fit(cached, cache="memory")
    assert runs[1].cache.n_texts > 0
    same((plain, runs[0]), (cached, runs[1]))


class Nudge(mtf.Callback):
    """Writes to a frozen weight in the middle of a run."""

    def on_step_end(self, context: Any) -> None:
        if context.step == 3:
            key = next(k for k in context.model.param_keys if "layer.0.output.dense.bias" in k)
            context.model.set_parameter(key, context.model.parameters()[key] + 0.5)


@pytest.mark.parametrize("mode", ["backbone", "backbone[:3]"])
def test_a_weight_written_in_the_middle_of_a_run(six_layers: Path, mode: str) -> None:
    plain = train(six_layers, mode, cache=False, callbacks=[Nudge()])
    cached = train(six_layers, mode, cache="memory", callbacks=[Nudge()])
    same(plain, cached)
    assert not cached[1].verify_frozen()


def test_refrozen_layers_are_computed_anew(six_layers: Path) -> None:
    schedule = (
        mtf.FreezeSchedule()
        .phase(epochs=2, train=["heads", "backbone.layers[2:]"])
        .phase(epochs=2, train="heads")
        .phase(epochs=2, train=["heads", "backbone.layers[4:]"])
    )
    how = {"epochs": None, "freeze_schedule": schedule}
    plain = train(six_layers, "none", cache=False, **how)
    cached = train(six_layers, "none", cache="memory", **how)
    same(plain, cached)


@pytest.mark.laws
def test_gradual_runs_each_frozen_layer_once_per_text(six_layers: Path) -> None:
    """The forward FLOPs of the whole run are one pass, and in each epoch what lies above it."""
    model = make(six_layers, "gradual")
    tasks = {"classifier": two_tasks()["classifier"]}
    tasks = {"classifier": mtf.Task(train=tasks["classifier"].train)}
    n = len(SENTENCES)
    how = {"epochs": N_LAYERS + 1, "freeze_schedule": mtf.FreezeSchedule.gradual(every=1)}
    _core.count_flops(True)
    try:
        before = _core.flops().forward
        run = quick_fit(model, tasks, cache="memory", batch_size=n, **how)
        counted = _core.flops().forward - before
    finally:
        _core.count_flops(False)
    assert run.cache.n_texts == n
    offsets = {"tokens": model.encoder.encode_texts(SENTENCES).offsets}
    once = model._core.plan(["pooled"], training=False, offsets=offsets).forward_flops
    # Then epoch k runs the top k layers, pooling and head, from a boundary.
    above = []
    for k in range(N_LAYERS + 1):
        model.set_freeze_state(mtf.FreezeSchedule.gradual().resolve(model, N_LAYERS + 2)[k].freeze)
        # Embeddings alone are not worth a place in the cache.
        given = ["pooled"] if k == 0 else [f"hidden_states.{N_LAYERS - k}"] if k < N_LAYERS else []
        price = model._core.plan(["classifier"], training=True, offsets=offsets, features=given)
        above.append(price.forward_flops)
    assert counted == once + sum(above)


@pytest.mark.real
@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_minilm(minilm_folder: Path, mode: str) -> None:
    def run(cache: str | bool) -> tuple[mtf.MultiTaskModel, Any]:
        model = mtf.MultiTaskModel.from_pretrained(minilm_folder)
        model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
        tasks = {"classifier": mtf.Task(train=list(zip(SENTENCES, LABELS, strict=True)))}
        if mode != "gradual":
            model.freeze(mode)
        settings = SCHEDULED if mode == "gradual" else {"epochs": 5}
        return model, quick_fit(model, tasks, cache=cache, learning_rate=1e-4, **settings)

    plain, cached = run(False), run("memory")
    same(plain, cached)
    assert cached[1].cache.memory_bytes > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cached[1].verify_frozen()


@pytest.mark.parametrize("mode", ["backbone", "backbone[:3]", "none"])
def test_an_evaluation_finds_what_a_run_computed(six_layers: Path, mode: str) -> None:
    model, _ = train(six_layers, mode, cache="memory")
    tasks = two_tasks()

    def evaluated(cache: str | bool) -> tuple[dict[str, float], float]:
        _core.count_flops(True)
        try:
            return mtf.evaluate(model, tasks, cache=cache), _core.flops().forward
        finally:
            _core.count_flops(False)

    plain, found = evaluated(False), evaluated("auto")
    assert plain[0] == found[0]
    assert (found[1] < 0.75 * plain[1]) == (mode != "none")
    assert (found[1] == plain[1]) == (mode == "none")
