# SPDX-License-Identifier: Apache-2.0
"""Pictures: what is decoded of files, arrays and images of Pillow, and by which rule."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from mtfreeze import ImageWarning, Picture
from support.made_up_images import file_bytes, pixels, png_of_16_bits

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

GREY = np.arange(0, 240, 5, dtype=np.uint8).reshape(6, 8)


def written(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "TGA"])
def test_formats_that_keep_every_value(kind: str, tmp_path: Path) -> None:
    array = pixels(9, 14)
    path = tmp_path / f"one.{kind.lower()}"
    path.write_bytes(file_bytes(array, kind))
    for picture in (Picture(path), Picture(str(path)), Picture(path.read_bytes())):
        assert picture.size() == (9, 14)
        found = picture.decode()
        assert found.dtype == np.uint8 and not found.flags.writeable
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "JPEG2000", "AVIF"])
def test_formats_that_lose_values_give_what_pillow_gives(kind: str) -> None:
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    data = file_bytes(pixels(16, 24), kind)
    np.testing.assert_array_equal(Picture(data).decode(), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_held_otherwise(orientation: int, kind: str) -> None:
    """The size is right before decoding, and the pixels are those of Pillow's own rule."""
    from PIL import ImageOps

    image = Image.fromarray(pixels(8, 24, seed=orientation))
    exif = image.getexif()
    exif[0x0112] = orientation
    data = written(image, kind, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    picture = Picture(data)
    assert picture.size() == expected.shape[:2]
    np.testing.assert_array_equal(picture.decode(), expected)


def test_exif_that_cannot_be_read_says_nothing() -> None:
    data = written(Image.fromarray(pixels(8, 8)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\xff\xff")
    with pytest.warns(UserWarning, match="Corrupt EXIF"):  # of Pillow
        assert Picture(data).size() == (8, 8) and Picture(data).decode().shape == (8, 8, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_other_modes_become_rgb(mode: str) -> None:
    """As `convert("RGB")` of Pillow; alpha is dropped and shows what lies beneath."""
    image = Image.fromarray(pixels(8, 16)).convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(Picture(written(image, kind)).decode(), expected)
    np.testing.assert_array_equal(Picture(image).decode(), expected)


def test_a_palette_with_transparency_keeps_its_colours() -> None:
    image = Image.fromarray(pixels(8, 16)).convert("P")
    data = written(image, transparency=bytes(range(256)))
    assert isinstance(Image.open(io.BytesIO(data)).info["transparency"], bytes)
    np.testing.assert_array_equal(Picture(data).decode(), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "PPM", "TIFF"])
def test_sixteen_bits_keep_the_upper_byte(kind: str) -> None:
    values = np.array([[0, 255, 256, 40_000, 65_535]], np.uint16)
    data = b"P5\n5 1\n65535\n" + values.astype(">u2").tobytes()
    found = Picture(data if kind == "PPM" else file_bytes(values, kind)).decode()
    assert found[0, :, 0].tolist() == [0, 0, 1, 156, 255]


def test_sixteen_bits_of_colour_keep_the_upper_byte_too() -> None:
    values = np.array([[[0, 255, 256], [40_000, 65_535, 511]]], ">u2")
    found = Picture(png_of_16_bits(values)).decode()
    assert found.tolist() == (values >> 8).tolist()


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_an_image_of_pillow_is_turned_as_its_file_is(kind: str) -> None:
    image = Image.fromarray(pixels(8, 24))
    exif = image.getexif()
    exif[0x0112] = 6
    data = written(image, kind, exif=exif)
    found = Picture(Image.open(io.BytesIO(data)))
    assert found.size() == (24, 8)
    np.testing.assert_array_equal(found.decode(), Picture(data).decode())


def test_an_animation_gives_its_first_frame_and_says_so() -> None:
    first, second = (Image.fromarray(pixels(8, 8, seed)) for seed in (1, 2))
    data = written(first, "PNG", save_all=True, append_images=[second])
    with pytest.warns(ImageWarning, match="several frames") as caught:
        found = Picture(data, "waving.png").decode()
    assert "waving.png" in str(caught[0].message) and caught[0].filename == __file__
    np.testing.assert_array_equal(found, np.asarray(first))


def test_arrays_are_copied_and_frozen() -> None:
    array = pixels(5, 7)
    picture = Picture(array)
    before = picture.decode().copy()
    array[:] = 0
    np.testing.assert_array_equal(picture.decode(), before)
    with pytest.raises(ValueError):
        picture.decode()[0, 0, 0] = 1
    grey = Picture(GREY).decode()
    assert grey.shape == (6, 8, 3) and (grey == GREY[:, :, None]).all()


def test_equal_pictures_are_one_in_a_set(tmp_path: Path) -> None:
    array = pixels(5, 7)
    path = tmp_path / "a.png"
    path.write_bytes(file_bytes(array, "PNG"))
    same = {Picture(array), Picture(array.copy()), Picture(Image.fromarray(array))}
    assert len(same) == 1 and Picture(path) == Picture(str(path)) != Picture(array)
    assert Picture(array) != Picture(array.reshape(7, 5, 3)) and Picture(array) != "a"
    assert Picture(array).digest() in repr(Picture(array)) and "a.png" in repr(Picture(path))
    assert Picture(path).digest() == Picture(path.read_bytes()).digest()


@pytest.mark.parametrize("source", ["array", "bytes", "path"])
def test_pictures_travel_between_processes(source: str) -> None:
    array = pixels(4, 6)
    made = {"array": array, "bytes": file_bytes(array, "PNG"), "path": "folder/a.png"}
    picture = Picture(made[source])
    again = pickle.loads(pickle.dumps(picture))
    assert again == picture and again.name == picture.name and again.path == picture.path


def test_nothing_of_pillow_is_imported_before_an_image_is_decoded() -> None:
    from support.own_process import run_lines

    code = (
        "import sys, numpy, mtfreeze; p = mtfreeze.Picture(numpy.zeros((2, 2, 3), 'uint8'));"
        "p.decode(); mtfreeze.Examples.from_images(['a.png']); print('PIL' in sys.modules)"
    )
    assert run_lines(code).strip() == "False"
