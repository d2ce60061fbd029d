# SPDX-License-Identifier: Apache-2.0
"""Pre-norm families: above all layers stands a norm, a unit of its own.

Where every layer is frozen and it is not, the layers' output is the boundary of the prefix: stored
and used like any other, though no hidden states of transformers are that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.features import clear_memory
from support.bits import bits
from support.families import load_family, write_family
from support.small_tasks import quick_fit

PRE_NORM = ["llama", "modernbert", "qwen3"]


@pytest.mark.laws
@pytest.mark.parametrize("name", PRE_NORM)
def test_all_layers_frozen_and_the_norm_not(name: str, tmp_path: Path) -> None:
    folder = write_family(tmp_path, name)
    runs: list[tuple[Any, Any]] = []
    for cache in (False, "memory"):
        clear_memory()
        model = load_family(folder).freeze_to(3)
        assert model.trainable("backbone.final_norm") and not model.trainable("backbone.layers")
        run = quick_fit(model, epochs=2, cache=cache)
        assert run.verify_frozen()
        runs.append((run.losses(), bits(model.parameters())))
    assert run.cache.memory_bytes > 0
    assert runs[0] == runs[1]


@pytest.mark.parametrize("name", PRE_NORM)
def test_the_highest_hidden_states_are_what_the_norm_gives(name: str, tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path, name), heads=False)
    outputs = ["layers", "hidden", "hidden_states.3"]
    found = model.forward(["good food"], outputs)
    assert found["hidden"].tobytes() == found["hidden_states.3"].tobytes()
    key = next(k for k, unit in zip(model.param_keys, _units(model), strict=True) if unit)
    model.set_parameter(key, 2 * model.parameters()[key])
    again = model.forward(["good food"], outputs)
    assert again["layers"].tobytes() == found["layers"].tobytes()
    assert (again["hidden"] != found["hidden"]).any()


def _units(model: mtf.MultiTaskModel) -> list[bool]:
    """Say of each parameter whether it is the final norm's."""
    norm = list(model.unit_index).index("backbone.final_norm")
    return [info.unit == norm for info in model._core.params()]


def test_its_name_is_no_head(tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path, "modernbert"), heads=False)
    with pytest.raises(mtf.ConfigError, match="'final_norm' is reserved"):
        model.add_head("final_norm", mtf.SequenceClassification(["a", "b"]))
