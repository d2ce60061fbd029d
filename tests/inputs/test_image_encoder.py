# SPDX-License-Identifier: Apache-2.0
"""Prepared images: what does not fit into memory is read again, and what is no image is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data.examples import as_examples
from mtfreeze.inputs import image_encoder
from mtfreeze.inputs.row_encoding import JOINT, PAIRED, PLAIN, RowEncoding, Varied
from support.made_up_images import file_bytes
from support.vision_folders import SIDE, coloured, vision_model, write_vision_folder

pytest.importorskip("PIL", reason="Pillow is not installed")

SETTINGS: dict[str, Any] = {"learning_rate": 5e-3, "batch_size": 4, "progress": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vision_folder(tmp_path_factory.mktemp("vision") / "vit")


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[Path, str]]:
    rows = []
    for number, (pixels, label) in enumerate(coloured(9)):
        path = tmp_path / f"{number}.png"
        path.write_bytes(file_bytes(pixels, "PNG"))
        rows.append((path, label))
    return rows


@pytest.fixture
def room_for_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_encoder, "_KEPT_BYTES", 2 * SIDE * SIDE * 3)


def bits(model: mtf.MultiTaskModel) -> dict[str, bytes]:
    return {key: values.tobytes() for key, values in model.parameters().items()}


@pytest.mark.parametrize("augment", [None, mtf.Augment(variants=2)])
def test_images_that_are_not_kept_change_no_bit(
    folder: Path,
    files: list[tuple[Path, str]],
    augment: mtf.Augment | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[dict[str, bytes]] = []
    held = []
    for room in (1 << 30, 2 * SIDE * SIDE * 3):
        monkeypatch.setattr(image_encoder, "_KEPT_BYTES", room)
        model = vision_model(folder)
        task = mtf.Task(train=files, eval=files, augment=augment)
        mtf.fit(model, {"colour": task}, epochs=2, cache=False, **SETTINGS)
        found.append(bits(model))
        encoded = model.encoder.encode_images([path for path, _ in files], augment)
        assert len(encoded) == 9 * (1 if augment is None else 2)
        found.append({str(at): encoded[at].tobytes() for at in range(-1, len(encoded))})
        held.append(encoded.n_bytes)
    assert held[0] - held[1] == (len(encoded) - 2) * SIDE * SIDE * 3
    assert found[0] == found[2] and found[1] == found[3]


@pytest.mark.usefixtures("room_for_two")
def test_another_image_of_the_name_is_noticed(folder: Path, files: list[tuple[Path, str]]) -> None:
    encoded = vision_model(folder).encoder.encode_images([path for path, _ in files])
    before = encoded.pack([0, 8])
    files[8][0].write_bytes(file_bytes(coloured(1, 5)[0][0], "PNG"))
    with pytest.raises(mtf.DataError, match=r"8\.png: expected the image that was read before; f"):
        encoded.pack([0, 8])
    files[8][0].write_bytes(file_bytes(coloured(9)[8][0], "BMP"))  # the same pixels
    np.testing.assert_array_equal(encoded.pack([0, 8]).inputs["pixels"], before.inputs["pixels"])


def test_an_image_smaller_than_a_patch(folder: Path, tmp_path: Path) -> None:
    """Where images may have any size, each must have a patch at least."""
    other = tmp_path / "any"
    other.mkdir()
    for file in folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    (other / "preprocessor_config.json").write_text(
        '{"image_processor_type": "ViTImageProcessor", "do_resize": false}'
    )
    model = mtf.MultiTaskModel.from_pretrained(other, interpolate_positions=True)
    side = model.encoder.patch
    assert model.encode([np.zeros((side, 2 * side, 3), np.uint8)]).shape == (1, 24)
    with pytest.raises(mtf.DataError, match=rf"image 1: expected an image of at least {side} x"):
        model.encode([np.zeros((side, size, 3), np.uint8) for size in (side, side - 1)])


def test_a_folder_that_does_not_say_how_images_are_prepared(folder: Path, tmp_path: Path) -> None:
    """They are as published models of the family want them, at the model's own size, said once."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in folder.iterdir():
        if file.name != "preprocessor_config.json":
            (bare / file.name).write_bytes(file.read_bytes())
    with pytest.warns(
        mtf.ImageWarning, match=r"preprocessor_config\.json.*published models .*'vit'"
    ):
        model = mtf.MultiTaskModel.from_pretrained(bare)
    pictures = [picture for picture, _ in coloured(3)]
    assert model.encoder.processor.size == {"height": SIDE, "width": SIDE}
    model.save_pretrained(tmp_path / "saved")
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "saved")
    assert again.encode(pictures).tobytes() == model.encode(pictures).tobytes()


