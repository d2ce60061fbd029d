# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 against transformers, norms in eval: states, pooled vectors, every gradient.

Pictures of one batch have different sizes, odd ones too, and transformers sees each alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_reference import check_prices, difference, rows
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.runtime import threads
from support.vision import SMALL_MOBILE, grid_batch

SIZES = [(40, 37), (32, 64), (75, 51), (5, 2)]
TINY = {**SMALL_MOBILE, "num_labels": 3}
CASES: dict[str, dict[str, Any]] = {
    "same borders": TINY,
    "even borders": {**TINY, "tf_padding": False, "layer_norm_eps": 1e-5},
    "expanded stem": {**TINY, "first_layer_is_expansion": False},
    "wider": {**TINY, "depth_multiplier": 0.35, "depth_divisible_by": 8, "expand_ratio": 6},
}
CLOSE = 1e-5


def made(torch: Any, transformers: Any, case: str) -> Any:
    """Return a classifier in eval whose values are on both sides of relu6's corners."""
    torch.manual_seed(3)
    model = transformers.MobileNetV2ForImageClassification(
        transformers.MobileNetV2Config(**CASES[case])
    )
    with torch.no_grad():
        for name, values in [*model.named_buffers(), *model.named_parameters()]:
            if name.endswith("running_mean"):
                values.normal_(0, 0.2)
            elif name.endswith(("running_var", "normalization.weight")):
                values.uniform_(0.5, 1.5)
            elif name.endswith("normalization.bias"):
                values.normal_(1, 2)
            elif name.endswith("convolution.weight"):
                values.normal_(0, 0.7 / float(values[0].numel()) ** 0.5)
    return model.eval()


@pytest.fixture(params=CASES)
def pair(request: Any, torch: Any, transformers: Any) -> tuple[Any, Any]:
    """A classifier of transformers and a model of the core with its weights and its head."""
    threads.initialize()
    reference = made(torch, transformers, request.param)
    config = reference.config.to_dict()
    core = _core.Model(core_config(FAMILIES["mobilenet_v2"], config, "config.json"))
    head = {"kind": "sequence_classification", "n_labels": 3, "dropout": 0.0}
    core.add_head("classifier", head, 0)
    values = {
        key.replace("mobilenet_v2.", "backbone."): v for key, v in reference.state_dict().items()
    }
    for position, info in enumerate(core.params()):
        core.set_param(position, np.ascontiguousarray(values.pop(info.key).numpy()))
    assert all(key.endswith("num_batches_tracked") for key in values)
    return reference, core


def images(sizes: list[tuple[int, int]] = SIZES) -> list[NDArray[np.float32]]:
    """Return prepared images (H, W, 3)."""
    random = np.random.default_rng(5)
    return [random.normal(size=(h, w, 3)).astype(np.float32) for h, w in sizes]


def outputs(torch: Any, reference: Any, pictures: list[Any]) -> dict[str, Any]:
    """Return what transformers gives, pictures one after another."""
    found: dict[str, list[Any]] = {}
    for picture in pictures:
        given = torch.from_numpy(picture).permute(2, 0, 1)[None]
        result = reference.mobilenet_v2(given, output_hidden_states=True)
        states = {"hidden_states.0": rows(reference.mobilenet_v2.conv_stem(given))}
        for k, state in enumerate(result.hidden_states[:-1]):
            states[f"hidden_states.{k + 1}"] = rows(state)
        states["layers"] = rows(result.hidden_states[-1])
        states["hidden"] = rows(result.last_hidden_state)
        states["pooled"] = result.pooler_output
        states["classifier"] = reference.classifier(result.pooler_output)
        for name, value in states.items():
            found.setdefault(name, []).append(value)
    return {name: torch.cat(values) for name, values in found.items()}


