# SPDX-License-Identifier: Apache-2.0
"""Every spelling of an activation that configurations have is the function that it names."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, pi

import numpy as np
import pytest

from mtfreeze import ConfigError, _core

SPELLINGS: dict[str, Callable[[float], float]] = {
    "gelu": lambda x: x / 2 * (1 + erf(x / 2**0.5)),
    **dict.fromkeys(
        ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"),
        lambda x: x / 2 * (1 + np.tanh((2 / pi) ** 0.5 * (x + 0.044715 * x**3))),
    ),
    "quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)),
    "relu": lambda x: max(x, 0.0),
    "tanh": np.tanh,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
}
CONFIG = {
    "model_type": "bert",
    "vocab_size": 7,
    "hidden_size": 4,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 4,
    "max_position_embeddings": 8,
    "type_vocab_size": 1,
    "pooling": "mean",
    "normalize": False,
}
VALUES = np.array([-3.0, -0.5, 0.25, 2.0], np.float32)


def head_of(activation: str) -> float:
    """Return what a hidden layer of a head gives whose products are `VALUES`, summed."""
    model = _core.Model(CONFIG)
    head = {"kind": "regression", "n_outputs": 1, "dropout": 0.0, "hidden": [4]}
    model.add_head("h", {**head, "activation": activation})
    keys = [info.key for info in model.params()]
    model.set_param(keys.index("h.hidden.0.weight"), np.zeros((4, 4), np.float32))
    model.set_param(keys.index("h.hidden.0.bias"), VALUES)
    model.set_param(keys.index("h.weight"), np.array([[1, 10, 100, 1000]], np.float32))
    batch = {"inputs": {"ids": np.array([1], np.int32)}, "offsets": {"tokens": np.array([0, 1])}}
    return float(model.forward(batch, ["h"])[0][0, 0])


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_name_is_its_function(name: str) -> None:
    expected = sum(10**i * SPELLINGS[name](float(x)) for i, x in enumerate(VALUES))
    assert head_of(name) == pytest.approx(expected, rel=1e-6)
    _core.Model({**CONFIG, "hidden_act": name})


def test_an_unknown_name_is_answered_with_the_known() -> None:
    with pytest.raises(ConfigError, match=r'hidden_act "geglu".*gelu_fast.* and swish are'):
        _core.Model({**CONFIG, "hidden_act": "geglu"})
