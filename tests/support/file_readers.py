# SPDX-License-Identifier: Apache-2.0
"""Every reader of files that may be a stranger's, each with right files to begin from.

`write_corpus` writes the right files, one folder a reader. A `Reader` says which of them are
spoiled, and reads all that it can of a folder: what it raises must be an error of mtfreeze or of
the system.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save_file

import mtfreeze as mtf
from mtfreeze.cli.job import load_config
from mtfreeze.data.readers import read_file
from mtfreeze.families import core_config, family_of
from mtfreeze.features.folder import folder_files, folder_info
from mtfreeze.features.shards import ShardError, read_shard
from mtfreeze.files.json_files import read_object
from mtfreeze.files.tensor_files import find_tensors
from mtfreeze.inputs.text import TextEncoder
from mtfreeze.model.gguf_models import read_gguf_model
from mtfreeze.model.loading import read_own_file, read_saved_heads
from mtfreeze.model.promises import check_promises, check_sizes
from mtfreeze.model.sentence_files import read_settings
from mtfreeze.training.checkpoint import list_checkpoints, read_checkpoint
from support import small_tasks
from support.families import NAMES as FAMILY_NAMES
from support.families import write_family
from support.gguf_writer import tiny_gguf
from support.image_readers import (
    DECODED,
    read_annotations,
    read_pictures,
    read_processors,
    read_tables,
    write_images,
)
from support.sentencepiece_models import small_model
from support.texts import LABELS, SENTENCES, TAGS
from support.tiny_bert import write_tiny_bert, write_tokenizer
from support.tokenizer_layouts import write_byte_pairs

__all__ = ["READERS", "Reader", "write_corpus"]

JOB = """\
model: {name: ./model, pooling: mean, normalize: true}
heads:
  sent_head: {task: sequence_classification, labels: [negative, positive], hidden: [8]}
  ner_head: {task: token_classification, labels: [O, B-person, I-person], dropout: 0.1}
data:
  sent_head: {train: a.tsv, eval: b.tsv, label_map: {0: negative, 1: positive}, weight: 2.0}
  ner_head: {train: a.conll, scheme: iob2, column: 1}
training:
  freeze_mode: "backbone[:2]"
  epochs: 3
  learning_rate: {backbone: 2.0e-5, heads: 1e-3}
  freeze_schedule: {gradual: {every: 1}}
