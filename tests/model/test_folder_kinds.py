# SPDX-License-Identifier: Apache-2.0
"""A folder says what it holds: other kinds of models, keys of other programs, what is kept."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from support.pretrained_folders import SEQUENCE, write_classifier
from support.tiny_bert import write_json, write_tiny_bert

load = mtf.MultiTaskModel.from_pretrained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of the tiny BERT that a test may spoil."""
    return write_tiny_bert(tmp_path / "model")


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# ---- other kinds ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"sentence_transformers": {"activation_fn": "torch.nn.Sigmoid", "version": "5.0"}},
        {"sentence_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
        {},
    ],
)
def test_a_cross_encoder_is_said(tmp_path: Path, config: dict[str, Any]) -> None:
    folder = write_classifier(tmp_path / "cross", SEQUENCE, ("LABEL_0",), n_labels=1, **config)
    with pytest.warns(mtf.OtherKindWarning, match="of which the encoder alone was loaded"):
        model = load(folder)
    saved = model.save_pretrained(tmp_path / "saved")
    assert load(saved).config["architectures"] == [SEQUENCE]  # said once; now it is ours


def test_what_the_sentence_files_call_another_kind(folder: Path) -> None:
    path = folder / "config_sentence_transformers.json"
    write_json(path, {"model_type": "SparseEncoder"})
    with pytest.warns(mtf.OtherKindWarning, match="found a 'SparseEncoder'"):
        load(folder)
    write_json(path, {"model_type": "SentenceTransformer"})
    load(folder)


def test_classifiers_are_no_other_kind(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(write_classifier(tmp_path / "two"))
        for problem in ("regression", "multi_label_classification"):
            load(write_classifier(tmp_path / problem, labels=("x",), problem_type=problem))


@pytest.mark.parametrize(
    "kind", ["custom_st.Transformer", "Transformer", "", "my_sentence_transformers.models.Pooling"]
)
def test_code_of_the_model_is_not_taken_for_ours(folder: Path, kind: str) -> None:
    path = folder / "modules.json"
    modules = json.loads(path.read_text())
    modules[0]["type"] = kind
    write_json(path, modules)
    with pytest.raises(mtf.ConfigError, match="expected modules of sentence-transformers; found"):
        load(folder)


def test_keys_that_other_programs_add(folder: Path, tmp_path: Path) -> None:
    added = {
        "transformers.js_config": {"dtype": "q8", "use_external_data_format": False},
        "cls_token_id": 2,
        "mask_token_id": 4,
    }
    edit(folder / "config.json", **added)
    config = load(folder).config
    assert {key: config[key] for key in added} == added


# ---- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "float32"])
def test_the_dtype_of_the_file_is_said(folder: Path, tmp_path: Path, key: str, dtype: str) -> None:
    edit(folder / "config.json", **{key: dtype})
    path = folder / "model.safetensors"
    half = {k: v.astype(np.float16) for k, v in load_file(str(path)).items() if v.dtype == "f4"}
    save_file(half, str(path))
    saved = load(folder).save_pretrained(tmp_path / "saved")
    written = json.loads((saved / "config.json").read_text())
    assert written[key] == "float32"
    assert {"dtype", "torch_dtype"} & set(written) == {key}
    stored = load_file(str(saved / "model.safetensors"))
    assert stored["encoder.layer.0.output.dense.weight"].dtype == np.float32


@pytest.mark.parametrize("include", [True, False, None])
def test_include_prompt_is_kept(folder: Path, tmp_path: Path, include: bool | None) -> None:
    path = folder / "1_Pooling" / "config.json"
    if include is not None:
        edit(path, include_prompt=include)
    for pooling in (None, "cls"):
        saved = load(folder, pooling=pooling).save_pretrained(tmp_path / f"saved-{pooling}")
        for again in (saved, load(saved).save_pretrained(tmp_path / f"again-{pooling}")):
            written = json.loads((again / "1_Pooling" / "config.json").read_text())
            assert written["include_prompt"] is (include is not False)


def test_files_of_the_tokenizer_are_kept(folder: Path, tmp_path: Path) -> None:
    names = ["vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model"]
    names += ["tokenizer.model", "chat_template.jinja", "chat_template.json"]
    for name in names:
        (folder / name).write_bytes(name.encode() + b"\0\xff\r\n")
    saved = load(folder).save_pretrained(tmp_path / "saved")
    for name in [*names, "vocab.txt", "tokenizer.json", "special_tokens_map.json"]:
        assert (saved / name).read_bytes() == (folder / name).read_bytes(), name


def test_files_that_nobody_here_reads_are_kept(folder: Path, tmp_path: Path) -> None:
    kept = ["README.md", "LICENSE", "generation_config.json", "data_config.json", "modeling_x.py"]
    left = ["pytorch_model.bin", "rust_model.ot", "optimizer.pt", "trainer_state.json", ".hidden"]
    left += ["train.csv", "notes.jsonl", "large.md"]
    for name in [*kept, *left]:
        size = 5_000_000 if name == "large.md" else 1
        (folder / name).write_bytes(name.encode() * size)
    saved = load(folder).save_pretrained(tmp_path / "saved")
    for name in kept:
        assert (saved / name).read_bytes() == (folder / name).read_bytes(), name
    assert not [name for name in left if (saved / name).exists()]
    # What lies there already may be the user's own.
    (saved / "README.md").write_text("mine")
    (saved / "chat_template.jinja").write_text("of another model")
    load(folder).save_pretrained(saved)
    assert (saved / "README.md").read_text() == "mine"
    assert not (saved / "chat_template.jinja").exists()
    assert load(load(saved).save_pretrained(tmp_path / "again")).encode(["a"]).shape == (1, 48)
    assert (tmp_path / "again" / "README.md").read_text() == "mine"


def test_the_tokenizer_of_an_earlier_model_does_not_stay(folder: Path, tmp_path: Path) -> None:
    for name in ("added_tokens.json", "spm.model"):
        (folder / name).write_bytes(b"{}")
    model = load(folder)
    for name in ("added_tokens.json", "spm.model", "vocab.txt"):
        (folder / name).unlink()
    (folder / "config_sentence_transformers.json").write_text(
        '{"prompts": {"x": "y "}, "default_prompt_name": "x"}'
    )
    prompted = load(folder)
    saved = prompted.save_pretrained(tmp_path / "saved")
    assert load(saved).default_prompt_name == "x"
    model.save_pretrained(saved)
    assert (saved / "vocab.txt").is_file() and load(saved).default_prompt_name is None
    prompted.save_pretrained(saved)
    assert not (saved / "vocab.txt").exists() and not (saved / "spm.model").exists()
