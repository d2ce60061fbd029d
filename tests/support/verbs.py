# SPDX-License-Identifier: Apache-2.0
"""Every public call of the package with arguments, for drills that try something on each of them.

A call takes a model that `prepared` made and a folder of its own. `missing` names what is public
and not in the tables; a test holds that it is nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import mtfreeze as mtf
from mtfreeze.freezing.state import FreezeState
from support.small_tasks import ROWS, quick_fit, two_tasks
from support.stand_in_hub import TOKEN, stand_in_hub
from support.texts import SENTENCES, TAGGED, TAGS
from support.tiny_bert import write_tiny_bert

BATCH: dict[str, Any] = {"classifier": ROWS, "ner_head": TAGGED}
ONE_TASK = {"classifier": mtf.Task(train=ROWS[:8], eval=ROWS)}
SHORT: dict[str, Any] = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3, "progress": False}
COCO = (
    '{"images": [{"id": 1, "file_name": "a.png", "height": 4, "width": 6}], '
    '"annotations": [{"image_id": 1, "category_id": 2, "bbox": [0, 0, 2, 3]}], '
    '"categories": [{"id": 2, "name": "cat"}]}'
)
TSV = "".join(f"{text}\t{label}\n" for text, label in ROWS)

Call = Callable[[mtf.MultiTaskModel, Path], object]

CHANGES: dict[str, Call] = {
    "add_head": lambda m, _: m.add_head("topic", mtf.SequenceClassification(["a", "b", "c"])),
    "add_head from_pretrained": lambda m, folder: m.add_head(
        "again", from_pretrained=folder.parent / "saved", head="classifier"
    ),
    "add_ia3": lambda m, _: m.add_ia3(),
    "add_lora": lambda m, _: m.add_lora(rank=2),
    "freeze": lambda m, _: m.freeze("backbone.layers[1]", "ner_head", precision="bf16"),
    "freeze_to": lambda m, _: m.freeze_to(2),
    "mark_trained": lambda m, _: m.mark_trained(["ner_head"]),
    "remove_head": lambda m, _: m.remove_head("classifier"),
    "set_freeze_state": lambda m, _: m.set_freeze_state(
        FreezeState(frozen=frozenset(m.param_keys[-1:]))
    ),
    "set_parameter": lambda m, _: m.set_parameter("classifier.bias", [0.5, -0.5]),
    "step": lambda m, _: m.step(BATCH, learning_rate=1e-3),
    "unfreeze": lambda m, _: m.unfreeze("backbone"),
}
"""Methods that change a model: afterwards it is as before or as after."""


def _held(block: Any) -> None:
    with block:
        pass


def _frozen(model: mtf.MultiTaskModel) -> None:
    with model.frozen("classifier", "backbone.layers[2]"):
        model.encode(SENTENCES[:2])


def _adapted(model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    return model.copy().add_lora(rank=2)


def _loaded(model: mtf.MultiTaskModel, folder: Path) -> None:
    base = model.copy()
    base.load_adapter(_adapted(model).save_adapter(folder / "adapter"))


def _pushed(model: mtf.MultiTaskModel) -> None:
    with stand_in_hub() as hub:
        model.push_to_hub("someone/tiny", token=TOKEN, endpoint=hub.endpoint)


READS: dict[str, Call] = {
    "load_adapter": _loaded,
    "merge_lora": lambda m, _: _adapted(m).merge_lora(),
    "remove_adapter": lambda m, _: _adapted(m).remove_adapter(),
    "save_adapter": lambda m, folder: _adapted(m).save_adapter(folder / "adapter"),
    "unmerge_lora": lambda m, _: _adapted(m).merge_lora().unmerge_lora(),
    "__repr__": lambda m, _: repr(m),
    "_repr_html_": lambda m, _: m._repr_html_(),
    "alone": lambda m, _: _held(m.alone()),
    "copy": lambda m, _: m.copy(),
    "encode": lambda m, _: m.encode(SENTENCES),
    "explain": lambda m, _: m.explain(),
    "export_onnx": lambda m, folder: m.export_onnx(folder / "exported", ["classifier"]),
    "forward": lambda m, _: m.forward(SENTENCES),
    "freeze_state": lambda m, _: m.freeze_state(),
    "from_pretrained": lambda _, folder: mtf.MultiTaskModel.from_pretrained(
        folder.parent / "saved"
    ),
    "frozen": lambda m, _: _frozen(m),
    "gradients": lambda m, _: m.gradients(BATCH),
    "parameters": lambda m, _: m.parameters(),
    "plot_trainability": lambda m, folder: m.plot_trainability(folder / "picture.svg"),
    "predict": lambda m, _: m.predict("classifier", SENTENCES),
    "predict_all": lambda m, _: m.predict_all(SENTENCES),
    "predict_proba": lambda m, _: m.predict_proba("classifier", SENTENCES),
    "push_to_hub": lambda m, _: _pushed(m),
    "reading": lambda m, _: _held(m.reading()),
    "save_pretrained": lambda m, folder: m.save_pretrained(folder / "model"),
    "select": lambda m, _: m.select("backbone[:1]", "*.bias"),
    "similarity": lambda m, _: m.similarity(m.encode(SENTENCES), m.encode("good")),
    "summary": lambda m, _: m.summary(),
    "trainable": lambda m, _: m.trainable("backbone"),
    "trainable_parameters": lambda m, _: m.trainable_parameters(),
}
"""Methods that leave a model as it was."""

TRAINS: dict[str, Call] = {
    "fit": lambda m, _: quick_fit(m, ONE_TASK, epochs=1, callbacks=[mtf.Callback()]),
    "fit by a schedule": lambda m, _: quick_fit(
        m, ONE_TASK, epochs=2, freeze_schedule=mtf.FreezeSchedule.gradual(), cache=False
    ),
    "fit to the best": lambda m, folder: quick_fit(
        m,
        ONE_TASK,
        epochs=2,
        eval_every=1,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        output_dir=folder / f"out{len(list(folder.iterdir()))}",  # a folder of its own each time
        save_every=1,
    ),
    "few_shot": lambda m, _: mtf.few_shot(m, "classifier", ROWS[:4], pairs=1, **SHORT),
    "fine_tune": lambda m, _: mtf.fine_tune(m, ONE_TASK, **SHORT),
}
"""Functions that train a model: afterwards it is as after one of their steps."""

FUNCTIONS: dict[str, Call] = {
    "check_data": lambda m, folder: mtf.check_data(folder.parent / "rows.tsv", model=m),
    "compare": lambda m, _: mtf.compare(
        m, ONE_TASK, ["backbone"], seeds=1, start={"epochs": 1, "batch_size": 8}, **SHORT
    ),
    "estimate": lambda m, _: mtf.estimate(m, ONE_TASK, **SHORT),
    "evaluate": lambda m, _: mtf.evaluate(m, two_tasks(), cache="memory"),
    "get_threads": lambda m, _: mtf.get_threads(),
    "plot_boxes": lambda _, folder: mtf.plot_boxes(
        np.zeros((8, 9, 3), np.uint8), [mtf.Box("cat", 1, 2, 5, 6)], folder / "boxes.svg"
    ),
    "plot_confusion": lambda m, folder: mtf.plot_confusion(
        m, "classifier", ROWS, folder / "confusion.svg"
    ),
    "read_conll": lambda m, folder: mtf.read_conll(folder.parent / "rows.conll"),
    "read_coco": lambda m, folder: mtf.read_coco(
        folder.parent / "coco.json", folder.parent, check_sizes=False
    ),
    "read_images": lambda m, folder: mtf.read_images(folder.parent / "images.csv"),
    "read_csv": lambda m, folder: mtf.read_csv(folder.parent / "rows.csv"),
    "read_jsonl": lambda m, folder: mtf.read_jsonl(folder.parent / "rows.jsonl"),
    "read_squad": lambda m, folder: mtf.read_squad(folder.parent / "squad.json"),
    "read_nli": lambda m, folder: mtf.read_nli(folder.parent / "nli.tsv"),
    "read_table": lambda m, folder: mtf.read_table(folder.parent / "rows.csv", text="text"),
    "read_sts": lambda m, folder: mtf.read_sts(folder.parent / "sts.csv"),
    "read_tsv": lambda m, folder: mtf.read_tsv(folder.parent / "rows.tsv"),
    "read_text": lambda m, folder: mtf.read_text(folder.parent / "rows.tsv"),
    "stream": lambda m, folder: list(mtf.stream(folder.parent / "rows.jsonl")),
    "recommend": lambda m, _: mtf.recommend(m, ONE_TASK, progress=False),
    "set_threads": lambda m, _: mtf.set_threads(mtf.get_threads()),
    "show_config": lambda m, _: mtf.show_config("dict"),
    "entity_types": lambda m, _: mtf.entity_types([(["anna"], ["B-person"])]),
    "top_losses": lambda m, _: mtf.top_losses(m, two_tasks(), 3),
    "words_and_tags": lambda m, _: mtf.words_and_tags("Anna went", [(0, 4, "PER")]),
}
"""Functions that leave a model as it was."""

UNCALLED = ("read_parquet",)
"""Functions whose package, pyarrow, the tests do without; `tests/data/test_tables.py` has it."""

SLOW = ("compare", "estimate", "push_to_hub", "recommend")
"""What takes a second and more, or talks to a server."""


def missing() -> set[str]:
    """Return what is public and in none of the tables."""
    methods = {name for name, _ in inspect.getmembers(mtf.MultiTaskModel, callable)}
    public = {name for name in methods if not name.startswith("_")} | {"__repr__", "_repr_html_"}
    public |= {name for name in mtf.__all__ if inspect.isfunction(getattr(mtf, name))}
    return (
        public - set(UNCALLED) - {name.split()[0] for name in CHANGES | READS | TRAINS | FUNCTIONS}
    )


def prepared(folder: Path) -> mtf.MultiTaskModel:
    """Return a model in a state with something of everything, and put files beside `folder`.

    Partly frozen, in part pinned and in another precision, with moments; one head was trained.
    """
    model = mtf.MultiTaskModel.from_pretrained(write_tiny_bert(folder / "tiny"))
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    model.add_head("ner_head", mtf.TokenClassification(TAGS))
    model.freeze("backbone[:1]", precision="bf16").freeze("pooler", strict=False, pin=False)
    model.step({"classifier": ROWS}, learning_rate=1e-3)
    model.save_pretrained(folder / "saved")
    (folder / "rows.tsv").write_text(TSV, "utf-8")
    rows = [line.split("\t") for line in TSV.splitlines()]
    quoted = "".join(f'"{text}",{label}\n' for text, label in rows)
    (folder / "rows.csv").write_text(f"text,label\n{quoted}", "utf-8")
    (folder / "squad.json").write_text(
        '{"data": [{"paragraphs": [{"context": "a b", "qas": [{"question": "?"}]}]}]}', "utf-8"
    )
    (folder / "sts.csv").write_text("good,bad,1.5\n", "utf-8")
    (folder / "images.csv").write_text("image,label\nimages.csv,cat\n", "utf-8")
    (folder / "coco.json").write_text(COCO, "utf-8")
    (folder / "nli.tsv").write_text("sentence1\tsentence2\tlabel\na\tb\tneutral\n", "utf-8")
    (folder / "rows.jsonl").write_text('{"text": "good", "label": "positive"}\n', "utf-8")
    (folder / "rows.conll").write_text("anna B-person\nwent O\n\nparis B-location\n", "utf-8")
    return model


def twin(model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Return a copy with the moments and the step count too."""
    own = model.copy()
    for position in range(len(model.param_keys)):
        moments = model._core.state(position)
        if moments is not None:
            own._core.set_state(position, *moments)
    own._facts = model._facts
    return own


