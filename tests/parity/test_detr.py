# SPDX-License-Identifier: Apache-2.0
"""DETR against transformers at batch 1: states of every layer, gradients, files both ways.

transformers sees each picture alone, at its own size and without a mask, as a batch of ours does.
What it calls buffers, the norms of the residual network, has no gradient there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.families import FAMILIES
from mtfreeze.families.resnet import to_torchvision
from support.detr import CONFIG, detr_core, hugging_face_detr
from support.vision import grid_batch

SIZES = [(64, 96), (70, 41), (33, 33)]
CLOSE = 1e-5
DETR = FAMILIES["detr"]
PROCESSOR = {
    "image_processor_type": "DetrImageProcessor",
    "size": {"shortest_edge": 64, "longest_edge": 100},
}
BOTTLENECKS: dict[str, Any] = {
    "backbone_config": {
        "model_type": "resnet",
        "embedding_size": 64,
        "hidden_sizes": [16, 24],
        "depths": [1, 1],
        "layer_type": "bottleneck",
        "out_features": ["stage2"],
    }
}


def difference(found: NDArray[Any], wanted: NDArray[Any], least: float = 1e-3) -> float:
    """Return the largest difference relative to the largest value, or to `least`."""
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / max(float(np.abs(wanted).max()), least))


def pictures_of(number: int = 5) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(number)
    return [random.normal(size=(h, w, 3)).astype(np.float32) for h, w in SIZES]


def same_core(reference: Any, **changes: Any) -> _core.Model:
    """Return a model of the core with the weights of one of transformers."""
    core = detr_core(**changes)
    state = {key: value.numpy() for key, value in reference.model.state_dict().items()}
    values = {DETR.key_of(DETR.plain_name(key)): value for key, value in state.items()}
    for position, info in enumerate(core.params()):
        core.set_param(position, np.ascontiguousarray(values.pop(info.key)))
    assert not values
    return core


def states(torch: Any, reference: Any, pictures: list[Any]) -> dict[str, Any]:
    """Return what transformers computes, the pictures one after another."""
    found: dict[str, list[Any]] = {}
    decoder, layers = reference.model.decoder, []
    hooks = [one.register_forward_hook(lambda *a: layers.append(a[2])) for one in decoder.layers]
    for picture in pictures:
        layers.clear()
        given = torch.from_numpy(picture).permute(2, 0, 1)[None]
        out = reference(given, output_hidden_states=True)
        grid = reference.model.backbone.model(given).feature_maps[-1]
        own = {"hidden_states.top": grid[0].flatten(1).T}
        own |= {f"encoder.{k}": one[0] for k, one in enumerate(out.encoder_hidden_states)}
        own["hidden"] = own.pop(f"encoder.{len(out.encoder_hidden_states) - 1}")
        own["pooled"] = own["hidden"].mean(0, keepdim=True)
        for k, one in enumerate(layers):
            own[f"decoder.{k + 1}"] = one[0]
            own[f"queries.{k}"] = decoder.layernorm(one[0])
        own["queries"] = out.last_hidden_state[0]
        for name, value in own.items():
            found.setdefault(name, []).append(value)
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(values) for name, values in found.items()}


@pytest.mark.parametrize("changes", [{}, BOTTLENECKS], ids=["basic", "bottleneck"])
def test_states_and_gradients(torch: Any, transformers: Any, changes: dict[str, Any]) -> None:
    reference = hugging_face_detr(torch, transformers, **changes)
    core, pictures = same_core(reference, **changes), pictures_of()
    reference.requires_grad_(True)
    wanted = states(torch, reference, pictures)
    top = len({**CONFIG, **changes}["backbone_config"]["depths"])
    wanted[f"hidden_states.{top}"] = wanted.pop("hidden_states.top")
    batch = grid_batch(core, pictures)
    for name, found in zip(wanted, core.forward(batch, list(wanted)), strict=True):
        assert difference(found, wanted[name].detach().numpy()) < CLOSE, name
    random = np.random.default_rng(9)
    given = {
        name: random.normal(size=wanted[name].shape).astype(np.float32)
        for name in ("queries.0", "queries")
    }
    sum((wanted[name] * torch.from_numpy(one)).sum() for name, one in given.items()).backward()
    gradients = {
        DETR.key_of(DETR.plain_name(name)): one.grad.numpy()
        for name, one in reference.model.named_parameters()
    }
    # The first attention between queries sees equal values: gradients of its queries and keys are 0
    # but for rounding, so they are small against those of others.
    least = 1e-3 * max(float(np.abs(one).max()) for one in gradients.values())
    for budget in (1, 1 << 40):  # a picture at a time, all at once
        core.train_gradients(batch, [], given, token_budget=budget, dropout=False)
        for position, info in enumerate(core.params()):
            if "normalization" not in info.key:
                found = core.gradient(position)
                assert difference(found, gradients[info.key], least) < CLOSE, (budget, info.key)


def written(torch: Any, transformers: Any, folder: Path) -> Any:
    """Write a detector as transformers does; return it."""
    made = hugging_face_detr(torch, transformers)
    made.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return made


def photographs() -> Any:
    random = np.random.default_rng(5)
    return [random.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in SIZES]


def test_a_folder_comes_and_goes_back(torch: Any, transformers: Any, tmp_path: Path) -> None:
    made = written(torch, transformers, tmp_path / "theirs")
    model = mtf.MultiTaskModel.from_pretrained(tmp_path / "theirs")
    found = model.forward(photographs(), ["queries"])["queries"]
    encoded = model._encoder.encode_images(photographs()).pack()
    widths, rows = encoded.widths["pixels"], encoded.offsets["pixels"]
    pictures = [
        encoded.inputs["pixels"][a:b].reshape(-1, int(width), 3)
        for a, b, width in zip(rows[:-1], rows[1:], widths, strict=True)
    ]
    with torch.no_grad():
        assert difference(found, states(torch, made, pictures)["queries"].numpy()) < CLOSE
    model.save_pretrained(tmp_path / "ours")
    auto = transformers.AutoModelForObjectDetection
    back, info = auto.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "mismatched_keys", "unexpected_keys"))
    given = torch.from_numpy(pictures[0]).permute(2, 0, 1)[None]
    with torch.no_grad():
        first, second = made(given), back.eval()(given)
    assert torch.equal(first.logits, second.logits)
    assert torch.equal(first.pred_boxes, second.pred_boxes)
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "ours")
    assert again.forward(photographs(), ["queries"])["queries"].tobytes() == found.tobytes()


def test_tensors_under_the_names_of_timm(torch: Any, transformers: Any, tmp_path: Path) -> None:
    """Files as the hub has them name the network and its tensors as timm does, and so do ours."""
    network = {
        **CONFIG["backbone_config"],
        "embedding_size": 64,
        "hidden_sizes": [64, 128, 256, 512],
        "depths": [2, 2, 2, 2],
        "out_features": ["stage4"],
    }
    made = hugging_face_detr(torch, transformers, backbone_config=network)
    made.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    plain = mtf.MultiTaskModel.from_pretrained(tmp_path / "theirs")
    stem = "model.backbone.conv_encoder.model."
    tensors = {
        stem + to_torchvision(name.removeprefix(stem)) if name.startswith(stem) else name: one
        for name, one in load_file(tmp_path / "theirs" / "model.safetensors").items()
    }
    assert {f"{stem}conv1.weight", f"{stem}layer4.0.downsample.1.running_var"} <= tensors.keys()
    folder = tmp_path / "timm"
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    config |= {"backbone": "resnet18", "use_timm_backbone": True, "backbone_config": None}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    model = mtf.MultiTaskModel.from_pretrained(folder)
    assert model.encode(photographs()).tobytes() == plain.encode(photographs()).tobytes()
    kept = load_file(model.save_pretrained(tmp_path / "ours") / "model.safetensors")
    assert kept.keys() == tensors.keys()
    assert all(kept[name].tobytes() == tensors[name].tobytes() for name in kept)
