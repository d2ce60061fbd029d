# SPDX-License-Identifier: Apache-2.0
"""Adapters of a model: added, saved, copied, merged, and everything that is refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.files.tensor_files import write_tensors
from support.bits import bits
from support.texts import LABELS, SENTENCES

pytestmark = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
TASKS = {"classifier": mtf.Task(train=list(zip(SENTENCES, LABELS, strict=True)))}

JUDGED = {"classifier": mtf.Task(train=TASKS["classifier"].train, eval=TASKS["classifier"].train)}


@pytest.fixture
def adapted(two_head_model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Return a model whose LoRA is as if trained, over a frozen backbone."""
    model = two_head_model.freeze("backbone").add_lora(rank=2, alpha=4, dropout=0.1)
    rng = np.random.default_rng(1)
    for key in model.param_keys:
        if key.startswith("lora."):
            values = 0.2 * rng.standard_normal(model.parameters()[key].shape)
            model.set_parameter(key, values)
    return model


def test_a_is_drawn_and_b_is_zero(tiny_model: mtf.MultiTaskModel) -> None:
    first = tiny_model.copy().add_lora(rank=4).parameters()
    same = tiny_model.copy().add_lora(rank=4).parameters()
    other = tiny_model.copy().add_lora(rank=4, seed=1).parameters()
    key = "lora.encoder.layer.1.attention.self.query.lora_A.weight"
    assert first[key].shape == (4, 48)
    assert np.array_equal(first[key], same[key]) and not np.array_equal(first[key], other[key])
    assert 0.9 / 48**0.5 < np.abs(first[key]).max() <= 1 / 48**0.5
    assert not first[key.replace("lora_A", "lora_B")].any()
    assert not np.array_equal(first[key], first[key.replace("query", "value")])


def test_usual_places_are_those_of_peft(tiny_model: mtf.MultiTaskModel) -> None:
    lora = tiny_model.copy().add_lora().adapter
    ia3 = tiny_model.copy().add_ia3().adapter
    assert lora is not None and ia3 is not None
    assert [one.path.rpartition(".")[2] for one in lora.sites] == ["query", "value"] * 3
    assert [(one.path.partition(".layer.")[2], one.input) for one in ia3.sites[:4]] == [
        ("0.attention.self.key", False),
        ("0.attention.self.value", False),
        ("0.attention.output.dense", True),
        ("0.output.dense", True),
    ]


@pytest.mark.parametrize("again", ["copy", "saved", "pickled"])
def test_an_adapter_goes_with_its_model(
    adapted: mtf.MultiTaskModel, tmp_path: Path, again: str
) -> None:
    other: mtf.MultiTaskModel
    if again == "copy":
        other = adapted.copy()
    elif again == "pickled":
        other = pickle.loads(pickle.dumps(adapted))
    else:
        other = mtf.MultiTaskModel.from_pretrained(adapted.save_pretrained(tmp_path / "model"))
    assert bits(other.parameters()) == bits(adapted.parameters())
    assert other.freeze_state() == adapted.freeze_state()
    assert other.adapter == adapted.adapter
    assert np.array_equal(other.encode(SENTENCES), adapted.encode(SENTENCES))


def test_a_run_is_taken_up_again(adapted: mtf.MultiTaskModel, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 4, "progress": False}
    fresh = adapted.copy()
    mtf.fit(adapted, TASKS, **settings, save_every=3, output_dir=tmp_path / "run")
    checkpoint = sorted((tmp_path / "run" / "checkpoints").iterdir())[0]
    assert mtf.MultiTaskModel.from_pretrained(checkpoint).adapter == adapted.adapter
    mtf.fit(fresh, TASKS, **settings, resume=checkpoint, output_dir=tmp_path / "other")
    assert bits(fresh.parameters()) == bits(adapted.parameters())


def test_merging_changes_little_and_unmerging_nothing(adapted: mtf.MultiTaskModel) -> None:
    before, texts = bits(adapted.parameters()), adapted.encode(SENTENCES)
    adapted.merge_lora()
    assert adapted.adapter is None and "lora" not in adapted.unit_index
    assert np.abs(adapted.encode(SENTENCES) - texts).max() < 2e-6
    adapted.unmerge_lora()
    assert bits(adapted.parameters()) == before
    assert np.array_equal(adapted.encode(SENTENCES), texts)
    with pytest.raises(mtf.ConfigError, match="has merged; found one without"):
        adapted.unmerge_lora()