def whole_state(model: mtf.MultiTaskModel, *, moments: bool = True) -> dict[str, Any]:
    """Return all that a model holds, as values; the core's side and Python's."""
    core = model._core
    kept = [core.state(i) for i in range(len(core.params()))] if moments else []
    return {
        "weights": {i.key: core.view(n).tobytes() for n, i in enumerate(core.params())},
        "moments": [m and (m[0].tobytes(), m[1].tobytes(), m[2]) for m in kept],
        "frozen": [(info.frozen, info.precision) for info in core.params()],
        "units": [(unit.path, unit.frozen) for unit in core.units()],
        "names": (model.index.keys, model.index.unit_paths, model.index.unit_of.tolist()),
        "freeze state": model.freeze_state(),
        "heads": dict(model.heads),
        "n_steps": model._facts.n_steps,
    }


def disagreement(model: mtf.MultiTaskModel) -> str | None:
    """Say where the core and what Python knows of it differ."""
    core, index = model._core, model.index
    if index.keys != tuple(info.key for info in core.params()):
        return "the parameters of the core are not those of the model"
    if index.unit_paths != tuple(unit.path for unit in core.units()):
        return "the units of the core are not those of the model"
    if not np.array_equal(index.unit_of, [info.unit for info in core.params()]):
        return "the parameters of the core lie in other units"
    frozen = {unit.path: unit.frozen for unit in core.units() if unit.is_head}
    if frozen != {name: head.frozen for name, head in model.heads.items()}:
        return "other heads are frozen in the core"
    state = model.freeze_state()
    if not state.pinned <= state.frozen or not state.pinned_heads <= state.frozen_heads:
        return "something is pinned that is not frozen"
    return None
