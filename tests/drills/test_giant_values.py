# SPDX-License-Identifier: Apache-2.0
"""Messages never repeat more than 200 characters of anything, whatever is wrong."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.cli.job import load_config, parse_config
from mtfreeze.quoting import LIMIT
from support.texts import SENTENCES

BIG = "x" * 1_000_000
PAIR = ["negative", "positive"]
ROWS = [("good", "negative"), ("bad", "positive")]
PACKAGE = Path(mtf.__file__).parent

Case = Callable[[mtf.MultiTaskModel, Path], object]


def task(**options: Any) -> Case:
    return lambda model, _: mtf.fit(
        model, {"classifier": mtf.Task(train=ROWS, **options)}, epochs=1, progress=False
    )


def fit(**options: Any) -> Case:
    return lambda model, _: mtf.fit(
        model, {"classifier": mtf.Task(train=ROWS)}, progress=False, **options
    )


def written(name: str, content: str, read: Callable[[Path], object]) -> Case:
    def run(_: mtf.MultiTaskModel, folder: Path) -> object:
        (folder / name).write_text(content)
        return read(folder / name)

    return run


def job(**sections: Any) -> Case:
    return lambda _, folder: parse_config({"model": {"name": "m"}, **sections}, folder)


CASES: dict[str, Case] = {
    "head name": lambda model, _: model.add_head(BIG, mtf.SequenceClassification(PAIR)),
    "head description": lambda model, _: model.add_head("a", BIG),  # type: ignore[arg-type]
    "labels twice": lambda *_: mtf.SequenceClassification([BIG, BIG]),
    "labels as text": lambda *_: mtf.SequenceClassification(BIG),  # type: ignore[arg-type]
    "label of bytes": lambda *_: mtf.SequenceClassification([BIG.encode(), "a"]),  # type: ignore
    "activation": lambda *_: mtf.SequenceClassification(PAIR, hidden=(4,), activation=BIG),
    "features": lambda *_: mtf.SequenceClassification(PAIR, features=BIG),
    "pooling of a head": lambda *_: mtf.SequenceClassification(PAIR, pooling=BIG),
    "dropout": lambda *_: mtf.SequenceClassification(PAIR, dropout=10**5000),
    "hidden": lambda *_: mtf.SequenceClassification(PAIR, hidden=[-(10**400)] * 1000),
    "remove_head": lambda model, _: model.remove_head(BIG),
    "freeze": lambda model, _: model.freeze(BIG),
    "freeze pattern": lambda model, _: model.freeze("re:" + BIG),
    "freeze parts": lambda model, _: model.freeze(".".join([BIG] * 3)),
    "freeze index": lambda model, _: model.freeze(f"layers[{'9' * 5000}]"),
    "freeze number": lambda model, _: model.freeze(10**5000),
    "freeze_to": lambda model, _: model.freeze_to(10**5000),
    "freeze_to text": lambda model, _: model.freeze_to(BIG),
    "precision": lambda model, _: model.freeze("backbone", precision=BIG),
    "predict": lambda model, _: model.predict(SENTENCES, head=BIG),
    "encode": lambda model, _: model.encode([BIG.encode()]),
    "encode a number": lambda model, _: model.encode([10**5000]),
    "parameter": lambda model, _: model.set_parameter(BIG, [1.0]),
    "from_pretrained": lambda *_: mtf.MultiTaskModel.from_pretrained(BIG),
    "from_pretrained path": lambda *_: mtf.MultiTaskModel.from_pretrained("./" + BIG),
    "pooling": lambda model, _: mtf.MultiTaskModel.from_pretrained(model.name, pooling=BIG),
    "normalize": lambda model, _: mtf.MultiTaskModel.from_pretrained(
        model.name,
        normalize=BIG,  # type: ignore[arg-type]
    ),
    "max_length": lambda model, _: mtf.MultiTaskModel.from_pretrained(
        model.name, max_length=10**5000
    ),
    "metric": task(metric=BIG),
    "label map": lambda *_: mtf.Task(train=ROWS, label_map={BIG: BIG}),  # type: ignore[call-arg]
    "label of a row": lambda model, _: mtf.fit(
        model, {"classifier": mtf.Task(train=[("a", BIG), *ROWS])}, epochs=1
    ),
    "number as label": lambda model, _: mtf.fit(
        model, {"classifier": mtf.Task(train=[("a", 10**5000), *ROWS])}, epochs=1
    ),
    "task name": lambda model, _: mtf.fit(model, {BIG: mtf.Task(train=ROWS)}, epochs=1),
    "epochs": fit(epochs=BIG),
    "epochs of digits": fit(epochs=-(10**5000)),
    "batch size": fit(batch_size=BIG),
    "learning rate": fit(learning_rate=BIG),
    "learning rates": fit(learning_rate={BIG: 1e-3}),
    "betas": fit(betas=[BIG] * 1000),
    "lr_schedule": fit(lr_schedule=BIG),
    "sampling": fit(sampling=BIG),
    "mixing": fit(mixing=BIG),
    "save_every": fit(save_every=BIG),
    "eval_every": fit(eval_every=BIG),
    "schedule": fit(freeze_schedule=BIG),
    "schedule of phases": fit(freeze_schedule=[{BIG: 1}]),
    "precision of a run": fit(precision=BIG),
    "suffix": lambda *_: mtf.data.readers.read_file("a." + BIG),
    "TSV": written("a.tsv", BIG, mtf.read_tsv),
    "CSV": written("a.csv", f"{BIG},b\n1,2\n", mtf.read_csv),
    "CSV column": written("a.csv", "a,b\n1,2\n", lambda p: mtf.read_csv(p, text=BIG)),
    "JSONL": written("a.jsonl", BIG, mtf.read_jsonl),
    "JSONL key": written("a.jsonl", f'{{"{BIG}": 1}}', mtf.read_jsonl),
    "JSONL label": written(
        "a.jsonl", f'{{"text": "a", "labels": {{"{BIG}": {{}}}}}}', mtf.read_jsonl
    ),
    "CoNLL": written("a.conll", BIG, mtf.read_conll),
    "scheme": lambda *_: mtf.read_conll("a", scheme=BIG),
    "rows": lambda *_: mtf.Examples.from_rows([BIG]),
    "row": lambda *_: mtf.Examples.from_rows([(10**5000, "a")]),
    "label map of rows": written("a.tsv", f"a\t{BIG}\n", lambda p: mtf.read_tsv(p, label_map={})),
    "YAML": written("a.yaml", f"? {BIG[:900_000]}\n: 1\n", load_config),
    "YAML section": job(**{BIG: 1}),
    "YAML head": job(heads={BIG: {"task": 1}}),
    "YAML head key": job(heads={"a": {BIG: 1}}),
    "YAML label": job(heads={"a": {"task": "sequence_classification", "labels": [1.5, BIG]}}),
    "YAML data": job(data={BIG: {}}),
    "YAML data of no head": job(heads={"a": {"from_pretrained": "a"}}, data={BIG: {"train": "a"}}),
    "YAML training": job(training={BIG: 1}),
    "YAML training twice": job(training={"epochs": BIG}),
    "YAML mode": job(modes=[{BIG: 1}]),
    "YAML modes": job(modes=BIG.encode()),
}


@pytest.mark.parametrize("name", CASES)
def test_messages_repeat_little(name: str, tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    tiny_model.add_head("classifier", mtf.SequenceClassification(PAIR))
    began = time.process_time()
    with pytest.raises((mtf.Error, TypeError, OSError)) as caught:
        CASES[name](tiny_model, tmp_path)
    assert time.process_time() - began < 2
    text = str(caught.value)
    assert "x" * (LIMIT + 1) not in text
    assert "9" * (LIMIT + 1) not in text and "0" * (LIMIT + 1) not in text
    assert len(text) < 2_500


def test_messages_quote_with_one_function() -> None:
    """No message is made with ``!r``, whose text may be of any length."""
    found = [
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Raise)
        for value in ast.walk(node)
        if isinstance(value, ast.FormattedValue) and value.conversion == ord("r")
    ]
    assert set(found) == {"__init__.py"}  # the name of an attribute, which Python has read
