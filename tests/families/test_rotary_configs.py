# SPDX-License-Identifier: Apache-2.0
"""ModernBERT, NomicBERT and GTE: what their configurations say, and what is refused, by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtfreeze.errors import CheckpointError, ConfigError
from mtfreeze.families import FAMILIES, core_config
from support.families import CASES, load_family, write_family

DEFAULT = {"rope_type": "default", "rope_theta": 10000.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0}

BAD: dict[str, list[tuple[str, Any, str]]] = {
    "modernbert": [
        ("layer_types", ["full_attention"], "layer_types"),
        ("layer_types", ["full_attention", "chunked_attention", "full_attention"], "layer_types"),
        ("layer_types", "full_attention", "layer_types"),
        ("global_attn_every_n_layers", 0, "global_attn_every_n_layers"),
        ("global_attn_every_n_layers", "3", "global_attn_every_n_layers"),
        ("rope_parameters", DEFAULT, "rope_parameters"),
        ("rope_parameters", {"full_attention": YARN}, "rope_parameters.full_attention"),
        ("rope_parameters", {"sliding_attention": 3}, "rope_parameters.sliding_attention"),
        (
            "rope_parameters",
            {"full_attention": {**DEFAULT, "partial_rotary_factor": 0.5}},
            "partial_rotary_factor",
        ),
        ("rope_parameters", {"full_attention": {"rope_theta": "big"}}, "rope_theta"),
        ("rope_scaling", {"type": "linear", "factor": 2.0}, "rope_scaling"),
        ("global_rope_theta", -1.0, "global_rope_theta"),
        ("local_rope_theta", "much", "local_rope_theta"),
        ("local_attention", 0, "local_attention"),
        ("num_attention_heads", 7, "num_attention_heads"),
        ("num_attention_heads", 16, "which rotary positions cannot halve"),
        ("hidden_activation", "geglu", "hidden_activation"),
        ("norm_eps", -1e-5, "norm_eps"),
        ("norm_bias", "no", "norm_bias"),
        ("mlp_dropout", 1.5, "mlp_dropout"),
        ("head_dim", 64, "head_dim"),
        ("num_hidden_layers", 4, "num_hidden_layers"),
        ("intermediate_size", 99, "intermediate_size"),
        ("sliding_window", 64, "sliding_window"),
    ],
    "nomic_bert": [
        ("activation_function", "gelu", "activation_function"),
        ("prenorm", True, "prenorm"),
        ("parallel_block", True, "parallel_block"),
        ("causal", True, "causal"),
        ("qkv_proj_bias", True, "qkv_proj_bias"),
        ("mlp_fc1_bias", True, "mlp_fc1_bias"),
        ("rotary_emb_fraction", 0.5, "rotary_emb_fraction"),
        ("rotary_emb_interleaved", True, "rotary_emb_interleaved"),
        ("rotary_scaling_factor", 2, "max_trained_positions"),
        ("num_experts", 8, "num_experts"),
        ("rope_parameters", YARN, "rope_parameters"),
        ("n_head", 7, "num_attention_heads"),
        ("hidden_size", None, "hidden_size"),
        ("use_rms_norm", True, "use_rms_norm"),
    ],
    "gte": [
        ("rope_scaling", {"type": "ntk", "factor": 8.0}, "rope_scaling"),
        ("rope_parameters", YARN, "rope_parameters"),
        ("rope_parameters", [1], "rope_parameters"),
        ("rope_theta", "x", "rope_theta"),
        ("position_embedding_type", "absolute", "position_embedding_type"),
        ("layer_norm_type", "rms_norm", "layer_norm_type"),
        ("logn_attention_scale", True, "logn_attention_scale"),
        ("pack_qkv", False, "pack_qkv"),
        ("type_vocab_size", -1, "type_vocab_size"),
        ("num_attention_heads", 5, "num_attention_heads"),
        ("hidden_act", "glu", "hidden_act"),
        ("hidden_dropout_prob", 1.0, "hidden_dropout_prob"),
    ],
}
ROWS = [(name, *row) for name, rows in BAD.items() for row in rows]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write_family(tmp_path_factory.mktemp(name), name) for name in BAD}


@pytest.mark.parametrize(("name", "key", "value", "said"), ROWS)
def test_bad_values_are_refused_by_name(
    name: str, key: str, value: Any, said: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(folders[name] / "model.safetensors")
    folder = write_family(tmp_path, name, tensors=tensors, **{key: value})
    with pytest.raises((ConfigError, CheckpointError), match=said):
        load_family(folder, heads=False)


def core_values(name: str, **changes: Any) -> dict[str, Any]:
    config = {k: v for k, v in CASES[name].whole(**changes).items() if v is not None}
    return core_config(FAMILIES[name], config, "config.json")


def test_both_spellings_of_modernbert_are_one_model() -> None:
    old = core_values("modernbert")
    assert old["global_layers"] == [0, 2]
    new = core_values(
        "modernbert",
        global_attn_every_n_layers=None,
        global_rope_theta=None,
        local_rope_theta=None,
        layer_types=["full_attention", "sliding_attention", "full_attention"],
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 160000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        },
    )
    assert new == old


def test_a_base_that_programs_read_in_two_ways_is_refused() -> None:
    config = {**CASES["modernbert"].whole(), "local_rope_theta": None}
    with pytest.raises(ConfigError, match="local_rope_theta"):
        core_config(FAMILIES["modernbert"], config, "config.json")


def test_both_spellings_of_nomic_are_one_model() -> None:
    new = core_values("nomic_bert")
    old = core_values(
        "nomic_bert",
        hidden_size=None,
        num_hidden_layers=None,
        num_attention_heads=None,
        intermediate_size=None,
        max_position_embeddings=None,
        layer_norm_eps=None,
        hidden_dropout_prob=None,
        attention_probs_dropout_prob=None,
        hidden_act=None,
        n_embd=48,
        n_layer=3,
        n_head=4,
        n_inner=96,
        n_positions=64,
        layer_norm_epsilon=1e-5,
        resid_pdrop=0.1,
        attn_pdrop=0.1,
        activation_function="swiglu",
        rotary_emb_base=1000,
    )
    assert old == new
    # beyond the trained positions angles would be stretched, so texts end there
    short = core_values(
        "nomic_bert", rotary_scaling_factor=2, max_trained_positions=32, n_positions=64
    )
    assert short["max_position_embeddings"] == 32


def test_what_else_a_nomic_file_may_say() -> None:
    assert core_values("nomic_bert", rope_parameters={}) == core_values("nomic_bert")
    turned = core_values("nomic_bert", rope_parameters={"rope_theta": 500.0})
    assert turned["rope_theta"] == 500.0
    assert core_values("nomic_bert", head_dim=12) == core_values("nomic_bert")
    with pytest.raises(ConfigError, match=r"head_dim to be hidden_size over .* found 7, 48 and 4"):
        core_values("nomic_bert", head_dim=7)


def test_gte_by_its_older_name_and_prefix(folders: dict[str, Path], tmp_path: Path) -> None:
    """As the hub's files have it: ``rope_theta`` flat, tensors behind ``new.``."""
    import json

    from safetensors.numpy import load_file

    tensors = load_file(folders["gte"] / "model.safetensors")
    tensors = {f"new.{key}": values for key, values in tensors.items()}
    hub = {
        "auto_map": {"AutoModel": "somebody/new-impl--modeling.NewModel"},
        "layer_norm_type": "layer_norm",
        "logn_attention_clip1": False,
        "logn_attention_scale": False,
        "pack_qkv": True,
        "position_embedding_type": "rope",
        "rope_theta": 160000.0,
        "unpad_inputs": "true",
        "use_memory_efficient_attention": "true",
    }
    folder = write_family(tmp_path, "gte", tensors=tensors, **hub)
    config = json.loads((folder / "config.json").read_text("utf-8")) | {"model_type": "new"}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    texts = ["good food", "bad"]
    found, expected = (load_family(one).encode(texts) for one in (folder, folders["gte"]))
    assert found.tobytes() == expected.tobytes()


def test_a_folder_with_the_hubs_keys_is_the_same_model(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    import json

    from safetensors.numpy import load_file

    names = {
        "n_embd": "hidden_size",
        "n_layer": "num_hidden_layers",
        "n_head": "num_attention_heads",
        "n_inner": "intermediate_size",
        "n_positions": "max_position_embeddings",
        "layer_norm_epsilon": "layer_norm_eps",
    }
    config = json.loads((folders["nomic_bert"] / "config.json").read_text("utf-8"))
    changes = {theirs: config[ours] for theirs, ours in names.items()}
    changes |= dict.fromkeys([*names.values(), "hidden_act"]) | {"activation_function": "swiglu"}
    tensors = load_file(folders["nomic_bert"] / "model.safetensors")
    folder = write_family(tmp_path, "nomic_bert", tensors=tensors, **changes)
    texts = ["good food", "bad"]
    found, expected = (load_family(one).encode(texts) for one in (folder, folders["nomic_bert"]))
    assert found.tobytes() == expected.tobytes()
