# SPDX-License-Identifier: Apache-2.0
"""Model folders: every spelling in use, and every way in which one does not hold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from support.bits import bits
from support.texts import SENTENCES
from support.tiny_bert import tiny_config, tiny_tensors, write_json, write_tiny_bert

load = mtf.MultiTaskModel.from_pretrained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of the tiny BERT that a test may spoil."""
    return write_tiny_bert(tmp_path / "model")


def edit_json(path: Path, **changes: object) -> None:
    value = json.loads(path.read_text())
    value.update(changes)
    path.write_text(json.dumps({k: v for k, v in value.items() if v != "(gone)"}))


def edit_tensors(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(str(path))
    save_file(change(tensors) or tensors, str(path))


# ---- what is read --------------------------------------------------------------------------------


def test_names_of_task_models_and_of_old_files(folder: Path) -> None:
    expected = bits(load(folder).parameters())

    def rename(tensors: dict[str, Any]) -> dict[str, Any]:
        old = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): value
            for name, value in tensors.items()
        }
        return {
            **{f"bert.{name}": value for name, value in old.items()},
            "classifier.weight": np.zeros((2, 48), np.float32),
        }

    edit_tensors(folder, rename)
    model = load(folder)
    assert bits(model.parameters()) == expected
    assert "classifier.weight" in model.unused and not model.heads


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_float_types(folder: Path, dtype: str) -> None:
    edit_tensors(
        folder,
        lambda t: {k: v.astype(dtype) if v.dtype == np.float32 else v for k, v in t.items()},
    )
    stored = load_file(str(folder / "model.safetensors"))
    for key, value in load(folder).parameters().items():
        assert np.array_equal(value, stored[key.removeprefix("backbone.")].astype(np.float32))


