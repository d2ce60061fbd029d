# SPDX-License-Identifier: Apache-2.0
"""What an export writes, and what it refuses; that it computes the same, `tests/parity` says."""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.exporting.of_images import OF_IMAGES
from mtfreeze.exporting.translations import TRANSLATIONS, translate
from mtfreeze.exporting.weights import quantised
from support.places import ROOT
from support.texts import TAGS
from support.vision_folders import write_vision_folder

onnx = pytest.importorskip("onnx")


def test_every_operation_of_the_core_has_a_translation() -> None:
    """By the names in the tables of csrc/ops; families with other ones are refused by type."""
    sources = [path.read_text("utf-8") for path in (ROOT / "csrc" / "ops").glob("*.c")]
    found = {name for text in sources for name in re.findall(r'\.name = "([^"]+)"', text)}
    assert len(found) > 10
    # A batch norm of its own trains: what stands in a graph goes by what is stored.
    assert found == {*TRANSLATIONS, *OF_IMAGES, "batch_norm"}


def test_nodes_stand_in_order_and_say_what_they_read(two_head_model: mtf.MultiTaskModel) -> None:
    core = two_head_model._core
    made = set(range(len(core.inputs())))
    params: set[int] = set()
    for node in core.nodes():
        assert set(node.inputs) - {-1} <= made, node.label
        outputs = set(node.outputs) - {-1}
        assert outputs and not outputs & made, node.label
        assert [w > 0 for w in node.widths] == [one >= 0 for one in node.outputs], node.label
        assert [one >= 0 for one in node.spaces] == [one >= 0 for one in node.outputs], node.label
        made |= outputs
        params |= set(node.params) - {-1}
    assert params == set(range(len(core.params())))
    widths = {o: w for node in core.nodes() for o, w in zip(node.outputs, node.widths, strict=True)}
    spaces = {o: s for node in core.nodes() for o, s in zip(node.outputs, node.spaces, strict=True)}
    for info in core.outputs():
        assert widths[info.tensor] == info.width, info.name
        assert core.spaces()[spaces[info.tensor]].name == info.space, info.name


def test_what_nothing_wanted_reads_is_left_out(two_head_model: mtf.MultiTaskModel) -> None:
    found = translate(two_head_model._core, ["hidden"])
    assert set(found.inputs) == {"ids", "token_types"}
    names = [name for node in found.graph.nodes for name in (*node.inputs, *node.outputs)]
    assert not any("pooling" in name or "classifier" in name for name in names)


def test_the_files(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    folder = two_head_model.export_onnx(tmp_path / "out", heads=["ner_head"])
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {
        *("onnx/model.onnx", "onnx/model_quantized.onnx", "config.json", "tokenizer.json"),
        *("modules.json", "1_Pooling/config.json", "sentence_bert_config.json"),
    } <= files
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert list(config["id2label"].values()) == TAGS
    assert config["label2id"] == {tag: i for i, tag in enumerate(TAGS)}
    model = onnx.load(folder / "onnx" / "model.onnx")
    assert model.ir_version == 10
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 17)]
    int64 = onnx.TensorProto.INT64
    assert [(one.name, one.type.tensor_type.elem_type) for one in model.graph.input] == [
        ("input_ids", int64),
        ("attention_mask", int64),
        ("token_type_ids", int64),
    ]
    shapes = {
        one.name: [dim.dim_param or dim.dim_value for dim in one.type.tensor_type.shape.dim]
        for one in model.graph.output
    }
    assert shapes == {
        "token_embeddings": ["batch", "sequence", 48],
        "sentence_embedding": ["batch", 48],
        "logits": ["batch", "sequence", 5],
    }
    notes = {one.key: json.loads(one.value) for one in model.metadata_props}
    assert notes == {"labels": {"ner_head": TAGS}}


def test_an_export_is_the_same_bytes(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    first, second = (two_head_model.export_onnx(tmp_path / name, ["classifier"]) for name in "ab")
    for path in first.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path


def test_an_earlier_export_is_replaced_and_nothing_else(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    folder = two_head_model.export_onnx(tmp_path / "out", heads=["classifier"])
    two_head_model.export_onnx(folder)
    assert "id2label" not in json.loads((folder / "config.json").read_text("utf-8"))
    saved = two_head_model.save_pretrained(tmp_path / "saved")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    for place, found in (
        (saved, "other files"),
        (mine, "other files"),
        (mine / "notes.txt", "file"),
    ):
        before = sorted(path.name for path in tmp_path.rglob("*"))
        with pytest.raises(mtf.ConfigError, match=f"found .*{found}"):
            two_head_model.export_onnx(place)
        assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("heads", "error", "message"),
    [
        (["clasifier"], mtf.ConfigError, "did you mean 'classifier'"),
        ("classifier", TypeError, "heads must be names of heads; found str"),
        (3, TypeError, "heads must be names of heads; found int"),
        ([3], TypeError, "head"),
    ],
)
def test_heads_that_cannot_be_exported(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, heads: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        two_head_model.export_onnx(tmp_path / "out", heads=heads)
    assert not (tmp_path / "out").exists()


def test_an_operation_without_a_translation_is_named(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = {name: one for name, one in TRANSLATIONS.items() if name != "layernorm"}
    monkeypatch.setattr("mtfreeze.exporting.translations.TRANSLATIONS", rest)
    with pytest.raises(mtf.ConfigError, match=r"found 'layernorm' in 'backbone\.embeddings"):
        two_head_model.export_onnx(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_the_package_it_says_what_to_install(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.split(".")[0] == "onnx":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(mtf.ConfigError, match=r"pip install 'mtfreeze\[onnx\]'"):
        two_head_model.export_onnx(tmp_path / "out")


def test_the_command(
    command: Callable[..., Any], two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    saved = two_head_model.save_pretrained(tmp_path / "saved")
    code, out, _ = command("export", saved, "--onnx", tmp_path / "out", "--head", "classifier")
    assert code == 0 and len(out.splitlines()) == 2 and "model.onnx" in out
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "onnx").iterdir()}
    words = ("export", saved, "--onnx", tmp_path / "out", "--head")
    code, _, err = command(*words, "ner_head")
    assert code == 2 and "with 'onnx'; choose another with --onnx, or add --force" in err
    code, _, err = command(*words, "x", "--force")
    assert code == 2 and "head" in err
    assert written == {path: path.stat().st_mtime_ns for path in written}
    assert command(*words, "ner_head", "--force")[0] == 0
    assert all(path.stat().st_mtime_ns > before for path, before in written.items())
    code, _, err = command("export", saved)
    assert code == 2 and "--onnx" in err


def test_whole_numbers_of_a_matrix() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((20, 30)).astype(np.float32)
    values[:, 3] = 0
    for axis in (0, 1):
        whole, scale = quantised(values, axis)
        assert whole.dtype == np.int8 and np.abs(whole.astype(int)).max() == 63
        assert np.abs(whole * scale - values).max() <= 0.51 * scale.max()


def test_a_mean_that_is_of_texts_is_refused_for_images(tmp_path: Path) -> None:
    folder = write_vision_folder(tmp_path / "vit")
    model = mtf.MultiTaskModel.from_pretrained(folder, pooling="weightedmean")
    with pytest.raises(mtf.ConfigError, match="expected images to be pooled by 'mean', 'max'"):
        model.export_onnx(tmp_path / "out")
    assert not (tmp_path / "out").exists()
