# SPDX-License-Identifier: Apache-2.0
"""Saved folders: restored to the bit, readable by others, and never half written."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from mtfreeze.files import folder_swap
from mtfreeze.model import saving
from support.bits import bits
from support.texts import LABELS, SENTENCES, TAGGED, TAGS
from support.tiny_bert import write_tiny_bert

load = mtf.MultiTaskModel.from_pretrained
BATCH: dict[str, Any] = {
    "classifier": list(zip(SENTENCES, LABELS, strict=True)),
    "ner_head": TAGGED,
}


@pytest.fixture
def trained(two_head_model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Return the tiny model, a step trained, partly frozen and pinned, with a third fresh head."""
    two_head_model.step(BATCH, learning_rate=1e-2)
    two_head_model.freeze("backbone[:2]", "ner_head").freeze("*.layer.2.*.bias", pin=False)
    spec = mtf.SequenceClassification(["a", "b", "c"], hidden=(8,), dropout=0.2, pooling="cls")
    return two_head_model.add_head("third", spec)


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder by its relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_everything_comes_back(trained: mtf.MultiTaskModel, tmp_path: Path) -> None:
    assert trained.save_pretrained(tmp_path / "out") == tmp_path / "out"
    again = load(tmp_path / "out")
    assert bits(again.parameters()) == bits(trained.parameters())
    assert again.freeze_state() == trained.freeze_state()
    assert {name: head.spec for name, head in again.heads.items()} == {
        name: head.spec for name, head in trained.heads.items()
    }
    assert [head.trained for head in again.heads.values()] == [True, True, False]
    assert [head.frozen for head in again.heads.values()] == [False, True, False]
    assert again.unused == trained.unused
    assert (again.pooling, again.normalize, again.max_length) == ("mean", True, 40)
    assert np.array_equal(again.encode(SENTENCES), trained.encode(SENTENCES))
    assert again.predict_all(SENTENCES) == trained.predict_all(SENTENCES)


def test_saving_twice_writes_the_same_bytes(trained: mtf.MultiTaskModel, tmp_path: Path) -> None:
    trained.save_pretrained(tmp_path / "one")
    load(tmp_path / "one").save_pretrained(tmp_path / "two")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_the_files_of_a_folder(trained: mtf.MultiTaskModel, tmp_path: Path) -> None:
    trained.save_pretrained(tmp_path / "out", tasks={"classifier": {"weight": 2.0}})
    assert set(tree(tmp_path / "out")) == {
        "1_Pooling/config.json",
        "README.md",
        "config.json",
        "freeze_report.json",
        "heads/classifier.safetensors",
        "heads/ner_head.safetensors",
        "heads/third.safetensors",
        "model.safetensors",
        "modules.json",
        "mtfreeze.json",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    }
    modules = json.loads((tmp_path / "out" / "modules.json").read_text())
    assert [module["type"] for module in modules] == [
        "sentence_transformers.models.Transformer",
        "sentence_transformers.models.Pooling",
        "sentence_transformers.models.Normalize",
    ]
    assert load(tmp_path / "out").tasks == {"classifier": {"weight": 2.0}}


def test_the_source_is_saved_back(
    tiny_model: mtf.MultiTaskModel, tiny_folder: Path, tmp_path: Path
) -> None:
    tiny_model.save_pretrained(tmp_path / "out")
    before, after = tree(tiny_folder), tree(tmp_path / "out")
    for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"):
        assert after[name] == before[name]
    assert json.loads(after["config.json"]) == json.loads(before["config.json"])
    old = load_file(str(tiny_folder / "model.safetensors"))
    new = load_file(str(tmp_path / "out" / "model.safetensors"))
    assert bits(old) == bits(new)
    assert {name: value.dtype for name, value in old.items()} == {
        name: value.dtype for name, value in new.items()
    }


