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
from support.detection import SHAPES, detector, scenes, write_detr_folder
from support.doc_pages import blocks, run_python
from support.places import DOCS
from support.vision import CASES, SMALL_MOBILE, SMALL_VGG
from support.vision_folders import (
    coloured,
    vision_model,
    write_network_folder,
    write_resnet_folder,
    write_vision_folder,
)

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

PAGE = DOCS / "onnx.md"
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

VGGS: dict[str, dict[str, Any]] = {
    "plain": SMALL_VGG,
    "norms": {**SMALL_VGG, "use_batch_norm": True},
    "other parts": {**SMALL_VGG, "pooled_size": 3, "depths": [1, 1, 1], "hidden_sizes": [4, 6, 8]},
}
MOBILE = {"model_type": "mobilenet_v2", **SMALL_MOBILE}
MOBILES: dict[str, dict[str, Any]] = {
    "same borders": MOBILE,
    "even borders": {**MOBILE, "tf_padding": False},
    "expanded stem": {**MOBILE, "first_layer_is_expansion": False},
}
SIZES = [(33, 40), (50, 57), (64, 32)]
"""Heights and widths that windows leave nothing, or something, over of."""


def of_any_size() -> list[list[Any]]:
    """Return batches of two pictures, all of one batch of one size."""
    random = np.random.default_rng(4)
    return [
        [random.integers(0, 256, (*size, 3)).astype(np.uint8) for _ in range(2)] for size in SIZES
    ]


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


def network(folder: Path, config: dict[str, Any], **settings: Any) -> mtf.MultiTaskModel:
    """Return a network over pictures of the sizes that they have, which tells them apart.

    Convolutions keep the spread of their input, and what norms add reaches both bounds of relu6.
    """
    model = vision_model(write_network_folder(folder, config, do_resize=False), **settings)
    for key, values in model.parameters().items():
        if values.ndim == 4:
            model.set_parameter(key, values / (values.std() * values[0].size ** 0.5))
        elif "norm" in key and key.endswith("bias"):
            model.set_parameter(key, 1 + 10 * values)
        elif key.startswith("backbone.features.") and key.endswith("weight"):  # a norm of SMALL_VGG
            model.set_parameter(key, 1 + values)
    return model


def same(model: mtf.MultiTaskModel, folder: Path, pictures: list[Any] = PICTURES) -> None:
    """Export with the head, and compare everything."""
    found = run(model, model.export_onnx(folder, ["colour"]) / "onnx" / "model.onnx", pictures)
    wanted = model.forward(pictures, ["hidden", "embedding", "colour"])
    names = {"last_hidden_state": "hidden", "image_embedding": "embedding", "logits": "colour"}
    near(found, {name: wanted[ours] for name, ours in names.items()})


