# SPDX-License-Identifier: Apache-2.0
"""Folders that promise more than their weights hold: refused in no time, in no memory."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.training import checkpoint
from support.process_state import core_bytes
from support.tiny_bert import tiny_config, tiny_tensors, write_json, write_tiny_bert

load = mtf.MultiTaskModel.from_pretrained

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists() or sys.platform != "linux", reason="limits of Linux"
)

ROOM = 64 << 20
"""Bytes beyond those of the folder."""
SECONDS = 10


def refusal(folder: Path, work: Callable[[], object]) -> str:
    """Run `work` in a fork that gets little memory and time; return the error that it ends in."""
    import resource

    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing was raised"
        try:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            limit = pages * resource.getpagesize() + size + ROOM
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            signal.alarm(SECONDS)
            work()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writes, said.encode()[:2000])
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return said if status == 0 else f"ended by signal {os.WTERMSIG(status)}"


def deep(folder: Path, n_layers: int, width: int) -> None:
    """A file of a few tensors that has, by its names, so many layers of that width."""
    config = tiny_config(hidden_size=width, intermediate_size=2, num_hidden_layers=n_layers)
    tensors = {
        name: tensor
        for name, tensor in tiny_tensors(tiny_config(hidden_size=2, num_hidden_layers=1)).items()
        if name.startswith("embeddings.LayerNorm")
    }
    for name, rows in (("word", config["vocab_size"]), ("position", 64), ("token_type", 2)):
        tensors[f"embeddings.{name}_embeddings.weight"] = np.zeros((rows, width), np.float32)
    tensors["encoder.layer.0.intermediate.dense.weight"] = np.zeros((2, width), np.float32)
    for layer in range(1, n_layers):
        tensors[f"encoder.layer.{layer}.x"] = np.zeros(1, np.float32)
    write_json(folder / "config.json", config)
    save_file(tensors, str(folder / "model.safetensors"))


@pytest.mark.parametrize(
    ("n_layers", "width", "message"),
    [
        (500, 1024, "CheckpointError: .* tensors of the backbone; not found:"),
        (10_000, 4, "ConfigError: .* expected at most 512 layers; found num_hidden_layers = 10000"),
    ],
)
def test_layers_that_are_names_alone(
    tmp_path: Path, n_layers: int, width: int, message: str
) -> None:
    folder = write_tiny_bert(tmp_path / "model")
    deep(folder, n_layers, width)
    assert re.match(message, refusal(folder, lambda: load(folder)), re.DOTALL)


def test_weights_of_one_byte(tmp_path: Path) -> None:
    """In float32 they would take four times the file."""
    folder = write_tiny_bert(tmp_path / "model")
    write_json(folder / "config.json", tiny_config(vocab_size=800_000))
    tensors = tiny_tensors(tiny_config())
    tensors["embeddings.word_embeddings.weight"] = np.zeros((800_000, 48), np.int8)
    save_file(tensors, str(folder / "model.safetensors"))
    said = refusal(folder, lambda: load(folder))
    assert said.startswith("CheckpointError") and "expected tensor 'embeddings.word_emb" in said


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = load(write_tiny_bert(tmp_path / "model"))
    model.add_head("head", mtf.SequenceClassification(["a", "b"]))
    return model.save_pretrained(tmp_path / "saved")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": [1 << 20, 1 << 10]}, "'head' does not fit its saved weights"),
        ({"hidden": [1] * 64}, "'head' does not fit its saved weights"),
        ({"hidden": [1] * 200_000}, "hidden must have at most 64 layers; found 200000"),
        ({"hidden": [1 << 40]}, "hidden[0] must be at most 1048576"),
        ({"labels": [f"l{i}" for i in range(1000)]}, "'head' does not fit its saved weights"),
    ],
)
def test_heads_of_a_few_bytes(
    saved: Path, two_head_model: mtf.MultiTaskModel, changes: dict[str, Any], message: str
) -> None:
    own = json.loads((saved / "mtfreeze.json").read_text())
    own["heads"]["head"] |= changes
    write_json(saved / "mtfreeze.json", own)
    for said in (
        refusal(saved, lambda: load(saved)),
        refusal(saved, lambda: two_head_model.add_head("more", from_pretrained=saved)),
    ):
        assert said.startswith(("CheckpointError", "ConfigError")), said
        assert message in said or "expected the head's tensor" in said
        assert len(said) < 1000


def test_a_checkpoint_with_other_moments(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    """Headers alone tell; nothing of a file with wrong shapes is read."""
    path = checkpoint.write_checkpoint(two_head_model, tmp_path, n_steps=1, facts={}, state={})
    shapes = {info.key: info.shape for info in two_head_model._core.params()}
    whole = checkpoint.read_checkpoint(path)
    whole.check_shapes(shapes)
    assert dict(whole.moments()) == {} == whole.arrays()
    file = path / "trainer" / "moments.safetensors"
    moments = {f"classifier.bias:{part}": np.ones(2, np.float32) for part in ("moment1", "moment2")}
    steps = {"classifier.bias:n_steps": np.array([3])}
    save_file(moments | steps, str(file))
    whole.check_shapes(shapes)
    assert whole.moments()["classifier.bias"][2] == 3 and len(whole.moments()) == 1
    save_file(
        moments | steps | {"classifier.bias:moment2": np.ones((2, 1000), np.float32)}, str(file)
    )
    with pytest.raises(mtf.CheckpointError, match=r"another shape: 'moment2 of classifier\.bias'"):
        whole.check_shapes(shapes)
    save_file(moments | steps | {"classifier.bias:moment2": np.ones(2, np.int8)}, str(file))
    with pytest.raises(
        mtf.CheckpointError, match=r"expected tensor 'classifier\.bias:moment2' as 'F"
    ):
        whole.check_shapes(shapes)
    save_file(moments, str(file))
    save_file({"nothing.bias": np.ones(2, np.float32)}, str(path / "trainer/arrays.safetensors"))
    with pytest.raises(mtf.CheckpointError, match=r"another shape: 'best nothing\.bias'"):
        whole.check_shapes(shapes)


def test_an_outline_is_the_model(two_head_model: mtf.MultiTaskModel) -> None:
    """The core names the same parameters before and after it makes them; errors are the same."""
    model = two_head_model
    heads = {name: head.spec.core_config() for name, head in model.heads.items()}
    named = _core.outline(model._loaded.build_config, heads)
    made = model._core.params()
    assert [
        (p.key, p.unit, p.shape, p.size, p.decays, p.in_products, p.aliases) for p in named
    ] == [(p.key, p.unit, p.shape, p.size, p.decays, p.in_products, p.aliases) for p in made]
    with pytest.raises(mtf.ConfigError, match="hidden_act"):
        _core.outline({**model._loaded.build_config, "hidden_act": "swiglu"}, {})
    with pytest.raises(mtf.ConfigError, match="kind"):
        _core.outline(model._loaded.build_config, {"a": {"kind": "unknown"}})
    with pytest.raises(TypeError, match="heads must be a mapping"):
        _core.outline(model._loaded.build_config, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="config"):
        _core.outline(None, {})  # type: ignore[arg-type]


def test_an_outline_without_memory(two_head_model: mtf.MultiTaskModel) -> None:
    config = two_head_model._loaded.build_config
    heads = {name: head.spec.core_config() for name, head in two_head_model.heads.items()}
    n, before = 1, core_bytes()
    while n < 10_000:
        _core.fail_allocation_after(n)
        try:
            _core.outline(config, heads)
            break
        except MemoryError:
            assert core_bytes() == before
        n = n + 1 if n < 40 else n * 2
    _core.fail_allocation_after(0)
    assert 40 < n < 10_000


def test_half_precision_is_loaded_within_twice_its_size(tmp_path: Path) -> None:
    """What is kept is kept: a good model of 16 bits loads, in float32."""
    folder = write_tiny_bert(tmp_path / "model")
    path = folder / "model.safetensors"
    save_file({k: v.astype(np.float16) for k, v in load_file(str(path)).items()}, str(path))
    assert refusal(folder, lambda: load(folder)) == "nothing was raised"