def test_unmerging_gives_the_adapters_freeze_state_back(adapted: mtf.MultiTaskModel) -> None:
    adapted.freeze("lora.encoder.layer.1.*", pin=True)
    adapted.freeze("lora.encoder.layer.2.*", pin=False, precision="bf16")
    before = adapted.freeze_state()
    adapted.merge_lora()
    assert not any(key.startswith("lora.") for key in adapted.freeze_state().frozen)
    adapted.unmerge_lora()
    assert adapted.freeze_state() == before
    adapted.freeze("lora").merge_lora()
    adapted.unfreeze("backbone.layers[2]")
    since = adapted.freeze_state()
    adapted.unmerge_lora()
    own = {key for key in adapted.param_keys if key.startswith("lora.")}
    assert adapted.freeze_state().frozen == since.frozen | own
    assert not adapted.trainable("lora") and adapted.trainable("backbone.layers[2]")
    adapted.merge_lora()
    again = adapted.add_lora(rank=2)
    assert again.trainable("lora")


def test_a_changed_weight_is_not_unmerged(adapted: mtf.MultiTaskModel) -> None:
    adapted.merge_lora()
    key = "backbone.encoder.layer.0.attention.self.query.weight"
    adapted.set_parameter(key, adapted.parameters()[key] * 2)
    with pytest.raises(mtf.ConfigError, match="has changed since LoRA was merged"):
        adapted.unmerge_lora()
    assert adapted.adapter is None


def test_one_adapter_a_model(adapted: mtf.MultiTaskModel) -> None:
    before = bits(adapted.parameters())
    for add in (adapted.add_lora, adapted.add_ia3):
        with pytest.raises(mtf.ConfigError, match="one adapter at a time; found 'lora'"):
            add()
    assert bits(adapted.parameters()) == before


def test_a_task_model_does_not_lose_it(adapted: mtf.MultiTaskModel, tmp_path: Path) -> None:
    with pytest.raises(mtf.ConfigError, match=r"merge_lora\(\) or remove_adapter\(\) first"):
        adapted.save_pretrained(tmp_path / "task", head="classifier")


def test_rates_of_an_adapter(adapted: mtf.MultiTaskModel) -> None:
    run = mtf.fit(adapted.copy(), TASKS, epochs=1, progress=False)
    assert any("lora" in key for row in run.history for key in row)
    # A mapping need not name it: the same may be meant for models without.
    run = mtf.fit(adapted, TASKS, epochs=1, learning_rate={"heads": 1e-3}, progress=False)
    clock = run.history[-1]["learning_rate.heads"] / 1e-3
    assert run.history[-1]["learning_rate.lora"] == pytest.approx(5e-4 * clock)


@pytest.mark.parametrize("name", ["remove_adapter", "merge_lora"])
def test_a_callback_cannot_change_it(adapted: mtf.MultiTaskModel, name: str) -> None:
    class Change(mtf.Callback):
        def on_step_end(self, context: Any) -> None:
            getattr(context.model, name)()

    with pytest.raises(mtf.TrainingError, match="change its adapter after fit"):
        mtf.fit(adapted, TASKS, epochs=1, progress=False, callbacks=[Change()])


def test_a_callback_saves_it(adapted: mtf.MultiTaskModel, tmp_path: Path) -> None:
    base, alone = adapted.copy().remove_adapter(), adapted.copy()
    seen: list[dict[str, bytes]] = []

    class Save(mtf.Callback):
        def on_step_end(self, context: Any) -> None:
            context.model.save_adapter(tmp_path / str(len(seen)))
            seen.append(bits(context.model.parameters()))

    options: dict[str, Any] = {"epochs": 2, "batch_size": 4, "progress": False}
    run = mtf.fit(adapted, TASKS, callbacks=[Save()], **options)
    mtf.fit(alone, TASKS, **options)
    assert bits(adapted.parameters()) == bits(alone.parameters()) == seen[-1]
    assert len(seen) == run.n_steps > 2
    for step, values in enumerate(seen):  # each as the model stood after that step
        assert bits(base.copy().load_adapter(tmp_path / str(step)).parameters()) == values


