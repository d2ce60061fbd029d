# SPDX-License-Identifier: Apache-2.0
"""Values of ``config.json`` that no model has, key by key, in every family: refused by name.

Nothing here reads weights: a configuration goes to the core's outline as loading sends it there.
"""

from __future__ import annotations

from typing import Any

import pytest

from mtfreeze import _core
from mtfreeze.errors import CheckpointError, ConfigError
from mtfreeze.families import FAMILIES, core_config
from support.families import CASES, NAMES

HOSTILE: list[Any] = [
    *(0, -1, -(2**63), 2**63, 10**30, -0.5, 1.5, 1e308, True, False),
    *("x", "", "a\0b", "\ud800", "é" * 300, "x" * 900, [], [1], ["a"], [10**30], {}, {"a": 1}),
]
ELSEWHERE: dict[str, Any] = {
    "alibi_bias_max": 8,
    "attn_logit_softcapping": 50.0,
    "conv_kernel_size": 3,
    "num_experts_per_tok": 2,
    "partial_rotary_factor": 0.5,
    "relative_attention": True,
    "sliding_window_pattern": 6,
    "use_bidirectional_attention": True,
}
"""Keys of other models that change what is computed."""

CAUSAL = ("gpt2", "llama", "qwen2", "qwen3")
ROTARY = ("llama", "qwen2", "qwen3")
YARN = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0}
PLAIN = {"rope_type": "default", "rope_theta": 10000.0}


def built(name: str, **changes: Any) -> dict[str, Any]:
    """Return what the core is given for a family's tiny model with keys changed."""
    build = core_config(FAMILIES[name], CASES[name].whole(**changes), "config.json")
    _core.outline({**build, "pooling": "mean", "normalize": True}, {})
    return build


def refused(name: str, key: str, value: Any) -> str | None:
    """Return the message of the error with which a value is refused; None if it is accepted."""
    try:
        built(name, **{key: value})
    except (ConfigError, CheckpointError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", NAMES)
def test_values_that_no_key_can_have(name: str) -> None:
    """Each is refused by an error that names the key, or is a number or a switch that is meant."""
    family = FAMILIES[name]
    rates = set(family.training_only)
    for key in (*family.required, *family.computed):
        for value in HOSTILE:
            if key == "model_type":
                continue
            said = refused(name, key, value)
            if said is None:
                assert key not in family.required or value == CASES[name].config[key]
                assert isinstance(value, bool | int | float), (key, value)
                assert key not in rates or value == 0, (key, value)
            else:
                assert key in said and len(said) < 700, (key, value, said)
                assert "x" * 201 not in said, key


@pytest.mark.parametrize("name", NAMES)
def test_keys_that_change_the_computation_elsewhere(name: str) -> None:
    for key in ELSEWHERE.keys() - FAMILIES[name].computed:
        said = refused(name, key, ELSEWHERE[key])
        assert said is not None and key in said, key


@pytest.mark.parametrize("name", NAMES)
def test_no_switch_of_a_family_is_turned_by_another_type(name: str) -> None:
    """A truth value that is a text, and a text that is a number, are not read as something."""
    for key, allowed in FAMILIES[name].fixed.items():
        for value in ("true", "no", 17, -1, [1], {"a": 1}):
            said = refused(name, key, value)
            assert said is not None and key in said, (key, value, allowed)


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("value", [False, None])
def test_a_decoder_that_sees_what_follows_is_another_computation(name: str, value: Any) -> None:
    said = refused(name, "is_causal", value)
    assert said is not None and "is_causal" in said
    assert built(name, is_causal=True) == built(name)


@pytest.mark.parametrize("name", ROTARY)
def test_both_keys_of_rotary_positions_are_read(name: str) -> None:
    """Where both are there, the older one is what transformers computes."""
    for changes in (
        {"rope_parameters": PLAIN, "rope_scaling": YARN},
        {"rope_parameters": YARN, "rope_scaling": None},
        {"rope_parameters": YARN, "rope_scaling": PLAIN},
        {"rope_parameters": None, "rope_scaling": YARN},
    ):
        with pytest.raises(ConfigError, match=r"rope_(parameters|scaling).*'yarn'"):
            built(name, **changes)
    both = {"rope_parameters": PLAIN, "rope_scaling": {"type": "default", "rope_theta": 500.0}}
    assert built(name, **both)["rope_theta"] == 500.0


@pytest.mark.parametrize("name", ["qwen2", "qwen3"])
def test_attention_of_each_layer(name: str) -> None:
    assert built(name, layer_types=["full_attention"] * 3) == built(name)
    for types in (["full_attention"] * 2, ["full_attention"] * 2 + ["sliding_attention"], "full"):
        with pytest.raises(ConfigError, match=r"'layer_types'.*'full_attention' for each of the 3"):
            built(name, layer_types=types)


def test_two_names_of_one_value_must_agree() -> None:
    assert built("nomic_bert", n_embd=48) == built("nomic_bert")
    with pytest.raises(ConfigError, match="one value for 'n_embd' and 'hidden_size'"):
        built("nomic_bert", n_embd=64)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_refused_takes_no_memory(name: str) -> None:
    """The largest sizes that a key may have are met by the headers of the weights, not by room."""
    before = _core.memory_info()
    _core.reset_peak_memory()
    for key in FAMILIES[name].required:
        refused(name, key, 2**24)
    taken = _core.memory_info().bytes_peak - before.bytes_now
    assert taken < 50e6, f"{taken / 1e6:.0f} MB"
