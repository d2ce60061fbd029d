# SPDX-License-Identifier: Apache-2.0
"""Models of images from the folder to the comparison: what holds of texts holds of images."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.images import Processor
from support.residual import write_residual_folder
from support.tiny_bert import write_json
from support.vision import image_batch
from support.vision_folders import COLOURS, SIDE, coloured, vision_model, write_vision_folder

ROWS = coloured(24)
PICTURES = [picture for picture, _ in ROWS]
SETTINGS: dict[str, Any] = {"learning_rate": 5e-3, "batch_size": 8, "progress": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vision_folder(tmp_path_factory.mktemp("vision") / "vit")


@pytest.fixture
def model(folder: Path) -> mtf.MultiTaskModel:
    return vision_model(folder)


def tasks(**more: Any) -> dict[str, mtf.Task]:
    return {"colour": mtf.Task(train=ROWS, eval=coloured(12, 1), **more)}


def same_bits(one: mtf.MultiTaskModel, other: mtf.MultiTaskModel) -> bool:
    ours, theirs = one.parameters(), other.parameters()
    return ours.keys() == theirs.keys() and all(
        ours[key].tobytes() == theirs[key].tobytes() for key in ours
    )


# ---- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["cls", "mean", "cls+mean", "max"])
def test_encode_gives_what_the_core_makes_of_prepared_pixels(folder: Path, pooling: str) -> None:
    model = mtf.MultiTaskModel.from_pretrained(folder, pooling=pooling)
    processor = Processor.from_json((folder / "preprocessor_config.json").read_bytes())
    prepared = [processor.floats(processor.uint8(mtf.Picture(one))) for one in PICTURES]
    assert prepared[0].shape == (SIDE, SIDE, 3)
    (expected,) = model._core.forward(image_batch(model._core, prepared), ["embedding"])
    found = model.encode(PICTURES)
    np.testing.assert_array_equal(found, expected)
    assert len({row.tobytes() for row in found}) == len(PICTURES)
    assert model.encode(PICTURES[3:4]).tobytes() == expected[3:4].tobytes()
    assert model.encode([]).shape == (0, expected.shape[1])


def test_however_a_picture_is_given_it_is_the_same(
    model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs the extra vision")
    drawn = image.fromarray(PICTURES[0])
    drawn.save(tmp_path / "a.png")
    ways = [PICTURES[0], drawn, tmp_path / "a.png", mtf.Picture(tmp_path / "a.png")]
    assert len({row.tobytes() for row in model.encode(ways)}) == 1
    assert len({tuple(row) for row in model.predict_proba("colour", ways)}) == 1
    for alone in (str(tmp_path / "a.png"), mtf.Picture(PICTURES[0])):
        assert np.array_equal(model.encode(alone), model.encode(ways)[0])
        assert model.predict("colour", alone) == model.predict("colour", ways)[0]


def test_images_of_another_grid_need_leave(folder: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide"
    wide.mkdir()
    for file in folder.iterdir():
        text = file.read_bytes().replace(b'"width": 20', b'"width": 28')
        (wide / file.name).write_bytes(text)
    model = mtf.MultiTaskModel.from_pretrained(wide)
    with pytest.raises(mtf.DataError, match=r"expected an image of 20 x 20 .* found 20 x 28") as e:
        model.encode(PICTURES[:1])
    assert "interpolate_positions=True" in str(e.value)
    free = mtf.MultiTaskModel.from_pretrained(wide, interpolate_positions=True)
    assert free.forward(PICTURES[:2], ["hidden"])["hidden"].shape == (2 * (5 * 7 + 1), 24)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a text"], "a text: expected an image; found no such file"),
        ([["several", "words"]], "image 0: expected"),
        ("alone.png", "found no such file"),
        (PICTURES[0], "put it into a list"),
        ([PICTURES[0].astype(np.float32)], "uint8"),
        ([PICTURES[0][:0]], "image 0"),
        ([None], "image 0"),
        ([Path("there/is/none.png")], "none.png"),
    ],
)
def test_what_is_no_image_is_refused(model: mtf.MultiTaskModel, rows: Any, said: str) -> None:
    before = model.encode(PICTURES[:2])
    with pytest.raises((mtf.DataError, TypeError)) as refusal:
        model.encode(rows)
    assert said in str(refusal.value)
    np.testing.assert_array_equal(model.encode(PICTURES[:2]), before)


def test_rows_of_texts_and_heads_of_texts_are_refused(model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.DataError, match="reads images"):
        mtf.fit(model, {"colour": mtf.Task(train=[("a text", "red")])}, progress=False)
    for head in (
        mtf.TokenClassification(["O", "B-a"]),
        mtf.QuestionAnswering(),
        mtf.MaskedLM(),
        mtf.PairClassification(["a", "b"]),
        mtf.Similarity(),
    ):
        with pytest.raises(mtf.ConfigError, match=r"expected a (head|model) that reads .*; found"):
            model.add_head("other", head)
        assert "other" not in model.heads


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (([PICTURES[0], PICTURES[1]], "red"), "expected one image a row; found a list of 2"),
        ((PICTURES[0], ["red", "blue"]), "labels whole images: expected one label; found 2 labels"),
        ((PICTURES[0], "rde"), "unknown label 'rde' .* did you mean 'red'"),
        ((PICTURES[0].astype(float), "red"), "row 0"),
    ],
)
def test_rows_that_no_head_can_learn_from_are_named(
    model: mtf.MultiTaskModel, row: Any, said: str
) -> None:
    with pytest.raises((mtf.DataError, TypeError), match=said) as refusal:
        mtf.fit(model, {"colour": mtf.Task(train=[row])}, progress=False)
    assert "\n" not in str(refusal.value) and "text" not in str(refusal.value)


# ---- training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", ["backbone", "backbone[:1]"])
@pytest.mark.parametrize("augment", [None, mtf.Augment(variants=2)])
def test_a_cached_prefix_changes_no_bit(
    model: mtf.MultiTaskModel, frozen: str, augment: mtf.Augment | None
) -> None:
    before = {key: values.tobytes() for key, values in model.parameters().items()}
    found = []
    for cache in ("memory", False):
        one = model.copy().freeze(frozen)
        run = mtf.fit(one, tasks(augment=augment), epochs=3, cache=cache, **SETTINGS)
        assert run.verify_frozen()
        found.append((one, run))
    (cached, with_cache), (plain, without) = found
    assert same_bits(cached, plain)
    timed = {key for key in without.metrics if "runtime" in key or "per_second" in key}
    for key in without.metrics.keys() - timed:
        assert with_cache.metrics[key] == without.metrics[key], key
    after = {key: values.tobytes() for key, values in cached.parameters().items()}
    moved = {key for key, values in after.items() if values != before[key]}
    trained = {key for key in moved if cached.trainable(key)}
    assert moved == trained and any(key.startswith("colour.") for key in moved)
    assert any(key.startswith("backbone.encoder.layer.1.") for key in moved) == (
        frozen != "backbone"
    )


def test_a_head_learns_what_pictures_show_and_the_folder_keeps_it(
    model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    run = mtf.fit(model, tasks(), epochs=12, **SETTINGS)
    assert run.metrics["eval_colour_accuracy"] == 1.0
    pictures = [picture for picture, _ in coloured(9, 2)]
    assert list(model.predict("colour", pictures)) == ["red", "green", "blue"][::-1] * 3
    model.save_pretrained(tmp_path / "saved")
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "saved")
    assert same_bits(model, again)
    np.testing.assert_array_equal(model.encode(pictures), again.encode(pictures))
    for one in (again, model.copy()):
        np.testing.assert_array_equal(
            model.predict_proba("colour", pictures), one.predict_proba("colour", pictures)
        )
    assert mtf.evaluate(again, tasks())["eval_colour_accuracy"] == 1.0


def test_two_heads_share_a_pass_of_their_images(model: mtf.MultiTaskModel) -> None:
    model.add_head("bright", mtf.Regression(dropout=0.0)).freeze("backbone[:1]")
    rows = [
        {"image": picture, "labels": {"colour": label, "bright": float(picture.mean() / 255)}}
        for picture, label in ROWS
    ]
    joint = {name: mtf.Task(train=rows, eval=rows) for name in ("colour", "bright")}
    run = mtf.fit(model, joint, epochs=3, mixing="joint", **SETTINGS)
    assert run.verify_frozen()
    assert {"eval_colour_accuracy", "eval_bright_loss"} <= run.metrics.keys()
    answers = model.predict_all(PICTURES[:4])
    assert set(answers) == {"colour", "bright"} and set(answers["colour"]) <= set(COLOURS)


def test_a_run_goes_on_from_its_checkpoint(folder: Path, tmp_path: Path) -> None:
    class Interrupting(mtf.Callback):
        def on_step_end(self, context: Any) -> None:
            if context.step == 5:
                signal.raise_signal(signal.SIGINT)

    data = tasks(augment=mtf.Augment(variants=2))
    whole, parts = (vision_model(folder).freeze("backbone[:1]") for _ in range(2))
    mtf.fit(whole, data, epochs=3, **SETTINGS)
    cut = {**SETTINGS, "epochs": 3, "save_every": 2, "output_dir": tmp_path / "run"}
    assert mtf.fit(parts, data, callbacks=[Interrupting()], **cut).interrupted
    assert not same_bits(whole, parts)
    again = vision_model(folder).freeze("backbone[:1]")
    assert not mtf.fit(again, data, resume=True, **cut).interrupted
    assert same_bits(whole, again)


@pytest.mark.parametrize(("name", "least"), [("bf16", 0.999), ("int8", 0.98)])
def test_frozen_parts_run_in_lower_precision(tmp_path: Path, name: str, least: float) -> None:
    wide = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 512}
    model = vision_model(write_vision_folder(tmp_path / "wide", scale=0.04, **wide))
    exact, lower = model.encode(PICTURES), model.encode(PICTURES, precision=name)
    assert exact.tobytes() != lower.tobytes()
    norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(lower, axis=1)
    assert least < (np.einsum("nc,nc->n", exact, lower) / norms).min()
    model.freeze("backbone", precision=name)
    assert mtf.fit(model, tasks(), epochs=1, **SETTINGS).verify_frozen()
    np.testing.assert_array_equal(model.encode(PICTURES), lower)


# ---- advice --------------------------------------------------------------------------------------


def test_prices_are_of_what_runs(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone[:1]")
    expected = mtf.estimate(model, tasks(), epochs=2, batch_size=8, progress=False)
    run = mtf.fit(model, tasks(), epochs=2, **SETTINGS)
    done = [(one.flops, one.n_steps) for one in run.costs]
    assert done == [(one.flops, one.n_steps) for one in expected.phases] and len(done) == 2


def test_what_is_said_is_said_of_images(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone[:1]")
    data = tasks()
    advice = mtf.recommend(model, data, progress=False)
    comparison = mtf.compare(
        model, data, modes=["backbone", "backbone[:1]", "none"], seeds=1, epochs=1, **SETTINGS
    )
    said = {
        "explain": model.explain(),
        "summary": str(model.summary()),
        "html": model._repr_html_(),
        "estimate": str(mtf.estimate(model, data, epochs=2, progress=False)),
        "advice": str(advice),
        "comparison": str(comparison),
        "rows": repr(data["colour"].train),
    }
    for where, text in said.items():
        text = text.replace("text-align", "")
        assert "text" not in text, f"{where}: {text}"
        assert "word" not in text, f"{where}: {text}"
    assert [one for one in said["comparison"].split("\n") if one.startswith("backbone[:1]")]
    assert "24 images" in said["rows"] and "24 training images" in said["advice"]
    assert "vision model" in said["advice"] and "poor summary" not in said["advice"]


def test_a_comparison_varies_pictures_as_a_run_does(model: mtf.MultiTaskModel) -> None:
    augment = mtf.Augment(variants=2, crop=(0.3, 0.6))
    # Trained heads go into a comparison as they are.
    mtf.fit(model.freeze("backbone"), tasks(), epochs=1, **SETTINGS)
    given = tasks(augment=augment)
    options: dict[str, Any] = {"epochs": 3, **SETTINGS}
    comparison = mtf.compare(model, given, modes=["backbone[:1]"], seeds=1, **options)
    run = mtf.fit(model.copy().unfreeze().freeze("backbone[:1]"), given, **options)
    plain = mtf.fit(model.copy().unfreeze().freeze("backbone[:1]"), tasks(), **options)
    losses = [row["loss"] for row in comparison.runs[-1].history if "loss" in row]
    assert losses == run.losses() != plain.losses()


@pytest.mark.parametrize("pooling", ["cls", "lasttoken", "mean+cls"])
def test_no_cell_of_a_grid_stands_for_the_image(tmp_path: Path, pooling: str) -> None:
    folder = write_residual_folder(tmp_path / "resnet")
    with pytest.raises(mtf.ConfigError, match="would read a corner of the image alone"):
        mtf.MultiTaskModel.from_pretrained(folder, pooling=pooling)
    model = mtf.MultiTaskModel.from_pretrained(folder)
    with pytest.raises(mtf.ConfigError, match=r"pooling of a head as one of 'mean', 'max'.*corner"):
        model.add_head("own", mtf.SequenceClassification(["a", "b"], pooling=pooling))
    model.save_pretrained(folder)
    own = json.loads((folder / "mtfreeze.json").read_text("utf-8"))
    write_json(folder / "mtfreeze.json", {**own, "pooling": pooling})
    with pytest.raises(mtf.ConfigError, match=r"pooling in the files of .* would read a corner"):
        mtf.MultiTaskModel.from_pretrained(folder)
    assert mtf.MultiTaskModel.from_pretrained(folder, pooling="max").pooling == "max"


def test_rows_of_images_that_are_most_wrong_are_named(model: mtf.MultiTaskModel) -> None:
    pixels, label = ROWS[0]
    task = mtf.Task(eval=[(mtf.Picture(pixels, "sky.png"), label)])
    (row,) = mtf.top_losses(model, {"colour": task}, progress=False)
    assert row.text == "sky.png" and row.gold == label


def test_one_image_is_no_list(model: mtf.MultiTaskModel) -> None:
    for call in (model.forward, model.encoder.encode_images):
        with pytest.raises(TypeError, match="expected a list of images; found one"):
            call("sky.png")  # type: ignore[operator]