def test_peft_folders_keep_heads(adapted: mtf.MultiTaskModel, tmp_path: Path) -> None:
    base = adapted.copy().remove_adapter()
    adapted.mark_trained(["classifier"])
    for key in ("classifier.weight", "ner_head.bias"):
        adapted.set_parameter(key, adapted.parameters()[key] + 1)
    adapted.save_adapter(tmp_path / "a")
    base.load_adapter(tmp_path / "a")
    assert bits(base.parameters()) == bits(adapted.parameters())
    assert base.adapter == adapted.adapter
    names = {one.name for one in (tmp_path / "a").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names


Bad = Callable[[mtf.MultiTaskModel], Any]
BAD: dict[str, tuple[Bad, type[Exception], str]] = {
    "rank 0": (lambda m: m.add_lora(rank=0), mtf.ConfigError, "rank must be at least 1; found 0"),
    "rank of text": (lambda m: m.add_lora(rank="8"), TypeError, "rank must be a whole number"),
    "a huge rank": (lambda m: m.add_lora(rank=10**9), mtf.ConfigError, "rank must be at most"),
    "alpha 0": (lambda m: m.add_lora(alpha=0), mtf.ConfigError, "alpha must be a"),
    "alpha nan": (lambda m: m.add_lora(alpha=float("nan")), mtf.ConfigError, "alpha must be a"),
    "dropout 1": (lambda m: m.add_lora(dropout=1.0), mtf.ConfigError, "below 1; found 1"),
    "no targets": (lambda m: m.add_lora(targets=[]), mtf.ConfigError, "targets is empty"),
    "a number as target": (lambda m: m.add_lora(targets=[3]), TypeError, "list of layers' names"),
    "an unknown target": (
        lambda m: m.add_lora(targets=["qurey"]),
        mtf.ConfigError,
        "fits no linear layer; did you mean 'query'",
    ),
    "an embedding as target": (
        lambda m: m.add_lora(targets=["word_embeddings"]),
        mtf.ConfigError,
        "fits no linear layer",
    ),
    "a broken expression": (lambda m: m.add_lora(targets="("), mtf.ConfigError, "regular express"),
    "an expression for nothing": (lambda m: m.add_ia3("x"), mtf.ConfigError, "fit no linear layer"),
    "a layer too many": (
        lambda m: m.add_lora(layers=[3]),
        mtf.ConfigError,
        "layers must be from 0 to 2; found 3",
    ),
    "a negative layer": (lambda m: m.add_lora(layers=-1), mtf.ConfigError, "from 0 on"),
    "layers of text": (lambda m: m.add_lora(layers="top"), TypeError, "layers must be numbers"),
    "a seed below 0": (lambda m: m.add_lora(seed=-1), mtf.ConfigError, "seed must be at least 0"),
    "removing none": (lambda m: m.remove_adapter(), mtf.ConfigError, "has none; call add_lora"),
    "merging none": (lambda m: m.merge_lora(), mtf.ConfigError, "has none; call add_lora"),
    "merging ia3": (lambda m: m.add_ia3().merge_lora(), mtf.ConfigError, "merges LoRA; found"),
    "saving none": (lambda m: m.save_adapter("x"), mtf.ConfigError, "has none; call add_lora"),
    "freezing none": (lambda m: m.freeze("lora"), mtf.SelectorError, r"call model.add_lora\(\)"),
    "a head called ia3": (
        lambda m: m.add_head("ia3", mtf.SequenceClassification(["a", "b"])),
        mtf.ConfigError,
        "'ia3' is reserved",
    ),
    "loading nothing": (lambda m: m.load_adapter("no-folder"), mtf.CheckpointError, "no-folder"),
    "lora beside an adapter": (
        lambda m: mtf.compare(m.add_ia3(), JUDGED, modes=["lora"], seeds=1),
        mtf.ConfigError,
        "one adapter at a time",
    ),
    "advice for an adapter": (
        lambda m: mtf.recommend(m.add_ia3(), JUDGED),
        mtf.ConfigError,
        "plain model; found one with an adapter",
    ),
    "no mode at all": (
        lambda m: mtf.compare(m, JUDGED, modes=[("x", 3)], seeds=1),
        TypeError,
        r"Lora\(\), IA3\(\), BitFit\(\)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(two_head_model: mtf.MultiTaskModel, case: str) -> None:
    call, kind, words = BAD[case]
    before = bits({k: v for k, v in two_head_model.parameters().items() if k[:4] != "ia3."})
    with pytest.raises(kind, match=words):
        call(two_head_model)
    after = {k: v for k, v in two_head_model.parameters().items() if k[:4] != "ia3."}
    assert bits(after) == before


CONFIG: dict[str, tuple[Any, str]] = {
    "peft_type": ("LOHA", "peft_type LORA or IA3; found 'LOHA'"),
    "use_dora": (True, "use_dora True changes the computation"),
    "lora_bias": (True, "lora_bias True changes"),
    "bias": ("lora_only", "bias 'lora_only' changes"),
    "trainable_token_indices": ([1], "trainable_token_indices"),
    "layer_replication": ([[0, 2]], "layer_replication"),
    "lora_alpha": ("much", "lora_alpha and alpha_pattern as numbers"),
    "lora_dropout": (1.5, "lora_dropout from 0 to"),
    "use_rslora": ("maybe", "use_rslora true or false"),
}


@pytest.mark.parametrize("key", CONFIG)
def test_what_peft_can_and_we_cannot(adapted: mtf.MultiTaskModel, tmp_path: Path, key: str) -> None:
    adapted.save_adapter(tmp_path / "a")
    file = tmp_path / "a" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: CONFIG[key][0]}))
    base = adapted.copy().remove_adapter()
    with pytest.raises((mtf.ConfigError, mtf.CheckpointError), match=CONFIG[key][1]):
        base.load_adapter(tmp_path / "a")
    assert base.adapter is None