def test_settings_of_texts_are_refused(folder: Path, tiny_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.ConfigError, match=r"max_length is of models that read texts; found 8"):
        mtf.MultiTaskModel.from_pretrained(folder, max_length=8)
    pictures = [picture for picture, _ in coloured(2)]
    with pytest.raises(mtf.ConfigError, match="a prompt stands before texts; found 'q: ' for imag"):
        vision_model(folder).encode(pictures, prompt="q: ")
    with pytest.raises(mtf.DataError, match="this model reads texts; found 2 images; load a model"):
        tiny_model.encode(pictures)


@pytest.mark.parametrize("encoding", [JOINT, PAIRED])
def test_an_image_is_read_alone(folder: Path, encoding: RowEncoding) -> None:
    """Kinds of heads may read rows as they like: what is no image a row is refused by name."""
    model = vision_model(folder)
    rows = as_examples(coloured(2), "eval")
    with pytest.raises(mtf.DataError, match=r"eval: expected a head that reads one image a row"):
        model.encoder.encode_examples(rows, encoding)
    with pytest.raises(mtf.DataError, match=r"expected .*texts; found an image"):
        encoding.check(rows)
    with pytest.raises(mtf.ConfigError, match=r"augment= varies images; found a head"):
        encoding.varied(mtf.Augment())
    encoded = model.encoder.encode_examples(rows, PLAIN)
    with pytest.raises(mtf.DataError, match="expected one image a row; found several"):
        encoded.of_rows([2])


def test_only_images_are_varied() -> None:
    for row, found in ((("a text", "red"), "one text"), ((["two", "words"], ["O", "O"]), "words")):
        with pytest.raises(mtf.DataError, match=rf"expected an image, which augment= .*{found}; l"):
            Varied(mtf.Augment()).check(as_examples([row], "train"))
    with pytest.raises(TypeError, match=r"augment must be mtf\.Augment\(\.\.\.\); found"):
        mtf.Task(train=coloured(2), augment={"variants": 3})  # type: ignore[arg-type]


def test_what_is_no_image_is_refused_by_its_kind(folder: Path) -> None:
    encoder = vision_model(folder).encoder
    for call, found in (
        (lambda: encoder.encode_texts(["a"]), "texts"),
        (lambda: encoder.encode_words([["a", "b"]]), "words"),
        (lambda: encoder.encode_pairs([("a", "b")]), "pairs of texts"),
        (lambda: encoder.vocabulary(30), "a head of words"),
    ):
        with pytest.raises(mtf.DataError, match=f"this model reads images; found {found}; give pa"):
            call()


def test_features_of_images_are_made_of_those_below_them(folder: Path) -> None:
    """What one layer gave is stored; a run over a higher frozen layer goes on from there."""
    task = {"colour": mtf.Task(train=coloured(9), eval=coloured(6, 1))}
    found = []
    for cache in ("memory", False):
        model = vision_model(folder)
        for frozen in ("backbone[:1]", "backbone"):
            model.unfreeze().freeze(frozen)
            mtf.fit(model, task, epochs=1, cache=cache, **SETTINGS)
        found.append(bits(model))
    assert found[0] == found[1]
