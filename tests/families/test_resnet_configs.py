# SPDX-License-Identifier: Apache-2.0
"""ResNet: which configurations are refused, and pictures as small as they come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from mtfreeze.errors import CheckpointError, ConfigError
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.families.resnet import to_torchvision
from mtfreeze.inputs.row_layout import RowLayout, starts
from mtfreeze.runtime import threads

CONFIG: dict[str, Any] = {
    "model_type": "resnet",
    "embedding_size": 4,
    "hidden_sizes": [8, 12],
    "depths": [1, 2],
    "layer_type": "bottleneck",
}


def made(**changes: Any) -> Any:
    """Return a model of the core, of CONFIG with changes."""
    threads.initialize()
    return _core.Model(core_config(FAMILIES["resnet"], CONFIG | changes, "config.json"))


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"depths": [1]}, ConfigError, "the same 1 to 6 stages, found 1 and 2"),
        ({"depths": [], "hidden_sizes": []}, ConfigError, "found 0 and 0"),
        ({"depths": [1, 0]}, ConfigError, "found 0 and 12 in stage 1"),
        ({"hidden_sizes": [8, 3]}, ConfigError, "at least 4 for bottlenecks, found 3"),
        ({"hidden_sizes": [8, -1], "layer_type": "basic"}, ConfigError, "found 2 and -1"),
        ({"layer_type": "preact"}, ConfigError, 'found "preact"'),
        ({"embedding_size": 0}, ConfigError, "embedding_size"),
        ({"num_channels": 1}, ConfigError, "num_channels as 3"),
        ({"hidden_act": "gelu"}, ConfigError, "'hidden_act' changes what the model computes"),
        ({"stem_type": "deep"}, ConfigError, "'stem_type'"),
        ({"depths": None}, CheckpointError, "not found: 'depths'"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        made(**changes)


def test_units_spaces_and_statistics() -> None:
    model = made(downsample_in_first_stage=True)
    assert [unit.path for unit in model.units()] == [
        "backbone.stem",
        "backbone.stages[0].blocks[0]",
        "backbone.stages[1].blocks[0]",
        "backbone.stages[1].blocks[1]",
    ]
    assert [space.name for space in model.spaces()] == [
        "sequences",
        "pixels",
        "stem",
        "stem.pooled",
        "stages.0",
        "stages.1",
    ]
    buffers = {info.key.rsplit(".", 1)[1] for info in model.params() if info.is_buffer}
    assert buffers == {"running_mean", "running_var"}
    none = (np.zeros(len(infos := model.params()), np.uint8), np.zeros(4, np.uint8))
    model.set_frozen(*none)
    assert [one.frozen for one in model.params()] == [one.is_buffer for one in infos]
    assert not any(unit.frozen or unit.n_values_frozen for unit in model.units())


@pytest.mark.parametrize("sides", [(1, 1), (1, 9), (2, 1)])
def test_the_smallest_pictures(sides: tuple[int, int]) -> None:
    model = made()
    for position, info in enumerate(model.params()):
        if info.in_products:
            model.set_param(position, np.full(info.shape, 0.1, np.float32))
    grids = RowLayout.of(model).grids([sides[0]], [sides[1]])
    pixels = np.ones((sides[0] * sides[1], 3), np.float32)
    batch = {
        "inputs": {"pixels": pixels},
        "offsets": {name: starts(count) for name, (count, _) in grids.items()},
        "widths": {name: width for name, (_, width) in grids.items()},
    }
    (pooled,) = model.forward(batch, ["pooled"])
    assert pooled.shape == (1, 12) and np.isfinite(pooled).all() and (pooled > 0).any()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("conv1.weight", "embedder.embedder.convolution.weight"),
        ("bn1.running_var", "embedder.embedder.normalization.running_var"),
        ("layer1.0.conv2.weight", "encoder.stages.0.layers.0.layer.1.convolution.weight"),
        ("layer2.1.downsample.0.weight", "encoder.stages.1.layers.1.shortcut.convolution.weight"),
        ("layer2.1.downsample.1.bias", "encoder.stages.1.layers.1.shortcut.normalization.bias"),
        # What is named almost so is another model's, and keeps its name for the message.
        ("layer1.0.conv.0.weight", None),
        ("layer1.0.downsample1.weight", None),
        ("layer1.0.se1.weight", None),
    ],
)
def test_names_of_torchvision(theirs: str, ours: str | None) -> None:
    assert FAMILIES["resnet"].plain_name(theirs) == (theirs if ours is None else ours)


def test_only_its_own_tensors_have_names_of_torchvision() -> None:
    assert to_torchvision("encoder.stages.0.layers.0.other.weight") == (
        "encoder.stages.0.layers.0.other.weight"
    )