def _tensors(model: mtf.MultiTaskModel, **changes: tuple[int, ...] | None) -> dict[str, Any]:
    stem = "base_model.model.encoder.layer.0.attention.self.query."
    whole = {"lora_A.weight": (2, 48), "lora_B.weight": (48, 2)}
    named = {f"{stem}{name}": shape for name, shape in whole.items()}
    named |= {name.replace("__", "."): shape for name, shape in changes.items()}
    return {k: np.ones(shape, np.float32) for k, shape in named.items() if shape is not None}


_QUERY = "base_model__model__encoder__layer__0__attention__self__query__"
FILES: dict[str, tuple[dict[str, Any], str]] = {
    "another rank": ({f"{_QUERY}lora_B__weight": (48, 3)}, "expected tensors of shapes"),
    "another width": ({f"{_QUERY}lora_A__weight": (2, 64)}, "belongs to another base"),
    "no B": ({f"{_QUERY}lora_B__weight": None}, "expected tensors of shapes"),
    "another base": (
        {"base_model__model__encoder__layer__9__attention__self__query__lora_A__weight": (2, 48)},
        "which it does not have",
    ),
    "a head": ({"base_model__model__classifier__weight": (7, 48)}, "call add_head"),
    "an embedding": (
        {"base_model__model__embeddings__word_embeddings__lora_embedding_A": (2, 48)},
        "call add_head|expected a head",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_files_of_another_base(tiny_model: mtf.MultiTaskModel, tmp_path: Path, case: str) -> None:
    changes, words = FILES[case]
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    write_tensors(tmp_path / "adapter_model.safetensors", _tensors(tiny_model, **changes))
    with pytest.raises(mtf.CheckpointError, match=words):
        tiny_model.load_adapter(tmp_path)
    assert tiny_model.adapter is None


def test_weights_of_another_base(adapted: mtf.MultiTaskModel, tmp_path: Path) -> None:
    adapted.save_adapter(tmp_path / "a")
    base = adapted.copy().remove_adapter()
    key = "backbone.encoder.layer.0.output.dense.bias"
    base.set_parameter(key, base.parameters()[key] + 1)
    with pytest.raises(mtf.CheckpointError, match="expected an adapter for this base"):
        base.load_adapter(tmp_path / "a")


@pytest.mark.parametrize("values", [3, {"kind": "dora"}, {"kind": "lora", "sites": []}])
def test_a_damaged_description(adapted: mtf.MultiTaskModel, tmp_path: Path, values: Any) -> None:
    folder = adapted.save_pretrained(tmp_path / "model")
    own = json.loads((folder / "mtfreeze.json").read_text())
    (folder / "mtfreeze.json").write_text(json.dumps({**own, "adapter": values}))
    with pytest.raises(mtf.CheckpointError, match=r"mtfreeze\.json: expected an adapter"):
        mtf.MultiTaskModel.from_pretrained(folder)


def test_a_lost_file(adapted: mtf.MultiTaskModel, tmp_path: Path) -> None:
    folder = adapted.save_pretrained(tmp_path / "model")
    (folder / "adapter.safetensors").unlink()
    with pytest.raises(mtf.CheckpointError, match=r"adapter\.safetensors"):
        mtf.MultiTaskModel.from_pretrained(folder)
