# SPDX-License-Identifier: Apache-2.0
"""ResNets against transformers, norms in eval: hidden states, pooled vectors, every gradient.

Pictures of one batch have different sizes, odd ones too, and transformers sees each alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_reference import check_prices, difference, rows
from safetensors.numpy import load_file

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.runtime import threads
from support.vision import grid_batch

SIZES = [(33, 40), (32, 32), (47, 21)]
SMALL = {"embedding_size": 10, "hidden_sizes": [8, 16, 36], "depths": [2, 1, 2]}
CASES: dict[str, dict[str, Any]] = {
    "basic": {**SMALL, "layer_type": "basic"},
    "bottleneck": {**SMALL, "layer_type": "bottleneck"},
    "v1": {**SMALL, "layer_type": "bottleneck", "downsample_in_bottleneck": True},
    "first_stage": {**SMALL, "layer_type": "basic", "downsample_in_first_stage": True},
    "packed": {"embedding_size": 32, "hidden_sizes": [128, 256], "depths": [1, 1]},
}
CLOSE = 1e-5
PROCESSOR = {
    "image_processor_type": "ConvNextImageProcessor",
    "size": {"shortest_edge": 48},
    "crop_pct": 0.875,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.2],
}


def moved(torch: Any, model: Any) -> Any:
    """Return a model in eval whose norms and statistics are not those of a fresh one."""
    with torch.no_grad():
        for name, values in [*model.named_buffers(), *model.named_parameters()]:
            if name.endswith("running_mean"):
                values.normal_(0, 0.2)
            elif name.endswith("running_var"):
                values.uniform_(0.5, 1.5)
            elif "normalization" in name and values.is_floating_point():
                values.add_(torch.randn_like(values) * 0.2)
    return model.eval()


@pytest.fixture(params=CASES)
def pair(request: Any, torch: Any, transformers: Any) -> tuple[Any, Any, dict[str, Any]]:
    """A model of transformers, one of the core with its weights, and those of a head."""
    torch.manual_seed(3)
    threads.initialize()
    config = transformers.ResNetConfig(**CASES[request.param])
    reference = moved(torch, transformers.ResNetModel(config))
    head = torch.nn.Linear(config.hidden_sizes[-1], 3)
    core = _core.Model(core_config(FAMILIES["resnet"], config.to_dict(), "config.json"))
    kind: dict[str, Any] = {
        "kind": "sequence_classification",
        "n_labels": 3,
        "dropout": 0.0,
        "hidden": [],
    }
    core.add_head("classifier", kind, 0)
    values = {f"backbone.{key}": v for key, v in reference.state_dict().items()}
    values |= {f"classifier.{key}": v for key, v in head.state_dict().items()}
    for position, info in enumerate(core.params()):
        core.set_param(position, np.ascontiguousarray(values.pop(info.key).numpy()))
    assert all(key.endswith("num_batches_tracked") for key in values)
    return reference, core, {"head": head}


def outputs(torch: Any, reference: Any, head: Any, pictures: list[Any]) -> dict[str, Any]:
    """Return what transformers gives, pictures one after another."""
    found: dict[str, list[Any]] = {}
    for picture in pictures:
        given = torch.from_numpy(picture).permute(2, 0, 1)[None]
        result = reference(given, output_hidden_states=True)
        pooled = result.pooler_output.flatten(1)
        states = {f"hidden_states.{k}": rows(s) for k, s in enumerate(result.hidden_states)}
        own = {"hidden": rows(result.last_hidden_state), "pooled": pooled}
        for name, value in {**states, **own, "classifier": head(pooled)}.items():
            found.setdefault(name, []).append(value)
    return {name: torch.cat(values) for name, values in found.items()}


def test_outputs_and_gradients(torch: Any, pair: tuple[Any, Any, Mapping[str, Any]]) -> None:
    reference, core, parts = pair
    random = np.random.default_rng(5)
    pictures = [random.normal(size=(h, w, 3)).astype(np.float32) for h, w in SIZES]
    batch = grid_batch(core, pictures)
    wanted = outputs(torch, reference, parts["head"], pictures)
    for name, found in zip(wanted, core.forward(batch, list(wanted)), strict=True):
        assert difference(found, wanted[name].detach().numpy()) < CLOSE, name
    labels = np.arange(len(SIZES), dtype=np.int32) % 3
    loss = torch.nn.functional.cross_entropy(wanted["classifier"], torch.from_numpy(labels).long())
    loss.backward()
    for budget in (1, 1 << 40):  # a picture at a time, all at once
        means, _ = core.train_gradients(
            batch, [("classifier", labels, 1.0)], token_budget=budget, dropout=False
        )
        assert abs(means[0] - float(loss.detach())) < CLOSE
        both = [*reference.named_parameters(prefix="backbone")]
        both += parts["head"].named_parameters(prefix="classifier")
        gradients = {name: p.grad.numpy() for name, p in both}
        for position, info in enumerate(core.params()):
            if info.is_buffer:
                assert info.frozen and info.key not in gradients
            else:
                found = core.gradient(position)
                assert difference(found, gradients[info.key]) < CLOSE, (budget, info.key)


def test_gradients_below_frozen_blocks(torch: Any, pair: tuple[Any, Any, Any]) -> None:
    reference, core, parts = pair
    random = np.random.default_rng(6)
    pictures = [random.normal(size=(h, w, 3)).astype(np.float32) for h, w in SIZES]
    batch = grid_batch(core, pictures)
    labels = np.arange(len(SIZES), dtype=np.int32) % 3
    logits = outputs(torch, reference, parts["head"], pictures)["classifier"]
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels).long()).backward()
    gradients = {n: p.grad.numpy() for n, p in reference.named_parameters(prefix="backbone")}
    infos = core.params()
    frozen = np.array(["stages.1" in info.key for info in infos], dtype=np.uint8)
    units = np.array(["stages[1]" in unit.path for unit in core.units()], dtype=np.uint8)
    core.set_frozen(frozen, units)
    core.train_gradients(batch, [("classifier", labels, 1.0)], token_budget=1 << 40, dropout=False)
    stem = [k for k, one in enumerate(infos) if "embedder" in one.key and not one.is_buffer]
    assert stem
    for position in stem:
        assert difference(core.gradient(position), gradients[infos[position].key]) < CLOSE
    assert all(info.frozen for info in core.params() if info.is_buffer or "stages.1" in info.key)


def test_prices_are_what_runs(pair: tuple[Any, Any, Any]) -> None:
    _, core, _ = pair
    check_prices(
        core,
        "classifier",
        grid_batch(core, [np.ones((h, w, 3), np.float32) for h, w in SIZES]),
        dropout=False,
    )


def test_bfloat16_products(torch: Any, transformers: Any) -> None:
    torch.manual_seed(3)
    threads.initialize()
    config = transformers.ResNetConfig(
        embedding_size=32, hidden_sizes=[128, 512], depths=[1, 1], layer_type="bottleneck"
    )
    reference = moved(torch, transformers.ResNetModel(config))
    core = _core.Model(core_config(FAMILIES["resnet"], config.to_dict(), "config.json"))
    for position, info in enumerate(core.params()):
        values = reference.state_dict()[info.key.removeprefix("backbone.")].numpy()
        core.set_param(position, np.ascontiguousarray(values))
    random = np.random.default_rng(5)
    pictures = [random.normal(size=(h, w, 3)).astype(np.float32) for h, w in SIZES]
    batch = grid_batch(core, pictures)
    exact, rounded, bytes_ = (core.forward(batch, ["hidden"], precision=p)[0] for p in (0, 1, 2))
    assert 0 < difference(rounded, exact) < 0.01
    assert 0 < difference(bytes_, exact) < 0.02
    alone = grid_batch(core, pictures[1:2])
    begin, end = batch["offsets"]["stages.1"][1:3]
    for precision, found in ((0, exact), (1, rounded), (2, bytes_)):
        one = core.forward(alone, ["hidden"], precision=precision)[0]
        assert one.tobytes() == found[begin:end].tobytes()


def write(torch: Any, transformers: Any, folder: Path) -> Any:
    """Write a classifier of pictures as transformers does; return it."""
    torch.manual_seed(3)
    config = transformers.ResNetConfig(**CASES["bottleneck"], num_labels=3)
    made = moved(torch, transformers.ResNetForImageClassification(config))
    made.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return made


def test_a_folder_of_transformers(torch: Any, transformers: Any, tmp_path: Path) -> None:
    made = write(torch, transformers, tmp_path)
    model = mtf.MultiTaskModel.from_pretrained(tmp_path)
    random = np.random.default_rng(5)
    pictures: Any = [random.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in SIZES]
    found = model.encode(pictures)
    encoder = model._encoder
    prepared = encoder.encode_images(pictures).pack()
    sides = [int(width[0]) for width in [prepared.widths["pixels"]]]
    pixels = prepared.inputs["pixels"].reshape(len(pictures), -1, sides[0], 3)
    with torch.no_grad():
        given = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        wanted = made.resnet(given).pooler_output.flatten(1).numpy()
    assert difference(found, wanted) < CLOSE
    again = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "again"))
    assert again.encode(pictures).tobytes() == found.tobytes()


def test_a_classifier_comes_and_goes_back(torch: Any, transformers: Any, tmp_path: Path) -> None:
    made = write(torch, transformers, tmp_path / "theirs")
    model = mtf.MultiTaskModel.from_pretrained(tmp_path / "theirs")
    model.add_head("animal", from_pretrained=tmp_path / "theirs")
    random = np.random.default_rng(5)
    pictures: Any = [random.integers(0, 256, (60, 60, 3), dtype=np.uint8) for _ in range(3)]
    pixels = model._encoder.encode_images(pictures).pack().inputs["pixels"]
    side = round((len(pixels) / len(pictures)) ** 0.5)
    given = pixels.reshape(len(pictures), side, side, 3).transpose(0, 3, 1, 2)
    with torch.no_grad():
        wanted = made(torch.from_numpy(np.ascontiguousarray(given))).logits.numpy()
    assert difference(model.forward(pictures, ["animal"])["animal"], wanted) < CLOSE
    model.save_pretrained(tmp_path / "ours", head="animal")
    auto = transformers.AutoModelForImageClassification
    _, info = auto.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "mismatched_keys", "unexpected_keys"))
    old, new = (load_file(tmp_path / one / "model.safetensors") for one in ("theirs", "ours"))
    assert old.keys() == new.keys()
    assert all(old[key].tobytes() == new[key].tobytes() for key in old)  # counters of batches too


def test_a_run_moves_what_trains_and_no_statistics(
    torch: Any, transformers: Any, tmp_path: Path
) -> None:
    write(torch, transformers, tmp_path)
    model = mtf.MultiTaskModel.from_pretrained(tmp_path)
    model.add_head("kind", mtf.SequenceClassification(("dark", "light")))
    model.freeze("backbone[:1]")
    random = np.random.default_rng(7)
    rows_of = [
        (random.integers(100 * k, 100 * k + 99, (50, 50, 3), dtype=np.uint8), label)
        for _ in range(4)
        for k, label in enumerate(("dark", "light"))
    ]
    before = {key: values.tobytes() for key, values in model.parameters().items()}
    run = mtf.fit(model, {"kind": mtf.Task(train=rows_of)}, epochs=2, batch_size=4, progress=False)
    assert run.frozen.ok
    after = {key: values.tobytes() for key, values in model.parameters().items()}
    moved_keys = {key for key in before if before[key] != after[key]}
    still = ("embedder", "stages.0", "running_mean", "running_var")
    assert moved_keys == {key for key in before if not any(part in key for part in still)}
    assert model.unfreeze("backbone").trainable("backbone") is True
    assert str(model.freeze_state()) == "FreezeState(frozen: none, pinned: none)"


def torchvision_name(name: str) -> str:
    """Return what torchvision calls a tensor of transformers'."""
    name = name.removeprefix("resnet.")
    part = {"convolution": ("conv", "0"), "normalization": ("bn", "1")}
    words = name.split(".")
    if words[0] == "embedder":
        return f"{part[words[2]][0]}1.{words[3]}"
    stage, block, rest = int(words[2]) + 1, words[4], words[5:]
    if rest[0] == "shortcut":
        return f"layer{stage}.{block}.downsample.{part[rest[1]][1]}.{rest[2]}"
    return f"layer{stage}.{block}.{part[rest[2]][0]}{int(rest[1]) + 1}.{rest[3]}"


def test_tensors_under_the_names_of_torchvision(transformers: Any) -> None:
    config = transformers.ResNetConfig(**CASES["bottleneck"])
    names = list(transformers.ResNetModel(config).state_dict())
    plain = FAMILIES["resnet"].plain_name
    assert [plain(torchvision_name(name)) for name in names] == names
    assert [plain(f"resnet.{name}") for name in names] == names
    assert plain("fc.weight") == "classifier.1.weight"
    for other in ("head.weight", "layer1.0.extra1.weight", "layer1.0.conv.weight"):
        assert plain(other) == other