def test_shards(folder: Path) -> None:
    expected = bits(load(folder).parameters())
    tensors = load_file(str(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    weight_map = {}
    for number, name in enumerate(tensors):
        file = f"model-0000{number % 2 + 1}-of-00002.safetensors"
        weight_map[name] = file
    for file in set(weight_map.values()):
        save_file({n: t for n, t in tensors.items() if weight_map[n] == file}, str(folder / file))
    write_json(folder / "model.safetensors.index.json", {"weight_map": weight_map})
    assert bits(load(folder).parameters()) == expected


def test_pooling_and_normalize_of_the_folder(folder: Path) -> None:
    assert (load(folder).pooling, load(folder).normalize) == ("mean", True)
    new = {"embedding_dimension": 48, "pooling_mode": "cls", "include_prompt": True}
    write_json(folder / "1_Pooling" / "config.json", new)
    assert load(folder).pooling == "cls"
    assert load(folder, pooling="mean", normalize=False).pooling == "mean"
    modules = [
        {
            "idx": 0,
            "path": "",
            "type": "sentence_transformers.base.modules.transformer.Transformer",
        },
        {
            "idx": 1,
            "path": "1_Pooling",
            "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
        },
    ]
    write_json(folder / "modules.json", modules)
    assert (load(folder).pooling, load(folder).normalize) == ("cls", False)


def test_a_plain_hugging_face_folder(folder: Path) -> None:
    for name in ("modules.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    shutil.rmtree(folder / "1_Pooling")
    model = load(folder)
    assert (model.pooling, model.normalize, model.max_length) == ("mean", False, 64)


@pytest.mark.parametrize(
    ("sentence", "tokenizer", "expected"),
    [
        ({"max_seq_length": 40}, {}, 40),
        ({"max_seq_length": 4000}, {}, 64),
        ({"transformer_task": "feature-extraction"}, {"model_max_length": 50}, 50),
        ({"max_seq_length": None}, {"model_max_length": 1e30}, 64),
        ({"max_seq_length": None}, {"model_max_length": "(gone)"}, 64),
    ],
)
def test_the_maximum_length_comes_from_the_configuration(
    folder: Path, sentence: dict[str, Any], tokenizer: dict[str, Any], expected: int
) -> None:
    write_json(folder / "sentence_bert_config.json", sentence)
    edit_json(folder / "tokenizer_config.json", **tokenizer)
    model = load(folder)
    assert model.max_length == expected
    assert len(model.encoder.encode_texts(["good " * 100])[0]) == expected


def test_own_padding_and_truncation_of_the_tokenizer_are_ignored(folder: Path) -> None:
    own = json.loads((folder / "tokenizer.json").read_text())
    assert own["padding"] is not None and own["truncation"]["max_length"] == 16
    model = load(folder)
    found = model.forward(["good", "good " * 30], ["hidden"])
    assert np.diff(found["offsets"]).tolist() == [3, 32]


def test_max_length_may_be_chosen(folder: Path) -> None:
    assert load(folder, max_length=12).max_length == 12
    with pytest.raises(mtf.ConfigError, match=r"max_length must be from 3 to 64.*found 65"):
        load(folder, max_length=65)
    with pytest.raises(TypeError, match="max_length must be an int"):
        load(folder, max_length="12")  # type: ignore[arg-type]


def test_do_lower_case_of_the_sentence_files(folder: Path) -> None:
    from tokenizers import Tokenizer, normalizers

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    edit_json(folder / "tokenizer_config.json", do_lower_case=False)
    upper = load(folder).encode(["GOOD film", "good film"])
    assert not np.array_equal(upper[0], upper[1])
    edit_json(folder / "sentence_bert_config.json", do_lower_case=True)
    lower = load(folder).encode(["GOOD film", "good film"])
    assert np.array_equal(lower[0], lower[1])


def test_vocab_txt_alone(folder: Path) -> None:
    expected = load(folder).encode(SENTENCES)
    (folder / "tokenizer.json").unlink()
    assert np.array_equal(load(folder).encode(SENTENCES), expected)


def test_the_pooler_where_it_is_asked_for(folder: Path) -> None:
    model = load(folder, pooling="pooler")
    assert "embeddings.position_ids" in model.unused and len(model.unused) == 1
    found = model.forward(SENTENCES, ["hidden", "pooled"])
    params = model.parameters()
    first = found["hidden"][found["offsets"][:-1]]
    weight = params["backbone.pooler.dense.weight"]
    expected = np.tanh(first @ weight.T + params["backbone.pooler.dense.bias"])
    np.testing.assert_allclose(found["pooled"], expected, atol=1e-5)


def test_harmless_keys(folder: Path) -> None:
    edit_json(
        folder / "config.json",
        id2label={"0": "A"},
        torch_dtype="float32",
        _commit_hash="abc",
        classifier_dropout=0.1,
        some_new_switch=False,
        another=None,
    )
    load(folder)
    edit_json(folder / "config.json", my_note="trained on Mondays")
    with pytest.raises(mtf.ConfigError, match="found 'my_note' = 'trained on Mondays'"):
        load(folder)
    load(folder, ignore_config=["my_note"])


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model_type": "bart"}, mtf.ConfigError, "found 'bart'; choose a model of a supported"),
        ({"model_type": "bret"}, mtf.ConfigError, "found 'bret'; choose a model of a supported"),
        ({"model_type": "(gone)"}, mtf.ConfigError, "found None"),
        ({"model_type": 7}, mtf.ConfigError, "found 7"),
        ({"position_embedding_type": "relative_key"}, mtf.ConfigError, "'position_embedding_type'"),
        ({"is_decoder": True}, mtf.ConfigError, "'is_decoder' changes what the model computes"),
        ({"add_cross_attention": True}, mtf.ConfigError, "'add_cross_attention'"),
        ({"embedding_size": 128}, mtf.ConfigError, "'embedding_size'"),
        ({"quantization_config": {"bits": 8}}, mtf.ConfigError, "'quantization_config'"),
        ({"auto_map": {"AutoModel": "x.Y"}}, mtf.ConfigError, "'auto_map'"),
        ({"rope_theta": 10000.0}, mtf.ConfigError, "found 'rope_theta' = 10000.0"),
        ({"hidden_act": "swiglu"}, mtf.ConfigError, 'hidden_act "swiglu" is not supported'),
        ({"num_attention_heads": 5}, mtf.ConfigError, "not a multiple of num_attention_heads 5"),
        ({"layer_norm_eps": "small"}, mtf.ConfigError, "layer_norm_eps"),
        ({"layer_norm_eps": -1.0}, mtf.ConfigError, "layer_norm_eps"),
        ({"hidden_dropout_prob": 1.0}, mtf.ConfigError, "hidden_dropout_prob"),
        ({"hidden_size": "(gone)"}, mtf.CheckpointError, "not found: 'hidden_size'"),
        ({"hidden_size": 64}, mtf.CheckpointError, "hidden_size = 64, but tensor"),
        ({"hidden_size": "48"}, mtf.CheckpointError, "hidden_size = '48', but tensor"),
        ({"vocab_size": 10**9}, mtf.CheckpointError, "vocab_size = 1000000000, but tensor"),
        ({"num_hidden_layers": 2}, mtf.CheckpointError, "the weights hold 3 layers"),
        ({"num_hidden_layers": 10**6}, mtf.CheckpointError, "the weights hold 3 layers"),
        ({"intermediate_size": 97}, mtf.CheckpointError, "intermediate_size = 97"),
        ({"max_position_embeddings": 512}, mtf.CheckpointError, "max_position_embeddings = 512"),
        ({"type_vocab_size": 1}, mtf.CheckpointError, "type_vocab_size = 1"),
    ],
)
def test_configurations(
    folder: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    edit_json(folder / "config.json", **changes)
    with pytest.raises(error, match=message):
        load(folder)


LAYER = "encoder.layer.1.attention.self.query.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(LAYER) is None or t, f"not found: '{LAYER}'"),
        (
            lambda t: {**{k: v for k, v in t.items() if k != LAYER}, LAYER + "s": t[LAYER]},
            f"'{LAYER}' may be '{LAYER}s'",
        ),
        (lambda t: {**t, LAYER: t[LAYER][:, :40].copy()}, r"of shape \(48, 48\); found \(48, 40\)"),
        (lambda t: {**t, LAYER: t[LAYER].reshape(-1)}, r"found \(2304,\)"),
        (lambda t: {**t, LAYER: t[LAYER].astype(np.int32)}, "expected tensor .* as 'F32'"),
        (lambda t: {**t, "encoder.layer.1.extra.weight": t[LAYER]}, "found also 'encoder.layer.1."),
        (lambda t: {**t, "bert." + LAYER: t[LAYER]}, f"both meaning '{LAYER}'"),
        (lambda t: {"x": t[LAYER]}, "another kind of model"),
        *(
            (
                lambda t, prefix=prefix: {prefix + k: v for k, v in t.items()},
                f"names begin with '{prefix}', as where torch.compile or DataParallel was saved",
            )
            for prefix in ("module.", "_orig_mod.", "module._orig_mod.bert.")
        ),
        (
            lambda t: {k: v for k, v in t.items() if not k.startswith("encoder.layer.2.")},
            "num_hidden_layers = 3, but the weights hold 2 layers",
        ),
    ],
)
def test_weights(folder: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    edit_tensors(folder, change)
    with pytest.raises(mtf.CheckpointError, match=message):
        load(folder)


def write(name: str, content: str | bytes | None) -> Callable[[Path], None]:
    """Return an edit that replaces or removes a file."""

    def edit(folder: Path) -> None:
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return edit


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (write("config.json", None), mtf.CheckpointError, "expected the file config.json in"),
        (write("config.json", "{"), mtf.CheckpointError, "config.json: expected JSON; found"),
        (write("config.json", b"\xff"), mtf.CheckpointError, "config.json: expected UTF-8 text"),
        (write("config.json", "[]"), mtf.CheckpointError, "expected a JSON object"),
        (write("model.safetensors", None), mtf.CheckpointError, "expected model.safetensors in"),
        (write("model.safetensors", b"abc"), mtf.CheckpointError, "cut short or of another kind"),
        (write("modules.json", "{}"), mtf.CheckpointError, "expected a list of modules"),
        (
            write("modules.json", '[{"type": "sentence_transformers.models.LSTM"}]'),
            mtf.ConfigError,
            "found 'sentence_transformers.models.LSTM', which changes the embeddings",
        ),
        (
            write("modules.json", '[{"type": "sentence_transformers.models.custom.Pooling"}]'),
            mtf.ConfigError,
            "found 'sentence_transformers.models.custom.Pooling', which changes the embeddings",
        ),
        (
            write("1_Pooling/config.json", '{"pooling_mode": ["mean", "most"]}'),
            mtf.ConfigError,
            "poolings 'mean', 'cls'.*found 'mean', 'most'; pass from_pretrained",
        ),
        (
            write("1_Pooling/config.json", '{"pooling_mode_mean_tokens": false}'),
            mtf.ConfigError,
            r"found \(none\)",
        ),
        (
            write("1_Pooling/config.json", None),
            mtf.CheckpointError,
            "expected the file config.json",
        ),
        (
            write("sentence_bert_config.json", '{"max_seq_length": "long"}'),
            mtf.CheckpointError,
            "expected a maximum length of at least 3 tokens; found 'long'",
        ),
        (
            write("sentence_bert_config.json", '{"max_seq_length": 1}'),
            mtf.CheckpointError,
            "at least 3 tokens; found 1",
        ),
        (
            write(
                "config_sentence_transformers.json",
                '{"prompts": {"query": "query: "}, "default_prompt_name": "passage"}',
            ),
            mtf.CheckpointError,
            "'default_prompt_name' to be null or one of 'query'; found 'passage'",
        ),
        (write("tokenizer.json", "{}"), mtf.CheckpointError, "tokenizer.json: expected a tokeni"),
        (write("tokenizer.json", b"\xff"), mtf.CheckpointError, "tokenizer.json: expected UTF-8"),
    ],
)
def test_files(
    folder: Path, edit: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    edit(folder)
    with pytest.raises(error, match=message):
        load(folder)


def test_a_tokenizer_of_another_model(folder: Path) -> None:
    config = tiny_config(vocab_size=50)
    write_json(folder / "config.json", config)
    save_file(tiny_tensors(config), str(folder / "model.safetensors"))
    with pytest.raises(mtf.CheckpointError, match="expected token ids below 50"):
        load(folder)


def test_pooling_that_is_not_known(folder: Path) -> None:
    with pytest.raises(mtf.ConfigError, match=r"unknown pooling 'maen'.*did you mean 'mean'"):
        load(folder, pooling="maen")
    with pytest.raises(TypeError, match="normalize must be True, False or None; found 'yes'"):
        load(folder, normalize="yes")  # type: ignore[arg-type]


def test_a_failed_load_leaves_other_models_alone(
    folder: Path, tiny_model: mtf.MultiTaskModel
) -> None:
    before = tiny_model.encode(SENTENCES)
    edit_tensors(folder, lambda t: t.pop(LAYER) is None or t)
    with pytest.raises(mtf.CheckpointError):
        load(folder)
    assert np.array_equal(tiny_model.encode(SENTENCES), before)


# ---- the real model ------------------------------------------------------------------------------


@pytest.mark.real
def test_the_real_model_is_its_file(minilm_shared: mtf.MultiTaskModel, minilm_folder: Path) -> None:
    stored = load_file(str(minilm_folder / "model.safetensors"))
    params = minilm_shared.parameters()
    assert len(params) == 101 and len(stored) == 104
    for key, value in params.items():
        assert value.tobytes() == stored[key.removeprefix("backbone.")].tobytes(), key
    assert set(minilm_shared.unused) == {
        "embeddings.position_ids",
        "pooler.dense.weight",
        "pooler.dense.bias",
    }


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_not_loaded(folder: Path, value: float) -> None:
    name = "encoder.layer.1.output.dense.bias"

    def spoil(tensors: dict[str, Any]) -> None:
        tensors[name][3] = value

    edit_tensors(folder, spoil)
    with pytest.raises(mtf.CheckpointError, match=f"tensor '{name}' to be finite .* found 1 of"):
        load(folder)


def test_large_finite_weights_are_loaded(folder: Path) -> None:
    name = "encoder.layer.1.output.dense.bias"

    def enlarge(tensors: dict[str, Any]) -> None:
        tensors[name][:] = np.finfo(np.float32).max  # their sum is not finite

    edit_tensors(folder, enlarge)
    assert np.isfinite(load(folder).parameters()[f"backbone.{name}"]).all()
