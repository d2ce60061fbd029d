# SPDX-License-Identifier: Apache-2.0
"""What cases of bad input are made of: a `Place` to spoil, and a function for each way to do it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from mtfreeze.cli.job import load_config, parse_config
from support.tiny_bert import tiny_config, tiny_tensors, write_json, write_tiny_bert

ROWS = [("good", "positive"), ("bad", "negative")]
TWO = ["negative", "positive"]


@dataclass(frozen=True)
class Place:
    """What a case may use."""

    model: mtf.MultiTaskModel
    folder: Path

    def bert(self, **options: Any) -> Path:
        """Write a tiny model that the case may spoil."""
        return write_tiny_bert(self.folder / "model", **options)

    def file(self, name: str, content: str | bytes) -> Path:
        """Write a file."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path


Case = Callable[[Place], object]


load = mtf.MultiTaskModel.from_pretrained


def config(**changes: Any) -> Case:
    """Return a case that loads a model with these keys of config.json changed."""

    def run(place: Place) -> object:
        folder = place.bert()
        write_json(folder / "config.json", tiny_config(**changes))
        return load(folder)

    return run


def weights(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Case:
    """Return a case that loads a model with changed tensors."""

    def run(place: Place) -> object:
        folder = place.bert()
        path = folder / "model.safetensors"
        save_file(change(load_file(str(path))), str(path))
        return load(folder)

    return run


def file_bytes(change: Callable[[bytes], bytes], name: str = "model.safetensors") -> Case:
    """Return a case that loads a model with the bytes of one file changed."""

    def run(place: Place) -> object:
        path = place.bert() / name
        path.write_bytes(change(path.read_bytes()))
        return load(path.parent if "/" not in name else path.parent.parent)

    return run


def gone(name: str) -> Case:
    """Return a case that loads a model without one file."""

    def run(place: Place) -> object:
        folder = place.bert()
        (folder / name).unlink()
        return load(folder)

    return run


def header(**changes: Any) -> Case:
    """Return a case that loads a model whose file lies about one tensor."""

    def change(data: bytes) -> bytes:
        n = int.from_bytes(data[:8], "little")
        table = json.loads(data[8 : 8 + n])
        table["embeddings.LayerNorm.bias"].update(changes)
        text = json.dumps(table).encode()
        return len(text).to_bytes(8, "little") + text + data[8 + n :]

    return file_bytes(change)


def saved(**changes: Any) -> Case:
    """Return a case that loads a saved model with a changed mtfreeze.json."""

    def run(place: Place) -> object:
        path = place.model.save_pretrained(place.folder / "saved") / "mtfreeze.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        return load(path.parent)

    return run


def other_tokenizer(place: Place) -> object:
    folder = place.bert()
    smaller = tiny_config(vocab_size=60)
    write_json(folder / "config.json", smaller)
    save_file(tiny_tensors(smaller), str(folder / "model.safetensors"))
    return load(folder)


def pickled(place: Place) -> object:
    folder = place.bert()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    return load(folder)


def fit(tasks: Any = None, **options: Any) -> Case:
    """Return a case that fits a copy of the model."""

    def run(place: Place) -> object:
        chosen = {"classifier": mtf.Task(train=ROWS)} if tasks is None else tasks()
        return mtf.fit(place.model.copy(), chosen, **{"epochs": 1, "progress": False, **options})

    return run


def schedule(*phases: dict[str, Any], pin: str | None = None, **options: Any) -> Case:
    """Return a case that fits a copy, some of it pinned, with a schedule of these phases."""

    def run(place: Place) -> object:
        model = place.model.copy()
        if pin is not None:
            model.freeze(pin)
        chosen = mtf.FreezeSchedule()
        for phase in phases:
            chosen = chosen.phase(**phase)
        given = {"freeze_schedule": chosen, "progress": False, **options}
        return mtf.fit(model, {"classifier": mtf.Task(train=ROWS)}, **given)

    return run


def task(rows: Any) -> Case:
    return fit(lambda: {"classifier": mtf.Task(train=rows)})


def not_finite(place: Place) -> object:
    model = place.model.copy()
    values = model.parameters()["classifier.weight"].copy()
    values[0, 0] = np.nan
    return model.set_parameter("classifier.weight", values).step(
        {"classifier": ROWS}, learning_rate=1e-3
    )


def head(name: Any = "new", **options: Any) -> Case:
    """Return a case that adds a head."""
    return lambda p: p.model.copy().add_head(
        name, mtf.SequenceClassification(**{"labels": TWO, **options})
    )


def read(reader: Callable[..., Any], content: str | bytes, **options: Any) -> Case:
    """Return a case that reads a data file."""
    return lambda p: reader(p.file("data.txt", content), **options)


def yaml(text: str) -> Case:
    """Return a case that reads a YAML file."""
    return lambda p: load_config(p.file("job.yaml", text))


def settings(**training: Any) -> Case:
    """Return a case that checks the training section of a configuration."""
    return lambda p: parse_config({"model": {"name": "m"}, "training": training})


def step(batch: Any = None, **options: Any) -> Case:
    """Return a case that runs one step of a copy."""
    return lambda p: p.model.copy().step(
        {"classifier": ROWS} if batch is None else batch, **{"learning_rate": 1e-3, **options}
    )


def frozen_copy(place: Place) -> mtf.MultiTaskModel:
    model = place.model.copy()
    model.mark_trained(model.heads)
    return model.freeze()


def frozen_head(place: Place) -> mtf.MultiTaskModel:
    model = place.model.copy()
    model.mark_trained(model.heads)
    return model.freeze("ner_head")


def without_tokenizer(place: Place) -> object:
    folder = place.bert()
    for name in ("tokenizer.json", "vocab.txt"):
        (folder / name).unlink()
    return load(folder)
