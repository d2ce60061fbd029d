# SPDX-License-Identifier: Apache-2.0
"""The laws of freezing, cache, prices and bits, held by every family of ``support.families``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.features import clear_memory
from support.bits import bits, changed
from support.families import CASES, NAMES, load_family, write_family
from support.small_tasks import quick_fit, two_tasks
from support.texts import LABELS, SENTENCES, TAGGED

pytestmark = [pytest.mark.laws, pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")]

BATCH: dict[str, Any] = {
    "classifier": list(zip(SENTENCES, LABELS, strict=True)),
    "ner_head": TAGGED,
}
FAMILIES = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of each family, written once."""
    base = tmp_path_factory.mktemp("families")
    return {name: write_family(base / name, name) for name in NAMES}


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    clear_memory()
    yield
    mtf.set_threads(2)


def cuts(model: mtf.MultiTaskModel) -> list[str]:
    """Return the selectors ``backbone[:k]`` that the family can carry out, from below.

    Layers that share their weights are one unit; whatever would split it is an error.
    """
    found = []
    for k in range(model.index.n_layers + 1):
        try:
            model.select(f"backbone[:{k}]")
        except mtf.SelectorError:
            continue
        found.append(f"backbone[:{k}]")
    assert found, "a family has at least its embeddings below its layers"
    return found


@FAMILIES
def test_frozen_bits_stay_and_the_rest_moves(folders: dict[str, Path], name: str) -> None:
    model = load_family(folders[name])
    units = [path for path in model.unit_index if path.startswith("backbone.")]
    for mode in ["backbone", "classifier", "none", "*.bias", *cuts(model), *units]:
        model.unfreeze()
        model.freeze(mode)
        before = bits(model.parameters())
        frozen = model.freeze_state().frozen
        for seed in range(2):
            model.step(BATCH, learning_rate=1e-2, weight_decay=0.1, seed=seed)
        moved = set(changed(before, model.parameters()))
        assert not moved & frozen, mode
        trainable = set(model.param_keys) - frozen
        reached = set(model.gradients(BATCH))
        assert reached <= trainable, mode
        # Norms, products and tables of everything that trains are reached by the two losses.
        assert trainable - reached == set(), mode


@FAMILIES
def test_a_frozen_prefix_has_no_backward_pass_and_costs_less(
    folders: dict[str, Path], name: str
) -> None:
    """Prices are what runs: the FLOPs of a step are those of the plan, in every mode."""
    model = load_family(folders[name])
    outputs, before = ["classifier", "ner_head"], float("inf")
    rows = model.encoder.encode_texts(SENTENCES)
    batch = rows.pack().for_core()
    n_tokens = len(rows.pack().inputs["ids"])
    losses = [
        ("classifier", np.zeros(len(SENTENCES), np.int32), 1.0),
        ("ner_head", np.zeros(n_tokens, np.int32), 1.0),
    ]
    for mode in ["none", *cuts(model), "backbone"]:
        model.unfreeze()
        model.freeze(mode)
        plan = model._core.plan(outputs, training=True, offsets=batch["offsets"])
        _core.count_flops(True)
        model._core.train_gradients(batch, losses, token_budget=4096, dropout=True)
        found = _core.flops()
        _core.count_flops(False)
        assert (found.forward, found.dx, found.dw) == (
            plan.forward_flops,
            plan.dx_flops,
            plan.dw_flops,
        ), mode
        cost = plan.forward_flops + plan.dx_flops + plan.dw_flops
        assert cost <= before, mode
        before = cost


@FAMILIES
def test_cached_training_is_plain_training(folders: dict[str, Path], name: str) -> None:
    for mode in {cuts(load_family(folders[name]))[-1], "backbone"}:
        runs = []
        for cache in (False, "memory"):
            model = load_family(folders[name]).freeze(mode)
            run = quick_fit(model, cache=cache, epochs=1)
            assert run.verify_frozen()
            runs.append((run.losses(), bits(model.parameters())))
        assert runs[0] == runs[1], mode


@pytest.mark.long
@FAMILIES
def test_a_texts_bits_depend_on_it_alone(folders: dict[str, Path], name: str) -> None:
    model = load_family(folders[name])
    together = model.encode(SENTENCES)
    alone = np.concatenate([model.encode([text]) for text in SENTENCES])
    assert together.tobytes() == alone.tobytes()
    mtf.set_threads(1)
    assert model.encode(SENTENCES).tobytes() == together.tobytes()
    one = bits(model.gradients(BATCH, dropout=True, seed=3))
    mtf.set_threads(2)
    assert bits(model.gradients(BATCH, dropout=True, seed=3)) == one


@pytest.mark.long
@FAMILIES
def test_what_is_saved_is_what_was_loaded(
    folders: dict[str, Path], name: str, tmp_path: Path
) -> None:
    model = load_family(folders[name])
    again_folder = model.freeze("backbone.embeddings").save_pretrained(tmp_path / "saved")
    again = mtf.MultiTaskModel.from_pretrained(again_folder)
    assert bits(again.parameters()) == bits(model.parameters())
    assert again.freeze_state() == model.freeze_state()
    assert again.encode(SENTENCES).tobytes() == model.encode(SENTENCES).tobytes()
    first, second = (
        load_file(f / "model.safetensors") for f in (folders[name], tmp_path / "saved")
    )
    assert bits(first) == bits(second)  # the hub's names, unused tensors too


@pytest.mark.long
@FAMILIES
def test_explain_and_summary_name_its_units(folders: dict[str, Path], name: str) -> None:
    model = load_family(folders[name])
    for mode in ["none", "backbone", *cuts(model)]:
        model.unfreeze()
        model.freeze(mode)
        said = str(model.explain())
        assert said and "None" not in said
        text = str(model.summary())
        for path in model.unit_index:
            assert path.removeprefix("backbone.").partition("[")[0] in text


@pytest.mark.long
@FAMILIES
def test_a_resumed_run_has_the_same_bits(
    folders: dict[str, Path], name: str, tmp_path: Path
) -> None:
    whole = load_family(folders[name])
    quick_fit(whole, output_dir=tmp_path / "whole", save_every=3, keep_checkpoints=9)
    checkpoint = min((tmp_path / "whole" / "checkpoints").iterdir())
    again = load_family(folders[name])
    run = quick_fit(again, output_dir=tmp_path / "again", resume=checkpoint)
    assert run.n_steps > 3
    assert bits(again.parameters()) == bits(whole.parameters())


@pytest.mark.long
@FAMILIES
def test_compare_and_recommend(folders: dict[str, Path], name: str) -> None:
    model = load_family(folders[name])
    before = bits(model.parameters())
    settings: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-3, "progress": False}
    modes = ["none", cuts(model)[-1], "backbone"]
    comparison = mtf.compare(model, two_tasks(), modes=modes, seeds=1, **settings)
    text = str(comparison.table())
    assert all(mode in text for mode in modes)
    advice = mtf.recommend(model, two_tasks(), progress=False)
    assert str(advice)
    assert bits(model.parameters()) == before


@pytest.mark.long
@FAMILIES
def test_lower_precision_is_close(name: str, tmp_path: Path) -> None:
    """On models whose products are large enough to be made in it."""
    case = CASES[name]
    model = load_family(write_family(tmp_path / name, name, scale=0.03, **case.larger))
    exact = model.encode(SENTENCES)
    for precision, least in (("bf16", 0.999), ("int8", 0.99)):
        found = model.encode(SENTENCES, precision=precision)
        assert found.tobytes() != exact.tobytes()
        assert float((found * exact).sum(1).min()) >= least, precision