def near(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Hold outputs to those of the model, which differ between pictures."""
    assert set(found) == set(wanted)
    for name, ours in wanted.items():
        most = np.abs(ours).max()
        assert np.ptp(ours, axis=0).max() > 10 * TOLERANCE * most, name
        np.testing.assert_allclose(found[name], ours, rtol=0, atol=TOLERANCE * most, err_msg=name)


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
    config = json.loads((write_resnet_folder(tmp_path / "any") / "config.json").read_text("utf-8"))
    model = network(tmp_path / "model", config)
    for pictures in of_any_size():
        same(model, tmp_path / "out", pictures)


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


def test_images_of_many_sizes_for_a_table_of_positions_are_refused(tmp_path: Path) -> None:
    folder = write_vision_folder(tmp_path / "model", "dinov2")
    processor = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
    (folder / "preprocessor_config.json").write_text(
        json.dumps({**processor, "image_processor_type": "BitImageProcessor",
                    "size": {"shortest_edge": 20}, "do_center_crop": False}), "utf-8"
    )  # fmt: skip
    with pytest.raises(mtf.ConfigError, match="expected images of one size"):
        vision_model(folder).export_onnx(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", VGGS)
def test_a_vgg_of_any_size(name: str, tmp_path: Path) -> None:
    """Its parts of a grid are one row each, overlap, or are of several lengths."""
    model = network(tmp_path / "model", VGGS[name])
    for pictures in of_any_size():
        same(model, tmp_path / "out", pictures)


@pytest.mark.parametrize("config", [VGGS["norms"], MOBILE], ids=["vgg", "mobile"])
def test_norms_by_the_batch_go_by_what_they_stored(config: Any, tmp_path: Path) -> None:
    model = network(tmp_path / "model", config, batch_norm="batch").unfreeze()
    same(model, tmp_path / "out", of_any_size()[0])


def test_a_vgg_without_its_wide_layers(tmp_path: Path) -> None:
    model = network(tmp_path / "model", VGGS["norms"], pooling="max")
    same(model, tmp_path / "out", of_any_size()[0])
    assert [one.name for one in (tmp_path / "out" / "onnx").iterdir()] == ["model.onnx"]


def test_the_wide_layers_of_a_vgg_are_in_int8(tmp_path: Path) -> None:
    model = vision_model(write_network_folder(tmp_path / "model", SMALL_VGG))
    folder = model.export_onnx(tmp_path / "out") / "onnx"
    found = run(model, folder / "model_quantized.onnx", PICTURES)["image_embedding"]
    wanted = model.encode(PICTURES)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    assert ((found * wanted).sum(axis=1) / lengths).min() > 0.99
    held = onnx.load(folder / "model_quantized.onnx").graph.initializer
    kinds = {one.name: one.data_type for one in held}
    assert kinds["backbone.classifier.0.weight.transposed.int8"] == onnx.TensorProto.INT8


@pytest.mark.parametrize("name", MOBILES)
def test_a_mobile_network_of_any_size(name: str, tmp_path: Path) -> None:
    """Borders as TensorFlow's SAME depend on the side; values reach both bounds of relu6."""
    model = network(tmp_path / "model", MOBILES[name])
    for pictures in of_any_size():
        same(model, tmp_path / "out", pictures)
        states = model.forward(pictures, ["hidden"])["hidden"]
        assert (states == 0).any() and (states == 6).any()
    assert [one.name for one in (tmp_path / "out" / "onnx").iterdir()] == ["model.onnx"]


def detected(model: mtf.MultiTaskModel, file: Path, pictures: list[Any]) -> dict[str, Any]:
    """Run a file with one head that finds boxes, and hold it to the model."""
    found = run(model, file, pictures)
    wanted = model.forward(pictures, ["hidden", "embedding", "shapes"])
    n = len(SHAPES) + 1
    answers = wanted["shapes"].reshape(len(pictures), -1, wanted["shapes"].shape[-1])
    near(
        found,
        {
            "last_hidden_state": wanted["hidden"],
            "image_embedding": wanted["embedding"],
            "logits": answers[..., -n - 4 : -4],
            "pred_boxes": answers[..., -4:],
        },
    )
    return found


@pytest.mark.parametrize("auxiliary", [False, True])
def test_a_detector_answers_for_all_queries_at_any_size(auxiliary: bool, tmp_path: Path) -> None:
    model = detector(write_detr_folder(tmp_path / "model"), auxiliary=auxiliary)
    file = model.export_onnx(tmp_path / "out", ["shapes"]) / "onnx" / "model.onnx"
    detected(model, file, [pixels for pixels, _ in scenes(3)])
    for pictures in of_any_size():
        detected(model, file, pictures)
    assert [one.name for one in file.parent.iterdir()] == ["model.onnx"]
    graph = onnx.load(file).graph
    shapes = {
        one.name: [dim.dim_param or dim.dim_value for dim in one.type.tensor_type.shape.dim]
        for one in [*graph.input, *graph.output]
    }
    assert shapes == {
        "pixel_values": ["batch", 3, "height", "width"],
        "last_hidden_state": ["batch", "sequence", 24],
        "image_embedding": ["batch", 24],
        "logits": ["batch", "queries", len(SHAPES) + 1],
        "pred_boxes": ["batch", "queries", 4],
    }


def test_what_the_page_makes_of_a_detectors_outputs_is_what_predict_makes(tmp_path: Path) -> None:
    page: dict[str, Any] = {}
    (block,) = (one for one in blocks(PAGE) if "def found(" in one.text)
    run_python(block, PAGE, page)
    model = detector(write_detr_folder(tmp_path / "model"), threshold=0.0)
    file = model.export_onnx(tmp_path / "out", ["shapes"]) / "onnx" / "model.onnx"
    pictures = [pixels for pixels, _ in scenes(3)]
    given = run(model, file, pictures)
    height, width = pictures[0].shape[:2]
    answers = model.predict("shapes", pictures)
    n_told = 0
    between = float(answers[0]["scores"][1:3].mean())
    for threshold in (0.0, between):
        for logits, boxes, answer in zip(
            given["logits"], given["pred_boxes"], answers, strict=True
        ):
            made = page["found"](logits, boxes, SHAPES, width, height, threshold)
            n_told += len(made)
            told = [one for one in answer["scores"] if one >= threshold]
            scores, labels, corners = zip(*made, strict=True) if made else ((), (), ())
            np.testing.assert_allclose(scores, told, atol=1e-5)
            assert list(labels) == answer["labels"][: len(told)]
            if made:
                np.testing.assert_allclose(corners, answer["boxes"][: len(told)], atol=1e-3)
    assert 0 < n_told < 2 * sum(len(one["labels"]) for one in answers)


def test_a_detector_with_an_adapter_and_a_head_of_labels_beside(tmp_path: Path) -> None:
    model = detector(write_detr_folder(tmp_path / "model")).add_lora(rank=2)
    model.add_head("colour", mtf.SequenceClassification(["a", "b"], dropout=0.0))
    for key, values in model.parameters().items():
        if "lora_B" in key:
            model.set_parameter(key, values + np.float32(0.1))
    pictures = of_any_size()[1]
    file = model.export_onnx(tmp_path / "out", ["colour", "shapes"]) / "onnx" / "model.onnx"
    wanted = model.forward(pictures, ["hidden", "embedding", "colour", "shapes"])
    last = wanted["shapes"][:, -len(SHAPES) - 5 :].reshape(len(pictures), -1, len(SHAPES) + 5)
    names = {
        "last_hidden_state": wanted["hidden"],
        "image_embedding": wanted["embedding"],
        "colour_logits": wanted["colour"],
        "shapes_logits": last[..., :-4],
        "shapes_pred_boxes": last[..., -4:],
    }
    near(run(model, file, pictures), names)


def test_the_card_of_a_detector_says_how_to_write_it(tmp_path: Path) -> None:
    model = detector(write_detr_folder(tmp_path / "model"))
    card = (model.save_pretrained(tmp_path / "saved") / "README.md").read_text("utf-8")
    assert 'export_onnx("folder", heads=["shapes"])' in card
