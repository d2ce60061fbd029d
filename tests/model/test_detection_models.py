# SPDX-License-Identifier: Apache-2.0
"""Detection heads on a tiny DETR: trained, cached, evaluated, asked, compared, saved and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from support.bits import bits
from support.detection import SHAPES, detector, scenes, write_detr_folder

ROWS = scenes(6)
PICTURES = [picture for picture, _ in ROWS]
TASKS = {"shapes": mtf.Task(train=ROWS, eval=ROWS)}
SETTINGS: dict[str, Any] = {"batch_size": 3, "progress": False, "learning_rate": 1e-3}

pytestmark = pytest.mark.filterwarnings("ignore::mtfreeze.notices.UntrainedHeadWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detr_folder(tmp_path_factory.mktemp("detection") / "detr")


def same(found: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Say whether answers are equal to the bit."""
    return all(
        a["labels"] == b["labels"]
        and np.array_equal(a["scores"], b["scores"])
        and np.array_equal(a["boxes"], b["boxes"])
        for a, b in zip(found, other, strict=True)
    )


def test_the_description_takes_the_model_s_queries(folder: Path) -> None:
    model = detector(folder)
    assert model.heads["shapes"].spec.to_dict()["queries"] == 5
    with pytest.raises(mtf.ConfigError, match="queries must be 5, as many as the model has"):
        model.add_head("more", mtf.Detection(SHAPES, queries=6))
    with pytest.raises(mtf.ConfigError, match="reserved"):
        model.add_head("queries", mtf.Detection(SHAPES))


def test_answers_do_not_depend_on_the_batch(folder: Path) -> None:
    model = detector(folder)
    together: Any = model.predict("shapes", PICTURES, threshold=0.0)
    alone: Any = [model.predict("shapes", [one], threshold=0.0)[0] for one in PICTURES]
    assert same(together, alone)
    for one in together:
        assert one["boxes"].dtype == one["scores"].dtype == np.float32
        assert len(one["scores"]) == len(one["labels"]) == len(one["boxes"]) == 5
        assert (np.diff(one["scores"]) <= 0).all()
    assert sum(len(one["scores"]) for one in model.predict("shapes", PICTURES)) < 30  # type: ignore[arg-type]


@pytest.mark.parametrize("auxiliary", [True, False])
def test_a_step_learns_and_an_evaluation_says_so(folder: Path, auxiliary: bool) -> None:
    model = detector(folder, auxiliary=auxiliary)
    before = mtf.evaluate(model, TASKS)
    run = mtf.fit(model, TASKS, epochs=12, **{**SETTINGS, "learning_rate": 3e-3})
    assert run.metrics["eval_shapes_loss"] < 0.9 * before["eval_shapes_loss"]
    assert set(run.metrics) >= {"eval_shapes_map", "eval_shapes_map_50"}
    layers = 3 if auxiliary else 1
    outputs = model.forward(PICTURES, ["shapes"])["shapes"]
    assert outputs.shape == (30, layers * (len(SHAPES) + 5))


def test_the_loss_of_a_step_of_one_image_is_that_of_its_evaluation(tmp_path: Path) -> None:
    model = detector(write_detr_folder(tmp_path / "detr", dropout=0.0))
    for row in ROWS[1:3]:
        task = {"shapes": mtf.Task(train=[row], eval=[row])}
        told = mtf.evaluate(model, task)["eval_shapes_loss"]
        assert model.step(task, learning_rate=0.0).losses["shapes"] == pytest.approx(told, rel=1e-5)


@pytest.mark.parametrize("frozen", ["backbone", "backbone[:1]", "encoder"])
def test_stored_features_train_to_the_same_bits(folder: Path, frozen: str) -> None:
    weights = []
    augment = mtf.Augment(crop=(0.4, 0.9), variants=3)
    for cache in (False, "memory"):
        model = detector(folder).freeze("backbone", frozen)
        kept = {k: v.copy() for k, v in model.parameters().items() if k.startswith("backbone.")}
        task = {"shapes": mtf.Task(train=ROWS, eval=ROWS, augment=augment)}
        mtf.fit(model, task, epochs=3, cache=cache, **SETTINGS)
        after = model.parameters()
        if frozen != "backbone[:1]":
            assert bits(kept) == bits({key: after[key] for key in kept})
        weights.append(bits(after))
    assert weights[0] == weights[1]


def test_tasks_of_images_and_of_boxes_share_rows(folder: Path) -> None:
    rows = mtf.Examples.from_rows(
        [
            {"image": picture, "labels": {"shapes": boxes, "any": "yes" if boxes else "no"}}
            for picture, boxes in ROWS
        ]
        + [{"image": PICTURES[0], "labels": {"any": "no"}}]
    )
    augment = mtf.Augment(variants=2)
    tasks = {name: mtf.Task(train=rows, eval=rows, augment=augment) for name in ("any", "shapes")}
    for mixing in ("joint", "proportional"):
        model = detector(folder).add_head("any", mtf.SequenceClassification(["no", "yes"]))
        run = mtf.fit(model, tasks, epochs=2, mixing=mixing, **SETTINGS)
        assert {"eval_any_accuracy", "eval_shapes_map"} <= set(run.metrics)


def test_tasks_of_other_images_share_a_step(folder: Path) -> None:
    """An image of one task teaches the other nothing: the loss is that of its own images."""
    losses = []
    for more in ({}, {"any": mtf.Task(train=[(PICTURES[2], "no"), (PICTURES[3], "yes")])}):
        model = detector(folder).add_head("any", mtf.SequenceClassification(["no", "yes"]))
        tasks = {"shapes": mtf.Task(train=ROWS[:2]), **more}
        run = mtf.fit(model, tasks, epochs=1, mixing="joint", **{**SETTINGS, "batch_size": 2})
        losses.append(run.losses("shapes")[0])
    assert losses[0] == losses[1]


