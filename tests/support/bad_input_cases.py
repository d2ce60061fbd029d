# SPDX-License-Identifier: Apache-2.0
"""Things that users get wrong, as calls: every one must end in a typed error that helps.

`CASES` maps a name to a call that takes a `Place`: a model to spoil things around (never the model
itself), and a fresh folder. ``drills/test_bad_input.py`` runs them and compares the messages with
``drills/bad_input_messages.txt``.
"""

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
from support.bad_table_cases import TABLE_CASES
from support.texts import SENTENCES, TAGGED
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


LAYER = "encoder.layer.1.output.dense.weight"

FOREIGN = {
    "config.json is cut": r"\(.*\)",
    "tokenizer is damaged": r"\(.*\)",
    "bad regular expression": r"(?<=error in it: ).*",
    "JSONL line is cut": r"\(Expecting.*\)",
    "YAML that is cut": r"(?<=expected YAML; ).*(?=; correct)",
    "parameter of texts": r"(?<=array of ).*",
}
"""Parts of messages that other libraries word, differently from version to version."""

CASES: dict[str, Case] = {
    # model folders
    "no such folder": lambda p: load(p.folder / "nothing"),
    "path is a file": lambda p: load(p.file("weights", "")),
    "name is no text": lambda p: load(7),  # type: ignore[arg-type]
    "no config.json": gone("config.json"),
    "config.json is cut": file_bytes(lambda data: data[:40], "config.json"),
    "config.json is a list": file_bytes(lambda data: b"[]", "config.json"),
    "config.json is Latin-1": file_bytes(lambda data: b'{"a": "\xe9"}', "config.json"),
    "config.json says a key twice": file_bytes(lambda d: b'{"a": 1, "a": 2}', "config.json"),
    "no weights": gone("model.safetensors"),
    "weights are a pickle": pickled,
    "weights are empty": file_bytes(lambda data: b""),
    "weights are cut": file_bytes(lambda data: data[:-100]),
    "weights are too long": file_bytes(lambda data: data + b"x"),
    "weights are text": file_bytes(lambda data: b"version https://git-lfs.github.com/spec/v1"),
    "header lies: dtype": header(dtype="F64"),
    "header lies: unknown dtype": header(dtype="F31"),
    "header lies: shape": header(shape=[49]),
    "header lies: negative shape": header(shape=[-48]),
    "header lies: offsets": header(data_offsets=[0, 192]),
    "header lies: far offsets": header(data_offsets=[2**50, 2**50 + 192]),
    "unknown model type": config(model_type="gpt9"),
    "model type nearly right": config(model_type="bret"),
    "no model type": config(model_type=None),
    "missing size": config(hidden_size=None),
    "width disagrees": config(hidden_size=64),
    "vocabulary disagrees": config(vocab_size=30522),
    "too few layers in config": config(num_hidden_layers=2),
    "too many layers in config": config(num_hidden_layers=12),
    "heads do not divide the width": config(num_attention_heads=7),
    "relative positions": config(position_embedding_type="relative_key"),
    "decoder": config(is_decoder=True),
    "quantized": config(quantization_config={"bits": 4}),
    "unknown key of config": config(rotary_pct=0.25),
    "unknown activation": config(hidden_act="geglu"),
    "negative epsilon": config(layer_norm_eps=-1e-12),
    "missing tensor": weights(lambda t: {k: v for k, v in t.items() if k != LAYER}),
    "tensor too many": weights(lambda t: {**t, "encoder.layer.0.gate.weight": t[LAYER]}),
    "tensor of another shape": weights(lambda t: {**t, LAYER: t[LAYER].T.copy()}),
    "tensor of whole numbers": weights(lambda t: {**t, LAYER: t[LAYER].astype(np.int32)}),
    "tensor twice": weights(lambda t: {**t, f"bert.{LAYER}": t[LAYER]}),
    "no tokenizer": without_tokenizer,
    "tokenizer is damaged": file_bytes(lambda data: data[:500], "tokenizer.json"),
    "tokenizer of another model": other_tokenizer,
    "module that is not supported": file_bytes(
        lambda d: d.replace(b"models.Normalize", b"models.LSTM"), "modules.json"
    ),
    "pooling that is not supported": file_bytes(
        lambda d: b'{"pooling_mode": "most"}', "1_Pooling/config.json"
    ),
    "a pooling twice": lambda p: load(p.bert(), pooling="cls+cls"),
    "a Dense module without its file": file_bytes(
        lambda d: d.replace(b"models.Normalize", b"models.Dense"), "modules.json"
    ),
    "a prompt that does not exist": lambda p: p.model.encode(["a"], prompt_name="query"),
    "a default prompt that does not exist": lambda p: load(p.bert(), default_prompt_name="query"),
    "prompts that are a list": lambda p: load(p.bert(), prompts=["query: "]),
    "unknown pooling": lambda p: load(p.bert(), pooling="means"),
    "maximum length too large": lambda p: load(p.bert(), max_length=512),
    # saved heads
    "saved by a later version": saved(format=9),
    "saved head without weights": saved(
        heads={"other": {"kind": "token_classification", "labels": ["O", "X"]}}
    ),
    "saved head with another number of labels": saved(
        heads={"classifier": {"kind": "sequence_classification", "labels": ["a", "b", "c"]}}
    ),
    "saved head of unknown kind": saved(heads={"classifier": {"kind": "regresion"}}),
    "saved freeze state damaged": saved(freeze={"frozen": "all"}),
    "saved model with a damaged run": saved(last_run={"fingerprint": 3}),
    "saved model of no origin": saved(origin=["someone/tiny"]),
    "pushing without a user": lambda p: p.model.push_to_hub("tiny"),
    "pushing with a token of bytes": lambda p: p.model.push_to_hub("me/tiny", token=b"hf"),
    "saving a head that is no class": lambda p: p.model.save_pretrained(
        p.folder / "task", head="classifier"
    ),
    "saving over a file": lambda p: p.model.save_pretrained(p.file("file", "")),
    "saving among other files": lambda p: p.model.save_pretrained(p.file("x", "").parent),
    # heads
    "one label": head(labels=["only"]),
    "no label": head(labels=[]),
    "labels repeated": head(labels=["a", "b", "a"]),
    "labels are numbers": head(labels=[0, 1]),
    "labels are one text": head(labels="ab"),
    "dropout of one": head(dropout=1),
    "hidden layer of no width": head(hidden=[0]),
    "unknown head activation": head(activation="geluu"),
    "two heads of one name": head("classifier"),
    "reserved name": head("backbone"),
    "name with a dot": head("my.head"),
    "name of an output": head("pooled"),
    "head name is no text": head(3),
    "negative seed": lambda p: p.model.copy().add_head(
        "new", mtf.SequenceClassification(TWO), seed=-1
    ),
    "removing an unknown head": lambda p: p.model.copy().remove_head("clasifier"),
    # selectors and parameters
    "unknown selector": lambda p: p.model.freeze("bakbone"),
    "unknown head as selector": lambda p: p.model.freeze("ner_haed"),
    "layer out of range": lambda p: p.model.freeze("layers[6]"),
    "slice out of range": lambda p: p.model.freeze("backbone[:6]"),
    "slice of no layers": lambda p: p.model.freeze("layers[2:1]"),
    "middle of the backbone": lambda p: p.model.freeze("backbone[1:2]"),
    "glob without a match": lambda p: p.model.freeze("*.gamma"),
    "bad regular expression": lambda p: p.model.freeze("re:["),
    "unused pooler": lambda p: p.model.freeze("pooler"),
    "part that a layer does not have": lambda p: p.model.freeze("layers[0].attn"),
    "exclusion of nothing that there is": lambda p: p.model.freeze("backbone", "!layer[1]"),
    "exclusion that leaves nothing": lambda p: p.model.freeze("layers[0]", "!backbone"),
    "selector in YAML without quotes": lambda p: load_config(
        p.file("job.yaml", "training: {freeze: [backbone, !layers]}")
    ),
    "picture in what is no axes": lambda p: p.model.plot_trainability(ax="axes"),
    "models kept nowhere": lambda p: mtf.compare(
        p.model, {"classifier": mtf.Task(train=ROWS, eval=ROWS)}, keep_models=True, progress=False
    ),
    "selector is a number": lambda p: p.model.freeze(3),  # type: ignore[arg-type]
    "freeze_to of a text": lambda p: p.model.freeze_to("3"),  # type: ignore[arg-type]
    "frozen in an unknown precision": lambda p: p.model.freeze("backbone", precision="bf61"),
    "frozen in a number": lambda p: p.model.freeze(precision=16),  # type: ignore[arg-type]
    "unknown parameter": lambda p: p.model.set_parameter("classifier.weights", np.zeros((2, 48))),
    "parameter of another shape": lambda p: p.model.set_parameter("classifier.bias", np.zeros(3)),
    "parameter of texts": lambda p: p.model.set_parameter("classifier.bias", ["a", "b"]),
    # texts
    "text is None": lambda p: p.model.encode(["good", None]),  # type: ignore[list-item]
    "text is bytes": lambda p: p.model.encode([b"good"]),  # type: ignore[list-item]
    "text is a number": lambda p: p.model.encode([1.5]),  # type: ignore[list-item]
    "texts are one text": lambda p: p.model.forward("good"),
    "texts are None": lambda p: p.model.encode(None),  # type: ignore[arg-type]
    "half a character": lambda p: p.model.encode(["good \ud83d"]),
    "word is a number": lambda p: p.model.predict("ner_head", [["anna", 3]]),  # type: ignore[list-item]
    "batch size of zero": lambda p: p.model.encode(SENTENCES, batch_size=0),
    "batch size of -1": lambda p: p.model.encode(SENTENCES, batch_size=-1),
    "batch size of a text": lambda p: p.model.encode(SENTENCES, batch_size="32"),  # type: ignore[arg-type]
    "encoded in an unknown precision": lambda p: p.model.encode(SENTENCES, precision="float32"),
    "unknown output": lambda p: p.model.forward(SENTENCES, ["hiden"]),
    "unknown head to predict": lambda p: p.model.predict("classifer", SENTENCES),
    # data files
    "no such file": lambda p: mtf.read_tsv(p.folder / "none.tsv"),
    "empty file": read(mtf.read_tsv, ""),
    "file is not UTF-8": read(mtf.read_tsv, b"caf\xe9\t1\n"),
    "TSV line without a TAB": read(mtf.read_tsv, "good\t1\nbad 0\n"),
    "TSV label not in the map": read(mtf.read_tsv, "good\t2\n", label_map={"0": "a", "1": "b"}),
    "CSV without its column": read(mtf.read_csv, "txt,label\na,1\n"),
    "JSONL line is cut": read(mtf.read_jsonl, '{"text": "a", "label": "b"}\n{"text": \n'),
    "JSONL line without text": read(mtf.read_jsonl, '{"label": "b"}\n'),
    "CoNLL line without a tag": read(mtf.read_conll, "anna\tB-person\nsmith\n"),
    "CoNLL scheme unknown": read(mtf.read_conll, "anna\tO\n", scheme="iob3"),
    "CSV without labels of any task": read(
        mtf.read_csv, "text,mood,topic\na,,\n", label=["mood", "topic"]
    ),
    **TABLE_CASES,
    "rows drawn in an unknown way": fit(
        lambda: {"classifier": mtf.Task(train=ROWS, sampling="balance")}
    ),
    "tags drawn evenly": fit(lambda: {"ner_head": mtf.Task(train=TAGGED, sampling="balanced")}),
    # rows and tasks
    "no rows": task([]),
    "row is a text": task(["good"]),
    "row of three": task([("a", "b", "c")]),
    "label is unknown": task([("good", "positiv")]),
    "label is a number out of range": task([("good", 2)]),
    "label is None": task([("good", None)]),
    "labels are numbers as text": task([("good", "1"), ("bad", "0")]),
    "text of a row is None": task([(None, "positive")]),
    "tags and words differ": fit(lambda: {"ner_head": mtf.Task(train=[(["a", "b"], ["O"])])}),
    "tags that are not IOB2": fit(
        lambda: {"ner_head": mtf.Task(train=[(["a", "b"], ["O", "I-person"])])}
    ),
    "task without data": fit(lambda: {"classifier": mtf.Task()}),
    "task for an unknown head": fit(lambda: {"clasifier": mtf.Task(train=ROWS)}),
    "no tasks": fit(dict),
    "task is a list": fit(lambda: {"classifier": ROWS}),
    "negative weight": fit(lambda: {"classifier": mtf.Task(train=ROWS, weight=-1.0)}),
    # training
    "learning rate NaN": fit(learning_rate=float("nan")),
    "learning rate negative": fit(learning_rate=-1e-3),
    "learning rate a text": fit(learning_rate="1e-3"),
    "learning rate missing for a part": fit(learning_rate={"heads": 1e-3}),
    "learning rate of an unknown part": fit(learning_rate={"backbone": 1e-5, "haeds": 1e-3}),
    "negative epochs": fit(epochs=-1),
    "batch size of -8": fit(batch_size=-8),
    "unknown mixing": fit(mixing="proportionl"),
    "unknown schedule": fit(lr_schedule="cosin"),
    "warm-up above one": fit(warmup_ratio=1.5),
    "layer decay below one": fit(layer_decay=0.95),
    "unknown loss weighting": fit(loss_weighting="uncertain"),
    "temperature without its sampling": fit(temperature=2.0),
    "steps in int8": fit(precision="int8"),
    "steps in an unknown precision": fit(precision="fp16"),
    "activations kept in int8": fit(save_activations="int8"),
    "best model without evaluations": fit(load_best_model_at_end=True),
    "best model by an unknown metric": fit(
        lambda: {"classifier": mtf.Task(train=ROWS, eval=ROWS)},
        eval_every="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="acuracy",
    ),
    "metric of a best model that is not kept": fit(metric_for_best_model="loss"),
    "early stopping without evaluations": fit(callbacks=[mtf.EarlyStopping()]),
    "early stopping without data": fit(callbacks=[mtf.EarlyStopping()], eval_every="epoch"),
    "logger without a folder": lambda p: mtf.TensorBoardLogger(None),
    "no patience": lambda p: mtf.EarlyStopping(patience=0),
    "callback outside a list": fit(callbacks=mtf.EarlyStopping()),
    "callback that is a class": fit(callbacks=[mtf.Callback]),
    "loss is not finite": not_finite,
    # schedules
    "schedule is a text": fit(freeze_schedule="gradual"),
    "schedule without phases": schedule(),
    "phase that says nothing": schedule({"epochs": 1}),
    "phase with two lengths": schedule({"train": "heads", "epochs": 1, "steps": 5}),
    "phase of no epochs": schedule({"train": "heads", "epochs": 0}),
    "phase of an unknown part": schedule({"train": "haeds", "epochs": 1}),
    "phase of a number": schedule({"train": 3, "epochs": 1}),
    "phase that trains nothing": schedule({"freeze": "all", "epochs": 1}),
    "phase with a rate for nothing": schedule(
        {"train": "heads", "epochs": 1, "learning_rate": {"backbone": 1e-3}}
    ),
    "phase that trains a pinned part": schedule(
        {"train": "heads", "epochs": 1}, {"train": "all", "epochs": 1}, pin="backbone[:2]"
    ),
    "phases that pins make the same": schedule(
        {"freeze": "backbone", "epochs": 1}, {"freeze": "none", "epochs": 1}, pin="backbone"
    ),
    "gradual on a pinned backbone": lambda p: mtf.FreezeSchedule.gradual().resolve(
        p.model.copy().freeze("backbone")
    ),
    "phases of fewer epochs than the run": schedule({"train": "heads", "epochs": 2}, epochs=3),
    "no epochs left for a phase": schedule(
        {"train": "heads", "epochs": 3}, {"freeze": "none"}, epochs=3
    ),
    "two phases take what is left": schedule({"train": "heads"}, {"freeze": "none"}),
    "steps that begin more epochs than the run": schedule(
        {"train": "heads", "steps": 9}, {"freeze": "none"}, epochs=2
    ),
    "phase after gradual": lambda p: mtf.FreezeSchedule.gradual().phase(train="heads"),
    "gradual after a phase": lambda p: mtf.FreezeSchedule().phase(train="heads").gradual(),
    "gradual of no layers": lambda p: mtf.FreezeSchedule.gradual(per_step=0),
    "fine_tune with a schedule": lambda p: mtf.fine_tune(
        p.model, {}, 1, freeze_schedule=mtf.FreezeSchedule.gradual()
    ),
    "unknown schedule in YAML": settings(freeze_schedule="gradul"),
    "unknown key of a phase in YAML": settings(freeze_schedule=[{"trian": "heads"}]),
    "unknown argument of gradual in YAML": settings(freeze_schedule={"gradual": {"evry": 2}}),
    "unknown key of early stopping in YAML": settings(early_stopping={"patients": 2}),
    "step of a list": step(batch=ROWS),
    "step with a rate for nothing": step(learning_rate={"ner_head": 1e-3}),
    "step on nothing trainable": lambda p: frozen_copy(p).step(
        {"classifier": ROWS}, learning_rate=1e-3
    ),
    "gradients of a frozen head alone": lambda p: frozen_head(p).gradients({"ner_head": TAGGED}),
    # configuration files
    "YAML without a model": yaml("training: {epochs: 1}\n"),
    "YAML with an unknown section": yaml("model: {name: m}\ntrainig: {}\n"),
    "YAML that is cut": yaml("model: {name: m\n"),
    "YAML that is a list": yaml("- model\n"),
    "unknown key of training": settings(epoch=1),
    "unknown key of a head": lambda p: parse_config(
        {"model": {"name": "m"}, "heads": {"h": {"task": "sequence_classification", "label": TWO}}}
    ),
    "training key of a wrong type": settings(epochs="many"),
    "half precision of another library": settings(fp16=True),
    "precision of nothing frozen": settings(freeze_precision="bf16", freeze_schedule="gradual"),
}