def test_outputs_and_gradients(torch: Any, pair: tuple[Any, Any]) -> None:
    reference, core = pair
    pictures = images()
    batch = grid_batch(core, pictures)
    wanted = outputs(torch, reference, pictures)
    for name, found in zip(wanted, core.forward(batch, list(wanted)), strict=True):
        assert difference(found, wanted[name].detach().numpy()) < CLOSE, name
    states = wanted["hidden"]
    assert float(states.detach().max()) == 6 and float(states.detach().min()) == 0
    labels = np.arange(len(SIZES), dtype=np.int32) % 3
    loss = torch.nn.functional.cross_entropy(wanted["classifier"], torch.from_numpy(labels).long())
    loss.backward()
    gradients = {
        name.replace("mobilenet_v2.", "backbone."): p.grad.numpy()
        for name, p in reference.named_parameters()
    }
    for budget in (1, 1 << 40):  # a picture at a time, all at once
        means, _ = core.train_gradients(
            batch, [("classifier", labels, 1.0)], token_budget=budget, dropout=False
        )
        assert abs(means[0] - float(loss.detach())) < CLOSE
        for position, info in enumerate(core.params()):
            if not info.is_buffer:
                found = core.gradient(position)
                assert difference(found, gradients[info.key]) < 3 * CLOSE, (budget, info.key)


def test_gradients_below_frozen_blocks(torch: Any, pair: tuple[Any, Any]) -> None:
    reference, core = pair
    pictures = images()
    labels = np.arange(len(SIZES), dtype=np.int32) % 3
    logits = outputs(torch, reference, pictures)["classifier"]
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels).long()).backward()
    gradients = {
        name.replace("mobilenet_v2.", "backbone."): p.grad.numpy()
        for name, p in reference.named_parameters()
    }
    infos = core.params()
    frozen = np.array([".layer." in info.key for info in infos], dtype=np.uint8)
    units = np.array(["blocks[" in unit.path for unit in core.units()], dtype=np.uint8)
    core.set_frozen(frozen, units)
    core.train_gradients(grid_batch(core, pictures), [("classifier", labels, 1.0)], dropout=False)
    for position, info in enumerate(infos):
        if ".conv_stem." in info.key and not info.is_buffer:
            found = core.gradient(position)
            assert difference(found, gradients[info.key]) < 3 * CLOSE, info.key


def test_prices_are_what_runs(pair: tuple[Any, Any]) -> None:
    _, core = pair
    check_prices(core, "classifier", grid_batch(core, images()))


PROCESSOR = {
    "image_processor_type": "MobileNetV2ImageProcessor",
    "size": {"shortest_edge": 36},
    "crop_size": 32,
}


def torchvision_name(name: str) -> str:
    """Return what torchvision calls a tensor of transformers'."""
    words = name.removeprefix("mobilenet_v2.").split(".")
    kind, norm = words[-1], int(words[-2] == "normalization")
    if words[0] == "classifier":
        return f"classifier.1.{kind}"
    if words[0] == "conv_1x1":
        return f"features.18.{norm}.{kind}"
    if words[0] == "conv_stem":
        place = {"conv_3x3": f"0.{norm}", "reduce_1x1": str(1 + norm)}.get(words[1])
        return f"features.1.conv.{place}.{kind}" if place else f"features.0.{norm}.{kind}"
    places = {"expand_1x1": f"0.{norm}", "conv_3x3": f"1.{norm}", "reduce_1x1": str(2 + norm)}
    return f"features.{int(words[1]) + 2}.conv.{places[words[2]]}.{kind}"


def test_a_folder_of_transformers(torch: Any, transformers: Any, tmp_path: Path) -> None:
    reference = made(torch, transformers, "same borders")
    reference.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    model = mtf.MultiTaskModel.from_pretrained(tmp_path / "theirs")
    model.add_head("animal", from_pretrained=tmp_path / "theirs")
    random = np.random.default_rng(5)
    pictures: Any = [random.integers(0, 256, (50, 60, 3), dtype=np.uint8) for _ in range(3)]
    pixels = model._encoder.encode_images(pictures).pack().inputs["pixels"]
    given = pixels.reshape(len(pictures), 32, 32, 3).transpose(0, 3, 1, 2)
    with torch.no_grad():
        wanted = reference(torch.from_numpy(np.ascontiguousarray(given))).logits.numpy()
    assert difference(model.forward(pictures, ["animal"])["animal"], wanted) < CLOSE
    model.save_pretrained(tmp_path / "ours", head="animal")
    auto = transformers.AutoModelForImageClassification
    _, info = auto.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "mismatched_keys", "unexpected_keys"))
    old, new = (load_file(tmp_path / one / "model.safetensors") for one in ("theirs", "ours"))
    assert old.keys() == new.keys()
    assert all(old[key].tobytes() == new[key].tobytes() for key in old)
    plain = FAMILIES["mobilenet_v2"].plain_name
    names = [name.removeprefix("mobilenet_v2.") for name in old]
    assert [plain(torchvision_name(name)) for name in names] == names
    assert [plain(f"mobilenet_v2.{name}") for name in names] == names