def test_a_head_of_no_labels_is_damaged(folder: Path, tmp_path: Path) -> None:
    task_model = detector(folder).save_pretrained(tmp_path / "task", head="shapes")
    file = task_model / "model.safetensors"
    tensors = load_file(file)
    (name,) = (one for one in tensors if one.endswith("class_labels_classifier.weight"))
    save_file({**tensors, name: tensors[name][:1]}, file)
    with pytest.raises(mtf.CheckpointError, match="a row for each label and one for none; found"):
        mtf.MultiTaskModel.from_pretrained(folder).add_head("boxes", from_pretrained=task_model)


def test_a_comparison_judges_by_map(folder: Path) -> None:
    model = detector(folder)
    found = mtf.compare(
        model, TASKS, ["backbone", "heads"], epochs=1, seeds=1, batch_size=3, progress=False
    )
    scores = {run.scenario: run.tasks["shapes"] for run in found.runs}
    assert scores["majority"].value == 0.0
    assert {one.primary for one in scores.values()} == {"map"}
    assert all(one.counts.shape == (6, 20) for one in scores.values())
    assert "mAP" in str(found)


def test_a_saved_model_answers_the_same(folder: Path, tmp_path: Path) -> None:
    model = detector(folder, threshold=0.2)
    mtf.fit(model, TASKS, epochs=1, **SETTINGS)
    again = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "own"))
    assert again.heads["shapes"].spec == model.heads["shapes"].spec
    answers: Any = [one.predict("shapes", PICTURES) for one in (model, again)]
    assert same(*answers)
    added = again.add_head(
        "boxes", mtf.Detection(SHAPES, auxiliary=False), from_pretrained=tmp_path / "own"
    )
    parameters = added.parameters()
    assert np.array_equal(parameters["boxes.boxes.1.weight"], parameters["shapes.boxes.1.weight"])
    assert added.heads["boxes"].spec.to_dict()["auxiliary"] is False


def test_a_detection_head_is_a_task_model_of_transformers(folder: Path, tmp_path: Path) -> None:
    """That transformers answers the same, ``tests/parity/test_detection_folders.py`` says."""
    model = detector(folder)
    task_model = model.save_pretrained(tmp_path / "task", head="shapes")
    again = mtf.MultiTaskModel.from_pretrained(task_model).add_head(
        "again", from_pretrained=task_model
    )
    assert again.heads["again"].labels == SHAPES
    answers: Any = (
        model.predict("shapes", PICTURES, threshold=0.0),
        again.predict("again", PICTURES, threshold=0.0),
    )
    assert same(*answers)


def test_heads_over_other_models_say_what_is_missing(folder: Path, tmp_path: Path) -> None:
    from support.vision_folders import vision_model, write_vision_folder

    other = vision_model(write_vision_folder(tmp_path / "vit"))
    task_model = detector(folder).save_pretrained(tmp_path / "task", head="shapes")
    with pytest.raises(mtf.ConfigError, match=r"a detection model of the family 'vit'; found 'det"):
        other.add_head("boxes", from_pretrained=task_model)
    model = mtf.MultiTaskModel.from_pretrained(folder)
    with pytest.raises(mtf.ConfigError, match=r"fits the head in .*'detection'"):
        model.add_head("boxes", mtf.Regression(), from_pretrained=task_model)
    with pytest.raises(mtf.ConfigError, match=r"in the order of its logits: \['blue', 'red'\]"):
        model.add_head("boxes", mtf.Detection(["red", "blue"]), from_pretrained=task_model)


def test_more_boxes_than_queries_end_a_run_before_it_begins(folder: Path) -> None:
    model = detector(folder)
    rows = [(PICTURES[0], [mtf.Box("red", i, i, i + 9, i + 9) for i in range(6)])]
    with pytest.raises(mtf.DataError, match="at most 5 boxes, as many as the model has queries"):
        mtf.fit(model, {"shapes": mtf.Task(train=rows)}, epochs=1, **SETTINGS)


class PowerCut(mtf.Callback):
    """Ends a run in its seventh step."""

    n_steps = 0

    def on_step_end(self, context: Any) -> None:
        self.n_steps += 1
        if self.n_steps == 7:
            raise RuntimeError("the power went")


def test_runs_over_files_go_on_and_read_them_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = pytest.importorskip("PIL.Image", reason="images need Pillow")
    rows = []
    for number, (picture, boxes) in enumerate(ROWS):
        image.fromarray(picture).save(tmp_path / f"{number}.png")
        rows.append((tmp_path / f"{number}.png", boxes))
    augment = mtf.Augment(crop=(0.4, 0.9), variants=3)

    def trained(**more: Any) -> dict[str, bytes]:
        model = detector(folder).freeze("backbone")
        task = mtf.Task(train=rows, eval=rows, augment=augment)
        mtf.fit(model, {"shapes": task}, epochs=4, **SETTINGS, **more)
        return bits(model.parameters())

    whole = trained()
    with pytest.raises(RuntimeError, match="the power went"):
        trained(output_dir=tmp_path / "run", save_every=2, callbacks=[PowerCut()])
    assert trained(output_dir=tmp_path / "run", save_every=2, resume=True) == whole
    monkeypatch.setattr("mtfreeze.inputs.image_encoder._KEPT_BYTES", 0)
    assert trained() == whole
