# SPDX-License-Identifier: Apache-2.0
"""What is said of models of images: stages, stems, pixels and images, as their families have them.

Every sentence that a user reads of a tiny ResNet and a tiny ViT is looked through for words of
texts; the probes of `recommend` are held against means over pixels.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.recommending.data_facts import task_rows
from mtfreeze.recommending.layer_features import layer_features
from support.vision_folders import coloured, vision_model, write_resnet_folder, write_vision_folder

OF_TEXTS = r"\b(texts?|words?|sentences?|tokeniz\w*)\b"
OF_TRANSFORMERS = r"\b(layers?|tokens?|embeddings)\b"


def _resnet(folder: Path) -> mtf.MultiTaskModel:
    return vision_model(write_resnet_folder(folder))


def _vit(folder: Path) -> mtf.MultiTaskModel:
    return vision_model(write_vision_folder(folder))


def _said(act: Callable[[], object]) -> str:
    with pytest.raises((mtf.errors.Error, TypeError)) as refused:
        act()
    return str(refused.value)


@pytest.mark.parametrize(
    ("make", "forbidden", "expected"),
    [
        (
            _resnet,
            [OF_TEXTS, OF_TRANSFORMERS],
            ["576 pixels on average", "frozen stages, from the stem up", "2 stages of 8 to 12",
             "the stem and the stages below 1", "every stage", "0 to 1", "number of stages",
             "block 0 only", " pixels in "],
        ),
        (
            _vit,
            [OF_TEXTS],
            ["26 tokens on average", "frozen layers, from the embeddings up", "2 layers of 24",
             "the embeddings and the layers below 1", "every layer", " tokens in "],
        ),
    ],
    ids=["resnet", "vit"],
)  # fmt: skip
def test_every_sentence_speaks_of_what_the_family_has(
    make: Callable[[Path], mtf.MultiTaskModel],
    forbidden: list[str],
    expected: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = make(tmp_path / "model")
    tasks = {"colour": mtf.Task(train=coloured(24), eval=coloured(12, 1))}
    advice = mtf.recommend(model, tasks)
    said = [str(advice).partition("Why")[0], *(one.says for one in advice.alternatives)]
    said += [one.trade for one in advice.alternatives]
    said += [one.sentence for one in advice.reasons if one.basis == "probe"]
    lowest = model.index.unit_paths[0]
    model.freeze("backbone").unfreeze(lowest)
    said += [str(model.explain()), str(model.summary())]
    model.unfreeze().freeze("backbone[:1]")
    said += [str(model.explain()), repr(model)]
    said.append(str(mtf.estimate(model, tasks, epochs=1, batch_size=12)))
    mtf.fit(model, tasks, epochs=1, batch_size=12)
    said += [_said(lambda: model.freeze("backbone[:9]")), _said(lambda: model.freeze_to("two"))]
    said += [_said(lambda: model.freeze("stages[0].blocks[4]"))]
    told = capsys.readouterr()
    said += [told.out, told.err]
    together = "\n".join(said)
    for pattern in forbidden:
        assert not [one for one in together.splitlines() if re.search(pattern, one)]
    for words in expected:
        assert words in together
    assert "image/s" in told.err  # bars count images


def test_stages_of_a_gradual_schedule_are_called_so(tmp_path: Path) -> None:
    model = _resnet(tmp_path / "model")
    tasks = {"colour": mtf.Task(train=coloured(12))}
    schedule = mtf.FreezeSchedule.gradual(per_step=1)
    run = mtf.fit(model, tasks, epochs=4, batch_size=12, freeze_schedule=schedule, progress=False)
    assert [one.name for one in run.costs] == ["heads", "stages[1:]", "stages", "all"]


def test_probes_read_means_over_the_pixels_of_each_stage(tmp_path: Path) -> None:
    model = _resnet(tmp_path / "model")
    rows = coloured(6)
    task = task_rows(model, "colour", mtf.Task(train=rows))
    found = layer_features(model, "colour", task)
    assert [layer.shape for layer in found.layers] == [(6, 8), (6, 8), (6, 12)]
    for stage, layer in enumerate(found.layers):
        for row, values in enumerate(layer):
            batch = task.encoded.pack(np.array([row]))
            (grid,) = model._core.forward(batch.for_core(), [f"hidden_states.{stage}"])
            assert len(grid) > 1  # a map, not a vector
            np.testing.assert_allclose(values, grid.mean(axis=0, dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(found.layers[-1], model.encode([one for one, _ in rows]), rtol=1e-5)