def test_the_freeze_report(trained: mtf.MultiTaskModel, tmp_path: Path) -> None:
    trained.save_pretrained(tmp_path / "out")
    report = json.loads((tmp_path / "out" / "freeze_report.json").read_text())
    assert report["units"] == {
        "backbone.embeddings": "frozen",
        "backbone.layers[0]": "frozen",
        "backbone.layers[1]": "frozen",
        "backbone.layers[2]": "partly trainable",
        "classifier": "trainable",
        "ner_head": "frozen",
        "third": "trainable",
    }
    frozen = {key for key, one in report["tensors"].items() if one["frozen"]}
    unused = {f"unused:{name}" for name in trained.unused}
    assert frozen == trained.freeze_state().frozen | unused
    import hashlib

    key = "classifier.weight"
    expected = hashlib.blake2b(trained.parameters()[key].tobytes(), digest_size=16).hexdigest()
    assert report["tensors"][key] == {"frozen": False, "blake2b": expected}


def test_into_the_folder_that_it_came_from(tmp_path: Path) -> None:
    folder = write_tiny_bert(tmp_path / "model")
    (folder / "README.md").write_text("my notes")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"old weights")
    (folder / "pytorch_model.bin").write_bytes(b"old weights")
    model = load(folder)
    model.add_head("classifier", mtf.SequenceClassification(["a", "b"]))
    for number in range(3):
        model.set_parameter("classifier.bias", [number, 0])
        model.save_pretrained(folder)
        assert load(folder).parameters()["classifier.bias"].tolist() == [number, 0]
    model.remove_head("classifier").save_pretrained(folder)
    assert not load(folder).heads
    assert (folder / "README.md").read_text() == "my notes"
    names = set(tree(folder))
    assert not [name for name in names if "onnx" in name or "bin" in name or "heads/" in name]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_through_a_link_and_into_new_parents(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    tiny_model.save_pretrained(tmp_path / "deep" / "er" / "real")
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er" / "real")
    tiny_model.freeze("backbone").save_pretrained(str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert load(tmp_path / "deep" / "er" / "real").trainable("backbone") is False


@pytest.mark.skipif(os.name != "posix", reason="links, pipes and modes of POSIX")
def test_into_the_working_folder_beside_links_and_pipes(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    tiny_model.save_pretrained(folder)
    folder.chmod(0o700)
    (folder / "README.md").write_text("my notes")
    (folder / "latest").symlink_to("README.md")
    (folder / "data").symlink_to(tmp_path)
    (folder / "gone").symlink_to("nothing")
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)
    assert tiny_model.freeze("backbone").save_pretrained(".") == Path(".")
    assert load(".").trainable("backbone") is False
    assert Path.cwd() == folder and folder.stat().st_mode & 0o7777 == 0o700
    assert Path("latest").is_symlink() and Path("latest").read_text() == "my notes"
    assert os.readlink("data") == str(tmp_path) and os.readlink("gone") == "nothing"
    assert Path("pipe").is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_pooler_models_are_plain_hugging_face_folders(tiny_folder: Path, tmp_path: Path) -> None:
    model = load(tiny_folder, pooling="pooler", normalize=False)
    model.save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out" / "modules.json").exists()
    again = load(tmp_path / "out")
    assert (again.pooling, again.normalize) == ("pooler", False)
    assert np.array_equal(again.encode(SENTENCES), model.encode(SENTENCES))


# ---- what is refused, and what is left after a failure -------------------------------------------


def test_places_that_are_no_model_folder(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(mtf.ConfigError, match="found the file"):
        tiny_model.save_pretrained(tmp_path / "file")
    with pytest.raises(mtf.ConfigError, match="with other files in it; choose a folder of its own"):
        tiny_model.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class FailingCalls:
    """Let the first `n` calls of os.fsync through, then raise `code`."""

    def __init__(self, n: int, code: int) -> None:
        self.left, self.code, self.failed = n, code, False
        self.real = os.fsync

    def __call__(self, handle: int) -> None:
        if self.left == 0:
            self.failed = True
            raise OSError(self.code, os.strerror(self.code))
        self.left -= 1
        self.real(handle)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_leaves_the_earlier_folder(
    trained: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    target = tmp_path / "out"
    trained.save_pretrained(target)
    before = tree(target)
    trained.set_parameter("classifier.bias", [7, 7])
    n = 0
    while True:
        failing = FailingCalls(n, code)
        monkeypatch.setattr(os, "fsync", failing)
        if n > 40:
            break
        try:
            trained.save_pretrained(target)
        except OSError as error:
            assert error.errno == code
            untouched = tree(target) == before
            assert ("what was there before is untouched" in str(error)) == untouched
            assert ("the new folder is in its place" in str(error)) != untouched
        monkeypatch.setattr(os, "fsync", failing.real)
        assert [path.name for path in tmp_path.iterdir()] == ["out"], n
        if not failing.failed:
            break
        if tree(target) != before:  # the last sync, of the parent, comes after the swap
            assert bits(load(target).parameters()) == bits(trained.parameters())
            trained.set_parameter("classifier.bias", [8, 8])
            before = tree(target)
        n += 1
    assert 15 < n < 40
    assert bits(load(target).parameters()) == bits(trained.parameters())


def test_a_full_disk_for_real(trained: mtf.MultiTaskModel, tmp_path: Path) -> None:
    """Write to /dev/full, which has no space left, through a link in the draft folder."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    from mtfreeze.files.tensor_files import write_tensors

    with pytest.raises(OSError, match="No space left"):
        write_tensors(Path("/dev/full"), dict(trained.parameters()))


def test_a_failed_rename_puts_the_earlier_folder_back(
    trained: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    trained.save_pretrained(target)
    before = tree(target)
    monkeypatch.setattr(folder_swap, "_exchange", lambda first, second: False)
    real = os.rename

    def rename(source: Any, destination: Any) -> None:
        if ".new-" in str(source):
            raise OSError(errno.EIO, "Input/output error")
        real(source, destination)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OSError, match="cannot save the model to"):
        trained.save_pretrained(target)
    monkeypatch.setattr(os, "rename", real)
    assert tree(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    trained.set_parameter("classifier.bias", [5, 5]).save_pretrained(target)
    assert load(target).parameters()["classifier.bias"].tolist() == [5, 5]


def test_an_interrupt_leaves_the_earlier_folder(
    trained: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    trained.save_pretrained(target)
    before = tree(target)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "_carry_over", interrupt)
    with pytest.raises(KeyboardInterrupt):
        trained.save_pretrained(target)
    assert tree(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# ---- saved folders that were changed -------------------------------------------------------------


def spoil(folder: Path, **changes: Any) -> None:
    path = folder / "mtfreeze.json"
    own = json.loads(path.read_text())
    own.update(changes)
    path.write_text(json.dumps(own))


HEAD = {"kind": "sequence_classification", "labels": ["a", "b"], "trained": True}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "expected format 1; found 2; it was written by another version"),
        ({"pooling": "most"}, "unknown pooling 'most'"),
        ({"heads": []}, "expected 'heads' to map names to descriptions"),
        ({"heads": {"classifier": {"kind": "ranking"}}}, "unknown kind of head 'ranking'"),
        ({"heads": {"classifier": {**HEAD, "labels": ["a"]}}}, "needs at least two labels"),
        ({"heads": {"fourth": HEAD}}, "expected the weights file .*fourth.safetensors"),
        (
            {"heads": {"classifier": {**HEAD, "labels": ["a", "b", "c"]}}},
            r"head 'classifier' does not fit its saved weights: expected tensor "
            r"'classifier.weight' of shape \(3, 48\) for 3 labels.*found shape \(2, 48\)",
        ),
        (
            {"heads": {"classifier": {**HEAD, "hidden": [8]}}},
            "head 'classifier' does not fit .* expected tensor 'classifier.hidden.0.weight'",
        ),
        ({"heads": {"third": {**HEAD, "labels": ["a", "b", "c"], "hidden": []}}}, "does not fit"),
        ({"freeze": {"frozen": "all"}}, "expected freeze.frozen as a list of names"),
        ({"freeze": []}, "expected freeze.frozen as a list of names"),
        ({"tasks": []}, "expected 'tasks' to map names to notes"),
    ],
)
def test_changed_descriptions(
    trained: mtf.MultiTaskModel, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    trained.save_pretrained(tmp_path / "out")
    spoil(tmp_path / "out", **changes)
    with pytest.raises(mtf.CheckpointError, match=message):
        load(tmp_path / "out")


def test_changed_head_files(trained: mtf.MultiTaskModel, tmp_path: Path) -> None:
    trained.save_pretrained(tmp_path / "out")
    path = tmp_path / "out" / "heads" / "classifier.safetensors"
    tensors = load_file(str(path))
    save_file({**tensors, "more": np.zeros(2, np.float32)}, str(path))
    with pytest.raises(mtf.CheckpointError, match="found also 'more'"):
        load(tmp_path / "out")
    shutil.copy(tmp_path / "out" / "heads" / "ner_head.safetensors", path)
    with pytest.raises(mtf.CheckpointError, match=r"'classifier' does not fit.*found 'ner_head"):
        load(tmp_path / "out")


# ---- other libraries -----------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parity
def test_sentence_transformers_and_transformers_read_it(
    trained: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    trained.save_pretrained(tmp_path / "out")
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path / "out"), device="cpu")
    assert theirs.max_seq_length == 40
    np.testing.assert_allclose(theirs.encode(SENTENCES), trained.encode(SENTENCES), atol=1e-5)
    backbone = transformers.AutoModel.from_pretrained(str(tmp_path / "out")).eval()
    batch = trained.encoder.encode_texts(SENTENCES[:1]).pack()
    with torch.no_grad():
        hidden = backbone(
            torch.from_numpy(batch.inputs["ids"].astype(np.int64))[None]
        ).last_hidden_state[0]
    ours = trained.forward(SENTENCES[:1], ["hidden"])["hidden"]
    np.testing.assert_allclose(hidden.numpy(), ours, atol=1e-5)
    theirs.save(str(tmp_path / "theirs"))
    again = load(tmp_path / "theirs")
    assert (again.pooling, again.normalize, again.max_length) == ("mean", True, 40)
    np.testing.assert_allclose(again.encode(SENTENCES), trained.encode(SENTENCES), atol=1e-6)


@pytest.mark.real
def test_the_real_model_comes_back(minilm_shared: mtf.MultiTaskModel, tmp_path: Path) -> None:
    model = minilm_shared.copy()
    model.add_head("ner_head", mtf.TokenClassification(TAGS)).freeze("backbone[:3]")
    model.save_pretrained(tmp_path / "out")
    again = load(tmp_path / "out")
    assert bits(again.parameters()) == bits(model.parameters())
    assert again.freeze_state() == model.freeze_state()
    assert np.array_equal(again.encode(SENTENCES), minilm_shared.encode(SENTENCES))


@pytest.mark.long
@pytest.mark.real
@pytest.mark.parity
def test_sentence_transformers_encodes_the_saved_real_model_alike(
    minilm_shared: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = minilm_shared.copy()
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    model.step({"classifier": BATCH["classifier"]}, learning_rate={"all": 1e-4})
    model.save_pretrained(tmp_path / "out")
    texts = [*SENTENCES, "", "A longer text, with Capitals and naïve accents. " * 40]
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path / "out"), device="cpu")
    ours = mtf.MultiTaskModel.from_pretrained(tmp_path / "out").encode(texts)
    assert not np.allclose(ours, minilm_shared.encode(texts), atol=1e-4)
    np.testing.assert_allclose(theirs.encode(texts), ours, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_not_saved(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, value: float
) -> None:
    two_head_model.save_pretrained(tmp_path / "model")
    before = tree(tmp_path / "model")
    two_head_model.set_parameter("classifier.bias", [value, 1])
    with pytest.raises(mtf.CheckpointError, match=r"1 of 2 values of 'classifier\.bias'"):
        two_head_model.save_pretrained(tmp_path / "model")
    assert tree(tmp_path / "model") == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
