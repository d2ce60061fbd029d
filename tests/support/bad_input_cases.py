# SPDX-License-Identifier: Apache-2.0
"""Things that users get wrong, as calls: every one must end in a typed error that helps.

`CASES` maps a name to a call that takes a `Place`: a model to spoil things around (never the model
itself), and a fresh folder. ``drills/test_bad_input.py`` runs them and compares the messages with
``drills/bad_input_messages.txt``.
"""

from __future__ import annotations

import numpy as np

import mtfreeze as mtf
from mtfreeze.cli.job import load_config
from support.bad_inputs import (
    ROWS,
    TWO,
    Case,
    config,
    file_bytes,
    fit,
    gone,
    head,
    header,
    load,
    other_tokenizer,
    pickled,
    read,
    saved,
    weights,
    without_tokenizer,
)
from support.bad_table_cases import TABLE_CASES
from support.bad_training_cases import TRAINING_CASES
from support.texts import SENTENCES, TAGGED

__all__ = ["CASES", "FOREIGN"]

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
    **TRAINING_CASES,
}
