# SPDX-License-Identifier: Apache-2.0
"""Whole folders of DetrForObjectDetection, read and written: transformers finds the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from support.detection import scenes
from support.detr import hugging_face_detr

torch = pytest.importorskip("torch", reason="transformers runs on torch")
transformers = pytest.importorskip("transformers", reason="the library to be equal to")

PICTURES = [picture for picture, _ in scenes(3)]
TOLERANCE = 2e-4
"""Pixels of pictures of 60; scores are far below it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("parity") / "detr"
    model = hugging_face_detr(torch, transformers)
    names = ["N/A", "cat", "N/A", "dog"]
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {}
    model.save_pretrained(place)
    processor = {
        "image_processor_type": "DetrImageProcessor",
        "size": {"shortest_edge": 40, "longest_edge": 64},
    }
    (place / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")
    return place


def by_transformers(folder: Path, threshold: float) -> list[dict[str, Any]]:
    """Return what transformers finds in each picture, alone at its own size."""
    model = transformers.DetrForObjectDetection.from_pretrained(folder).eval()
    processor = transformers.DetrImageProcessorPil.from_pretrained(folder)
    found = []
    for picture in PICTURES:
        with torch.no_grad():
            outputs = model(**processor(images=[picture], return_tensors="pt"))
        found += processor.post_process_object_detection(
            outputs, threshold=threshold, target_sizes=[picture.shape[:2]]
        )
    return found


def check(ours: Any, theirs: list[dict[str, Any]], names: tuple[str, ...]) -> int:
    """Compare answers as sets of boxes, the surest first; return how many there are."""
    for one, other in zip(ours, theirs, strict=True):
        order = np.argsort(-other["scores"].numpy(), kind="stable")
        np.testing.assert_allclose(one["scores"], other["scores"].numpy()[order], atol=1e-6)
        assert len(one["labels"]) == len(order)
        for label, box in zip(one["labels"], one["boxes"], strict=True):
            distances = np.abs(other["boxes"].numpy() - box).max(axis=1)
            nearest = int(distances.argmin())
            assert distances[nearest] < TOLERANCE
            assert names[int(other["labels"][nearest])] == label
    return sum(len(one["labels"]) for one in ours)


def test_a_folder_answers_as_in_transformers(folder: Path) -> None:
    model = mtf.MultiTaskModel.from_pretrained(folder).add_head("found", from_pretrained=folder)
    assert model.heads["found"].labels == ("N/A", "cat", "N/A (2)", "dog")
    assert model.heads["found"].trained
    for threshold in (0.0, 0.3):
        answers = model.predict("found", PICTURES, threshold=threshold)
        n = check(answers, by_transformers(folder, threshold), model.heads["found"].labels)
        assert n == 15 if threshold == 0.0 else n < 15


def test_a_trained_head_is_read_by_transformers(folder: Path, tmp_path: Path) -> None:
    model = mtf.MultiTaskModel.from_pretrained(folder).add_head("found", from_pretrained=folder)
    rows = [(PICTURES[0], [mtf.Box("cat", 3, 3, 30, 40)]), (PICTURES[1], [])]
    model.freeze("backbone").step({"found": mtf.Task(train=rows)}, learning_rate=1e-3)
    place = model.save_pretrained(tmp_path / "task", head="found")
    answers = model.predict("found", PICTURES, threshold=0.0)
    assert check(answers, by_transformers(place, 0.0), model.heads["found"].labels) == 15
    config = json.loads((place / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["DetrForObjectDetection"]
    assert config["id2label"]["3"] == "dog"


def test_a_saved_model_is_without_the_head_that_its_own_took_over_from(
    folder: Path, tmp_path: Path, command: Any
) -> None:
    """transformers would find boxes with the old one, behind a transformer that is another now."""
    loaded = mtf.MultiTaskModel.from_pretrained(folder)
    old = {name for name in loaded.unused if name.startswith(("class_labels", "bbox_pred"))}
    assert len(old) == 8
    alone = mtf.MultiTaskModel.from_pretrained(loaded.save_pretrained(tmp_path / "alone"))
    assert set(alone.unused) >= old  # there is no head in its place
    model = loaded.add_head("found", mtf.Detection(["cat", "dog"]))
    rows = [(PICTURES[0], [mtf.Box("cat", 3, 3, 30, 40)]), (PICTURES[1], [])]
    mtf.fit(model, {"found": mtf.Task(train=rows)}, epochs=1, start="cold", progress=False)
    assert set(model.unused) >= old
    place = model.save_pretrained(tmp_path / "saved")
    again = mtf.MultiTaskModel.from_pretrained(place)
    assert not old & set(again.unused)
    found = [one.predict("found", PICTURES, threshold=0.0) for one in (model, again)]
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours["boxes"], theirs["boxes"])
    assert command("verify", place)[0] == 0
    own = json.loads((place / "mtfreeze.json").read_text("utf-8"))
    config = json.loads((place / "config.json").read_text("utf-8"))
    assert own["last_run"] and config["architectures"] == ["DetrModel"]
    assert not {"id2label", "label2id"} & set(config)
    again.save_pretrained(tmp_path / "again")  # as the run left it, still
    told = json.loads((tmp_path / "again" / "mtfreeze.json").read_text("utf-8"))
    assert told["last_run"] == own["last_run"]

    theirs_model, info = transformers.DetrModel.from_pretrained(place, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    processor = transformers.DetrImageProcessorPil.from_pretrained(place)
    with torch.no_grad():
        states = theirs_model.eval()(**processor(images=PICTURES[:1], return_tensors="pt"))
    found = model.forward(PICTURES[:1], ["queries"])["queries"]
    np.testing.assert_allclose(found, states.last_hidden_state[0].numpy(), atol=1e-4)


def test_a_folder_without_its_head_is_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors.pop("bbox_predictor.layers.1.bias")
    place = tmp_path / "part"
    place.mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        (place / name).write_bytes((folder / name).read_bytes())
    save_file(tensors, place / "model.safetensors")
    model = mtf.MultiTaskModel.from_pretrained(folder)
    with pytest.raises(mtf.CheckpointError, match=r"'bbox_predictor.layers.1.bias' of a detection"):
        model.add_head("found", from_pretrained=place)
