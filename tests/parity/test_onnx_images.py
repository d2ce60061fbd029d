# SPDX-License-Identifier: Apache-2.0
"""Models of images in ONNX: what ONNX Runtime gives of prepared pixels is what the model gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mtfreeze as mtf
from mtfreeze.families.resnet import RESNET
from support.detection import detector, write_detr_folder
from support.vision import CASES
from support.vision_folders import coloured, vision_model, write_resnet_folder, write_vision_folder

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

PICTURES = [picture for picture, _ in coloured(5)]
TOLERANCE = 1e-5
"""Of the largest value of an output."""

BOTTLENECK = {"layer_type": "bottleneck", "hidden_sizes": [16, 32]}
NETWORKS: dict[str, dict[str, Any]] = {
    "basic": {},
    "bottlenecks": {**BOTTLENECK, "depths": [1, 2]},
    "halved by a 1x1": {
        **BOTTLENECK,
        "depths": [2, 1],
        "downsample_in_bottleneck": True,
        "downsample_in_first_stage": True,
    },
}


def run(model: mtf.MultiTaskModel, file: Path, pictures: list[Any]) -> dict[str, NDArray[Any]]:
    """Run a file on pictures as the model's processor prepares them; rows as the core has them."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    processor = model.encoder.processor  # type: ignore[attr-defined]
    pixels = np.stack([processor.floats(processor.uint8(one)) for one in pictures])
    found = session.run(None, {"pixel_values": pixels.transpose(0, 3, 1, 2)})
    made = dict(zip([one.name for one in session.get_outputs()], found, strict=True))
    states = made["last_hidden_state"]
    if states.ndim == 4:
        states = states.transpose(0, 2, 3, 1)
    return {**made, "last_hidden_state": states.reshape(-1, states.shape[-1])}


def same(model: mtf.MultiTaskModel, folder: Path, pictures: list[Any] = PICTURES) -> None:
    """Export with the head, and compare everything."""
    found = run(model, model.export_onnx(folder, ["colour"]) / "onnx" / "model.onnx", pictures)
    wanted = model.forward(pictures, ["hidden", "embedding", "colour"])
    names = {"last_hidden_state": "hidden", "image_embedding": "embedding", "logits": "colour"}
    assert set(found) == set(names)
    for name, ours in names.items():
        most = np.abs(wanted[ours]).max()
        np.testing.assert_allclose(found[name], wanted[ours], rtol=0, atol=TOLERANCE * most)


@pytest.mark.parametrize("name", CASES)
def test_a_vision_transformer(name: str, tmp_path: Path) -> None:
    same(vision_model(write_vision_folder(tmp_path / "model", name)), tmp_path / "out")


@pytest.mark.parametrize("pooling", ["mean", "max", "lasttoken", "cls+mean"])
def test_poolings_leave_out_what_they_leave_out_here(pooling: str, tmp_path: Path) -> None:
    folder = write_vision_folder(tmp_path / "model", "dinov2_with_registers")
    same(vision_model(folder, pooling=pooling), tmp_path / "out")


def test_positions_are_those_of_the_size_that_is_exported(tmp_path: Path) -> None:
    """A table of 5 x 5 places, drawn over for 7 x 7; an adapter and a head of layers beside it."""
    folder = write_vision_folder(tmp_path / "model", "dinov2")
    processor = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
    processor["size"] = {"height": 28, "width": 28}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")
    model = mtf.MultiTaskModel.from_pretrained(folder).add_lora(rank=2)
    model.add_head("colour", mtf.SequenceClassification(["a", "b"], features="mix", hidden=(8,)))
    for key, values in model.parameters().items():
        if "lora_B" in key or key.startswith("colour."):
            model.set_parameter(key, values + np.float32(0.1))
    same(model, tmp_path / "out")
    graph = onnx.load(tmp_path / "out" / "onnx" / "model.onnx").graph
    (given,) = graph.input
    shape = [one.dim_param or one.dim_value for one in given.type.tensor_type.shape.dim]
    assert (given.name, shape) == ("pixel_values", ["batch", 3, 28, 28])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("norms", ["stored", "batch"])
def test_a_residual_network(name: str, norms: str, tmp_path: Path) -> None:
    folder = write_resnet_folder(tmp_path / "model", **NETWORKS[name])
    model = vision_model(folder, batch_norm=norms)
    same(model, tmp_path / "out")
    assert [one.name for one in (tmp_path / "out" / "onnx").iterdir()] == ["model.onnx"]


def test_a_residual_network_takes_any_size(tmp_path: Path) -> None:
    folder = write_resnet_folder(tmp_path / "model")
    processor = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
    (folder / "preprocessor_config.json").write_text(
        json.dumps({**processor, "do_resize": False}), "utf-8"
    )
    model = vision_model(folder)
    for side in (33, 50):
        same(model, tmp_path / "out", [np.full((side, side + 7, 3), side, np.uint8)])


def test_the_file_in_int8_is_near_and_the_folder_is_whole(tmp_path: Path) -> None:
    model = vision_model(write_vision_folder(tmp_path / "model"))
    folder = model.export_onnx(tmp_path / "out", ["colour"])
    found = run(model, folder / "onnx" / "model_quantized.onnx", PICTURES)["image_embedding"]
    wanted = model.encode(PICTURES)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    cosine = (found * wanted).sum(axis=1) / lengths
    assert cosine.min() > 0.99
    assert {one.name for one in folder.iterdir()} == {
        "config.json",
        "preprocessor_config.json",
        "onnx",
    }
    assert json.loads((folder / "config.json").read_text("utf-8"))["id2label"]["0"] == "blue"


def test_what_is_not_written_says_so(tmp_path: Path) -> None:
    detr = detector(write_detr_folder(tmp_path / "detr"))
    with pytest.raises(mtf.ConfigError, match=r"a vision transformer or a ResNet .*'detr'"):
        detr.export_onnx(tmp_path / "out")
    card = (detr.save_pretrained(tmp_path / "saved") / "README.md").read_text("utf-8")
    assert "ONNX" not in card
    folder = write_vision_folder(tmp_path / "model", "dinov2")
    processor = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
    (folder / "preprocessor_config.json").write_text(
        json.dumps({**processor, "image_processor_type": "BitImageProcessor",
                    "size": {"shortest_edge": 20}, "do_center_crop": False}), "utf-8"
    )  # fmt: skip
    with pytest.raises(mtf.ConfigError, match="expected images of one size"):
        vision_model(folder).export_onnx(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_windows_of_a_residual_network_are_those_of_its_grids(tmp_path: Path) -> None:
    """The stride that a label has is what turns the grid of its input into that of its output."""
    assert RESNET.window is not None
    for name, changes in NETWORKS.items():
        model = vision_model(write_resnet_folder(tmp_path / name, **changes))
        halved = [
            node.label
            for node in model._core.nodes()
            if node.op in ("convolution", "grid_max_pool")
            and RESNET.window(node.label, model.config)[1] == 2
            and not node.label.endswith("shortcut")
        ]
        assert len(halved) == len([one for one in model._core.spaces() if one.of])
