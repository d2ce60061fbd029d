# SPDX-License-Identifier: Apache-2.0
"""Digests: a frozen tensor that moved by one bit is named, and nothing else is."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.digests import compare, digest, snapshot
from support.texts import LABELS, SENTENCES

BATCH: dict[str, Any] = {"classifier": list(zip(SENTENCES, LABELS, strict=True))}
KEY = "backbone.encoder.layer.0.output.dense.weight"


@pytest.mark.laws
def test_training_moves_only_what_trains(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone")
    before = snapshot(two_head_model)
    for _ in range(3):
        two_head_model.step(BATCH, learning_rate=1e-2)
    report = compare(before, two_head_model)
    assert report.ok and bool(report) and report.moved == ()
    assert report.changed == ("classifier.weight", "classifier.bias")
    assert (report.n_frozen, report.n_trainable) == (53 + 3, 4)
    assert str(report) == (
        "56 frozen tensors unchanged, bit for bit; 2 of 4 trainable tensors changed"
    )


@pytest.mark.laws
def test_one_bit_is_enough(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone")
    before = snapshot(two_head_model)
    values = two_head_model.parameters()[KEY].copy()
    values.view(np.uint32)[3, 4] ^= 1
    two_head_model.set_parameter(KEY, values)
    report = compare(before, two_head_model.unfreeze())
    assert not report and report.moved == (KEY,)
    assert f"1 frozen tensor MOVED: {KEY!r}" in str(report)


@pytest.mark.laws
def test_unused_tensors_are_watched(two_head_model: mtf.MultiTaskModel) -> None:
    before = snapshot(two_head_model)
    assert "nothing was frozen" not in str(compare(before, two_head_model))
    name = "pooler.dense.bias"
    raw = two_head_model.unused[name]
    two_head_model.unused[name] = replace(raw, data=bytes(len(raw.data)))
    assert compare(before, two_head_model).moved == (f"unused:{name}",)


@pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
def test_a_frozen_head_that_is_gone_counts_as_moved(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("ner_head")
    before = snapshot(two_head_model)
    report = compare(before, two_head_model.remove_head("ner_head"))
    assert report.moved == ("ner_head.weight", "ner_head.bias")


def test_nothing_frozen(tiny_model: mtf.MultiTaskModel) -> None:
    tiny_model.unused.clear()
    report = compare(snapshot(tiny_model), tiny_model)
    assert report.ok
    assert str(report) == "nothing was frozen; 0 of 53 trainable tensors changed"


@pytest.mark.parametrize("again", ["copy", "save"])
def test_digests_outlive_copies_and_files(
    two_head_model: mtf.MultiTaskModel, tmp_path: Any, again: str
) -> None:
    before = snapshot(two_head_model.freeze("backbone"))
    if again == "copy":
        other = two_head_model.copy()
    else:
        two_head_model.save_pretrained(tmp_path / "out")
        other = mtf.MultiTaskModel.from_pretrained(tmp_path / "out")
    assert snapshot(other) == before


def test_a_large_tensor_is_hashed_in_pieces() -> None:
    data = np.arange(3_000_001, dtype=np.float32)
    raw = data.tobytes()
    pieces = [raw[at : at + (4 << 20)] for at in range(0, len(raw), 4 << 20)]
    assert len(pieces) == 3
    joined = b"".join(hashlib.blake2b(piece, digest_size=16).digest() for piece in pieces)
    assert digest(data) == digest(raw) == hashlib.blake2b(joined, digest_size=16).hexdigest()
    for at in (0, 1 << 20, 3_000_000):  # in each piece
        other = data.copy()
        other[at] = np.nextafter(other[at], np.float32(-1))
        assert digest(other) != digest(data)
    assert digest(np.zeros((0, 4), np.float32)) == hashlib.blake2b(b"", digest_size=16).hexdigest()
