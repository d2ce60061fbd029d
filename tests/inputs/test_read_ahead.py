# SPDX-License-Identifier: Apache-2.0
"""What comes next is read while something else is computed, and nothing else changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.evaluating import eval_data
from mtfreeze.features import clear_memory, filling
from mtfreeze.inputs import image_encoder
from mtfreeze.inputs.read_ahead import ReadAhead
from mtfreeze.model import prediction
from support.vision_folders import coloured, vision_model, write_vision_folder


def test_what_is_expected_is_read_on_another_thread_once() -> None:
    seen: list[tuple[int, int]] = []
    done: list[int] = []

    def read(number: int) -> int:
        seen.append((number, threading.get_ident()))
        time.sleep(0.05)
        done.append(number)
        return 10 * number

    ahead = ReadAhead(read, 2)
    ahead.expect([1, 2])
    ahead.expect([2, 3])  # 1 is not wanted any more
    deadline = time.monotonic() + 60
    while not {2, 3} <= set(done) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)  # until the thread has handed the last one over
    assert [ahead.take(2), ahead.take(3)] == [20, 30]
    assert ahead.waited_seconds < 0.04
    assert ahead.take(4) == 40
    assert ahead.waited_seconds > 0.04
    here = threading.get_ident()
    numbers = [number for number, _ in seen]
    assert sorted(numbers[-1:]) == [4] and numbers.count(2) == numbers.count(3) == 1
    assert all((thread == here) == (number == 4) for number, thread in seen)


def test_an_error_is_raised_where_its_item_is_taken() -> None:
    def read(number: int) -> int:
        if number == 2:
            raise mtf.DataError("item 2 is not there")
        return number

    ahead = ReadAhead(read, 1)
    ahead.expect([1, 2])
    assert ahead.take(1) == 1
    with pytest.raises(mtf.DataError, match="item 2"):
        ahead.take(2)
    assert ahead.take(1) == 1


@pytest.fixture
def rows(tmp_path: Path) -> list[tuple[Path, str]]:
    image = pytest.importorskip("PIL.Image", reason="needs the extra vision")
    found = []
    for at, (pixels, label) in enumerate(coloured(24)):
        image.fromarray(pixels).save(tmp_path / f"{at}.png")
        found.append((tmp_path / f"{at}.png", label))
    return found


def test_images_that_are_not_kept_train_and_encode_to_the_same_bits(
    tmp_path: Path, rows: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_vision_folder(tmp_path / "vit")
    threads: set[str] = set()
    decoded = mtf.Picture.decoded

    def noted(self: mtf.Picture) -> tuple[object, str]:
        threads.add(threading.current_thread().name.rpartition("_")[0])
        return decoded(self)

    monkeypatch.setattr(mtf.Picture, "decoded", noted)
    found = []
    for kept in (1 << 30, 0):
        monkeypatch.setattr(image_encoder, "_KEPT_BYTES", kept)
        threads.clear()
        model = vision_model(folder)
        tasks = {"colour": mtf.Task(train=rows, eval=rows[:9])}
        run = mtf.fit(
            model, tasks, epochs=2, batch_size=8, learning_rate=5e-3, cache=False, progress=False
        )
        waited = sum(one.waited_seconds for one in run.costs)
        assert (waited > 0) == (not kept) == ("images that had to be read again" in repr(run))
        images = [path for path, _ in rows]
        weights = {key: value.tobytes() for key, value in model.parameters().items()}
        found.append((weights, model.encode(images).tobytes(), model.predict("colour", images)))
    assert found[0] == found[1]
    assert "mtfreeze-ahead" in threads and "mtfreeze-pictures" in threads


def test_every_pass_says_what_comes_next(
    tmp_path: Path, rows: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scoring, answering and filling a cache, each in several calls of the core."""
    folder = write_vision_folder(tmp_path / "vit")
    images, tasks = [path for path, _ in rows], {"colour": mtf.Task(train=rows, eval=rows)}
    expected: list[int] = []
    expect = image_encoder.EncodedImages.expect

    def noted(self: Any, sequences: Any) -> None:
        expected.append(len(sequences))
        expect(self, sequences)

    monkeypatch.setattr(image_encoder.EncodedImages, "expect", noted)
    monkeypatch.setattr(eval_data, "brief_tokens", lambda: 40)
    monkeypatch.setattr(filling, "brief_tokens", lambda: 40)
    monkeypatch.setattr(prediction, "calls", partial(prediction.calls, tokens=40))
    found = []
    for kept in (1 << 30, 0):
        monkeypatch.setattr(image_encoder, "_KEPT_BYTES", kept)
        model = vision_model(folder).freeze("backbone[:1]")
        passes: tuple[Callable[[], Any], ...] = (
            partial(mtf.evaluate, model, tasks, cache=False, progress=False),
            partial(model.predict, "colour", images),
            partial(mtf.fit, model, tasks, epochs=1, cache="memory", progress=False),
        )
        for one in passes:
            expected.clear()
            clear_memory()
            answer = one()
            found.append(answer.losses() if hasattr(answer, "losses") else answer)
            assert bool(sum(expected)) == (not kept)
    assert found[:3] == found[3:]


def test_images_are_encoded_in_pieces(
    tmp_path: Path, rows: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = vision_model(write_vision_folder(tmp_path / "vit"))
    images = [path for path, _ in rows]
    whole = model.encode(images)
    monkeypatch.setattr(image_encoder, "_PIECE", 7)
    assert model.encode(images).tobytes() == whole.tobytes()
    with pytest.raises(mtf.DataError, match=r"none\.png"):
        model.encode([*images, tmp_path / "none.png"])
    assert model.encode(images[:2]).tobytes() == whole[:2].tobytes()


def test_what_pieces_warn_of_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs the extra vision")
    frames = [image.fromarray(pixels) for pixels, _ in coloured(3)]
    frames[0].save(tmp_path / "moves.gif", save_all=True, append_images=frames[1:])
    model = vision_model(write_vision_folder(tmp_path / "vit"))
    monkeypatch.setattr(image_encoder, "_PIECE", 2)
    with pytest.warns(mtf.ImageWarning, match="and so do 4 more") as said:
        model.encode([tmp_path / "moves.gif"] * 5)
    assert len(said) == 1