start: {epochs: 1, early_stopping: {patience: 2}}
modes: [backbone, none, {top first: [{train: heads, epochs: 1}, {train: all}]}]
"""


WEIGHTS, GGUF_FILE = "model.safetensors", "model.gguf"


class Reader(NamedTuple):
    """One reader.

    Attributes
    ----------
    name : str
        Also the folder in the corpus.
    files : tuple of str
        Patterns of the files that are spoiled, one at a time.
    read : callable
        Takes the folder.
    cost : int
        Files read a second, about: how many make a case.
    room : int
        Bytes that it may take beside the file.
    """

    name: str
    files: tuple[str, ...]
    read: Callable[[Path], object]
    cost: int = 1000
    room: int = 64_000_000


def _read_config(folder: Path) -> None:
    config = read_object(folder / "config.json")
    core_config(family_of(config, "config.json"), config, "config.json")


@cache
def _read_family(folder: Path, _config: bytes) -> None:
    config = read_object(folder / "config.json")
    family = family_of(config, "config.json")
    build = core_config(family, config, "config.json") | {"pooling": "mean", "normalize": True}
    entries = find_tensors(folder)
    check_sizes(family, build, entries, "config.json")
    check_promises(family, build, entries, [], folder)


def _read_families(folder: Path) -> None:
    # Once for each content: of a case's files one is spoiled.
    for one in sorted(folder.iterdir()):
        _read_family(one, (one / "config.json").read_bytes())


def _read_tensors(folder: Path) -> None:
    for entry in find_tensors(folder).values():
        entry.read_raw()
        entry.read_weights()


def _read_own(folder: Path) -> None:
    own = read_own_file(folder)
    for head in read_saved_heads(folder, own):
        for entry in head.tensors.values():
            entry.read_weights()


def _read_tokenizer(folder: Path) -> None:
    encoder = TextEncoder.from_folder(folder, max_length=16, n_embeddings=500)
    encoder.encode_texts(["good food \u2603", "x" * 400, ""])
    encoder.encode_words([["good", "y" * 400]])


def _read_pieces(folder: Path) -> None:
    encoder = TextEncoder.from_folder(folder, max_length=16, needs_special=False)
    encoder.encode_texts(["the cat \u2603 \ufb01", "x" * 400, ""])
    encoder.encode_words([["the", "y" * 400]])


def _read_model(folder: Path) -> None:
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.encode(SENTENCES[:2])
    str(model)


def _read_gguf(folder: Path) -> None:
    model = read_gguf_model(folder / GGUF_FILE)
    model.tokenizer_files(folder)
    for entry in model.tensors.values():
        entry.read_weights()


def _read_head(folder: Path) -> None:
    model = mtf.MultiTaskModel.from_pretrained(folder.parent / "base")
    model.add_head("other", from_pretrained=folder, head="classifier")


def _read_checkpoint(folder: Path) -> None:
    # The digests would hide every spoiled state: they are left out of what is listed.
    trainer = folder / "trainer"
    manifest = json.loads((trainer / "manifest.json").read_bytes())
    manifest["files"] = {
        name: {"n_bytes": (folder / name).stat().st_size, "blake2b": _digest(folder / name)}
        for name in manifest["files"]
    }
    (trainer / "manifest.json").write_text(json.dumps(manifest))
    _read_whole_checkpoint(folder)


def _digest(path: Path) -> str:
    from mtfreeze.training.checkpoint import _file_digest

    return _file_digest(path)


def _read_whole_checkpoint(folder: Path) -> None:
    found = read_checkpoint(folder)
    for entry in found.parameters().values():
        entry.read_raw()
    found.moments()
    found.arrays()


def _read_features(folder: Path) -> None:
    folder_info(folder)
    for path, _ in folder_files(folder):
        try:
            shard = read_shard(path)
            shard.read_rows()
            shard.open_rows()
        except ShardError:
            pass  # passed over, and what it held is computed again


def _read_rows(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        read_file(path)


READERS = [
    Reader("config", ("config.json",), _read_config),
    Reader("families", ("*/config.json",), _read_families),
    Reader("tensors", (WEIGHTS,), _read_tensors),
    Reader(
        "sentence files",
        ("*.json", "1_Pooling/config.json", "2_Dense/config.json"),
        lambda folder: read_settings(folder),
    ),
    Reader("own file", ("mtfreeze.json", "heads/*.safetensors"), _read_own),
    Reader("tokenizer", ("tokenizer*.json", "special_tokens_map.json"), _read_tokenizer, 100),
    Reader("vocabulary", ("vocab.txt", "*.json"), _read_tokenizer, 100),
    Reader("pieces", ("*.model", "tokenizer_config.json"), _read_pieces, 100),
    Reader("merges", ("vocab.json", "merges.txt"), _read_pieces, 100),
    Reader("model", ("*.json", "*.safetensors", "heads/*", "1_Pooling/*"), _read_model, 10),
    Reader("modules", ("modules.json", "2_Dense/*", "1_Pooling/*"), _read_model, 10),
    Reader("GGUF", (GGUF_FILE,), _read_gguf, 300),
    Reader("GGUF model", (GGUF_FILE,), _read_model, 10),
    Reader("head", ("*.json", "*.safetensors", "heads/*"), _read_head, 10),
    Reader(
        "checkpoint", ("trainer/[!m]*", "trainer/moments*", "mtfreeze.json"), _read_checkpoint, 100
    ),
    Reader("manifest", ("trainer/manifest.json",), _read_whole_checkpoint, 100),
    Reader("features", ("*.mtff",), _read_features),
    Reader("TSV", ("*",), _read_rows),
    Reader("CSV", ("*",), _read_rows),
    Reader("JSONL", ("*",), _read_rows),
    Reader("CoNLL", ("*",), _read_rows),
    Reader("pictures", ("*",), read_pictures, 200, DECODED),
    Reader("processors", ("*.json",), read_processors),
    Reader("COCO", ("coco.json",), read_annotations),
    Reader("image tables", ("*.csv", "*.jsonl"), read_tables),
    Reader("job", ("job.yaml",), lambda folder: load_config(folder / "job.yaml"), 100),
]


def write_corpus(root: Path) -> None:
    """Write the right files of every reader."""
    base = write_tiny_bert(root / "base", num_hidden_layers=1)
    model = mtf.MultiTaskModel.from_pretrained(base)
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"], hidden=(4,)))
    model.add_head("ner_head", mtf.TokenClassification(TAGS)).freeze("embeddings")
    small_tasks.quick_fit(model, epochs=1, save_every=2, output_dir=root / "run", cache=False)
    model.save_pretrained(root / "model")
    (root / "tensors").mkdir()
    for name in ("config", "sentence files", "own file"):
        shutil.copytree(root / "model", root / name)
    shutil.copytree(root / "model", root / "head")
    shutil.copy(root / "model" / "heads" / "classifier.safetensors", root / "tensors" / WEIGHTS)
    write_tokenizer(root / "tokenizer")
    write_tokenizer(root / "vocabulary")
    (root / "vocabulary" / "tokenizer.json").unlink()
    (root / "vocabulary" / "added_tokens.json").write_text('{"good": 74, "[NEW]": 115}')
    _write_tokenizers(root)
    _write_modules(root / "sentence files")
    shutil.copytree(base, root / "modules")
    _write_modules(root / "modules")
    for name in FAMILY_NAMES:
        write_family(root / "families" / name, name)
    for name in ("GGUF", "GGUF model"):
        (root / name).mkdir()
        (root / name / GGUF_FILE).write_bytes(tiny_gguf(root / f"decoder of {name}", "Q8_0"))
    newest = list_checkpoints(root / "run")[0]
    shutil.copytree(newest, root / "checkpoint")
    shutil.copytree(newest, root / "manifest")
    _write_features(model, root / "features")
    write_images(root)
    rows = list(zip(SENTENCES, LABELS, strict=True))
    tsv = "".join(f"{text}\t{label}\n" for text, label in rows)
    csv = 'text,label\n"a, ""b""",x\n' + "".join(f'"{text}",{label}\n' for text, label in rows)
    jsonl = "".join(json.dumps({"text": t, "label": one}) + "\n" for t, one in rows)
    words = '{"words": ["a", "b"], "tags": ["O", "B-x"]}\n'
    several = '{"text": "a", "labels": {"x": "y", "z": 1, "n": [0.5, 2]}}\n'
    conll = "-DOCSTART- O\n\nAnna\tB-per\nwent\tO\n\nLondon\tB-loc\nCity\tI-loc\n"
    for name, files in (
        ("TSV", {"a.tsv": tsv}),
        ("CSV", {"a.csv": csv}),
        ("JSONL", {"a.jsonl": jsonl, "b.jsonl": several, "c.jsonl": words}),
        ("CoNLL", {"a.conll": conll}),
        ("job", {"job.yaml": JOB}),
    ):
        (root / name).mkdir()
        for file, text in files.items():
            (root / name / file).write_text(text, "utf-8")


def _write_tokenizers(root: Path) -> None:
    (root / "pieces").mkdir()
    (root / "pieces" / "spm.model").write_bytes(small_model())
    settings = {"tokenizer_class": "DebertaV2Tokenizer"}
    (root / "pieces" / "tokenizer_config.json").write_text(json.dumps(settings))
    write_byte_pairs(root / "merges")


def _write_modules(folder: Path) -> None:
    """Put a Dense module into a folder of sentence-transformers."""
    dense = {"in_features": 48, "out_features": 4, "bias": True, "use_residual": False}
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "config.json").write_text(json.dumps(dense))
    weights = {"linear.weight": np.ones((4, 48), np.float32), "linear.bias": np.zeros(4, "f4")}
    save_file(weights, str(folder / "2_Dense" / WEIGHTS))
    modules = [
        {"path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(("Transformer", "Pooling", "Dense"))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))


def _write_features(model: Any, folder: Path) -> None:
    from mtfreeze.features import open_cache

    cache = open_cache(folder)
    assert cache is not None
    model.freeze("backbone")
    encoded = model.encoder.encode_texts(SENTENCES)
    cache.fill(model, [(encoded, None, ("pooled",))])