def timm_name(name: str) -> str:
    """Return what timm calls a tensor of transformers'."""
    words = name.removeprefix("mobilenet_v2.").split(".")
    kind, norm = words[-1], words[-2] == "normalization"
    if words[0] == "classifier":
        return name
    if words[0] == "conv_1x1":
        return f"{'bn2' if norm else 'conv_head'}.{kind}"
    if words[:2] == ["conv_stem", "first_conv"]:
        return f"{'bn1' if norm else 'conv_stem'}.{kind}"
    if words[0] == "conv_stem":
        own = {"conv_3x3": ("conv_dw", "bn1"), "reduce_1x1": ("conv_pw", "bn2")}
        return f"blocks.0.0.{own[words[1]][norm]}.{kind}"
    stages = [(1, n) for n in range(2)] + [(2, n) for n in range(3)] + [(3, n) for n in range(4)]
    stages += [(4, n) for n in range(3)] + [(5, n) for n in range(3)] + [(6, 0)]
    stage, number = stages[int(words[1])]
    own = {
        "expand_1x1": ("conv_pw", "bn1"),
        "conv_3x3": ("conv_dw", "bn2"),
        "reduce_1x1": ("conv_pwl", "bn3"),
    }
    return f"blocks.{stage}.{number}.{own[words[2]][norm]}.{kind}"


def test_a_folder_of_timm(torch: Any, transformers: Any, tmp_path: Path) -> None:
    torch.manual_seed(3)
    config = transformers.MobileNetV2Config(
        depth_multiplier=0.35, tf_padding=False, layer_norm_eps=1e-5, num_labels=3
    )
    reference = transformers.MobileNetV2ForImageClassification(config).eval()
    tensors = {
        timm_name(name): np.ascontiguousarray(values.numpy())
        for name, values in reference.state_dict().items()
    }
    save_file(tensors, tmp_path / "model.safetensors")
    prepared = {"input_size": [3, 32, 32], "crop_pct": 1.0, "mean": [0.5] * 3, "std": [0.5] * 3}
    timm = {"architecture": "mobilenetv2_035", "num_classes": 3, "pretrained_cfg": prepared}
    (tmp_path / "config.json").write_text(json.dumps(timm))
    model = mtf.MultiTaskModel.from_pretrained(tmp_path)
    model.add_head("animal", from_pretrained=tmp_path)
    random = np.random.default_rng(5)
    pictures: Any = [random.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(2)]
    given = (np.stack(pictures).astype(np.float32) / 255 - 0.5) / 0.5
    with torch.no_grad():
        x = torch.from_numpy(np.ascontiguousarray(given.transpose(0, 3, 1, 2)))
        wanted = reference(x).logits.numpy()
    assert difference(model.forward(pictures, ["animal"])["animal"], wanted) < CLOSE


def test_a_run_moves_what_trains_and_no_statistics(
    torch: Any, transformers: Any, tmp_path: Path
) -> None:
    made(torch, transformers, "even borders").save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    random = np.random.default_rng(7)
    data = [
        (random.integers(100 * k, 100 * k + 99, (40, 40, 3), dtype=np.uint8), label)
        for _ in range(4)
        for k, label in enumerate(("dark", "light"))
    ]
    found = []
    for cache in ("memory", False):
        model = mtf.MultiTaskModel.from_pretrained(tmp_path / "theirs")
        model.add_head("kind", mtf.SequenceClassification(("dark", "light")))
        model.freeze("backbone[:3]")
        before = {key: values.tobytes() for key, values in model.parameters().items()}
        run = mtf.fit(
            model,
            {"kind": mtf.Task(train=data)},
            epochs=2,
            batch_size=4,
            progress=False,
            cache=cache,
        )
        assert run.frozen.ok
        after = {key: values.tobytes() for key, values in model.parameters().items()}
        still = ("conv_stem", "layer.0.", "layer.1.", "layer.2.", "running_mean", "running_var")
        moved = {key for key in before if before[key] != after[key]}
        assert moved == {key for key in before if not any(part in key for part in still)}
        found.append(after)
    assert found[0] == found[1]
