# SPDX-License-Identifier: Apache-2.0
"""Every public callable with arguments that work, found by introspection of ``mtfreeze.__all__``.

`public_names` lists what there is; `CALLS` says for each how it is called. A new function or
method of the package has to get a line here before the drill runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

import mtfreeze as mtf
from support.made_up_comparisons import comparison
from support.small_tasks import ROWS
from support.texts import SENTENCES, TAGGED, TAGS
from support.tiny_bert import write_tiny_bert

__all__ = ["CALLS", "Call", "Stage", "public_names"]

NOT_CALLED = (
    *("alone", "judged_by", "mark_trained", "measured_by", "read_by", "reading", "reread"),
    "settled",
)
"""Methods that rooms of the package call for each other."""

UNCALLED = ("read_parquet",)
"""Functions whose package, pyarrow, the tests do without; `tests/data/test_tables.py` has it."""

NOWHERE = "nowhere://hub"
"""An address that fails at once, before anything is asked of the network."""

OF_HEADS = (
    *("absent", "baseline", "bound", "check_sufficient", "class_counts", "core_config", "counted"),
    *("decoded", "examples", "loss_sum", "lost", "pass_loss", "predictions", "probabilities"),
    *("picked", "read", "rows", "scored", "settings", "targets", "told"),
)
"""What a description of a head or a loss offers to the rooms of the package."""


class Call(NamedTuple):
    """Something to call, and arguments with which it works."""

    function: Callable[..., Any]
    arguments: dict[str, Any]


class Stage:
    """What calls work on: a copy of one small model, a folder, results made once.

    Attributes
    ----------
    model : MultiTaskModel
        Of one case; it may change.
    folder : Path
        Empty.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self._original = mtf.MultiTaskModel.from_pretrained(write_tiny_bert(folder / "tiny"))
        self._original.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
        self._original.add_head("ner_head", mtf.TokenClassification(TAGS))
        self._original.mark_trained(["classifier", "ner_head"])
        for name, text in FILES.items():
            (folder / name).write_text(text, "utf-8")
        self.comparison = comparison(60)
        self.estimate = mtf.estimate(self._original, self.tasks(), epochs=1, progress=False)
        self.advice = mtf.recommend(self._original, self.tasks(), progress=False)
        self.run = mtf.fit(self._original.copy(), self.tasks(), epochs=1, progress=False)
        self.n_cases = 0
        self.begin()

    def begin(self) -> None:
        """Give the next case a model and a folder of its own."""
        self.model = self._original.copy()
        self.n_cases += 1
        self.folder = self.root / f"case{self.n_cases}"
        self.folder.mkdir()

    def tasks(self) -> dict[str, mtf.Task]:
        """Return a small task for each head."""
        return {
            "classifier": mtf.Task(train=ROWS[:8], eval=ROWS[:8]),
            "ner_head": mtf.Task(train=TAGGED[:4], eval=TAGGED[:4]),
        }


FILES = {
    "rows.tsv": "good\tpositive\nbad\tnegative\n",
    "rows.csv": "text,label\ngood,positive\nbad,negative\n",
    "rows.jsonl": '{"text": "good", "label": "positive"}\n',
    "squad.json": '{"data": [{"paragraphs": [{"context": "a b", "qas": [{"question": "?", '
    '"answers": [{"text": "b", "answer_start": 2}]}]}]}]}',
    "rows.conll": "Anna\tB-person\n\n",
    "sts.csv": "good,bad,1.5\n",
    "images.csv": "image,label\nimages.csv,cat\n",
    "coco.json": '{"images": [{"id": 1, "file_name": "a.png", "height": 4, "width": 6}], '
    '"annotations": [{"image_id": 1, "category_id": 2, "bbox": [0, 0, 2, 3]}], '
    '"categories": [{"id": 2, "name": "cat"}]}',
    "nli.jsonl": '{"premise": "good", "hypothesis": "bad", "label": "neutral"}\n',
}

FIT: dict[str, Any] = {
    "epochs": 1, "batch_size": 4, "learning_rate": 1e-3, "weight_decay": 0.01, "warmup_ratio": 0.1,
    "warmup_steps": 1, "lr_schedule": "linear", "layer_decay": 1.5, "max_grad_norm": 1.0,
    "mixing": "proportional", "sampling": "size", "temperature": 1.0, "loss_weighting": "static",
    "seed": 0, "cache": False, "cache_dtype": "float32", "freeze_schedule": None, "start": "cold",
    "callbacks": (),
    "load_best_model_at_end": False, "metric_for_best_model": None, "greater_is_better": None,
    "output_dir": None, "progress": False, "token_budget": 4096, "betas": (0.9, 0.999),
    "eps": 1e-8, "eval_every": None, "save_every": None, "resume": False, "keep_checkpoints": 1,
    "stop_after_steps": None,
    "precision": "fp32", "save_activations": "fp32", "group_by_length": False,
}  # fmt: skip
"""Every argument of `fit` beside model and tasks."""

PHASE: dict[str, Any] = {
    "train": "heads", "freeze": None, "epochs": 1, "steps": None, "learning_rate": 1e-3,
    "weight_decay": 0.0, "warmup_ratio": 0.1, "warmup_steps": None, "lr_schedule": "linear",
    "layer_decay": None, "unpin": False, "name": "one", "precision": None,
}  # fmt: skip

RATES: dict[str, Any] = {
    "learning_rate": None, "weight_decay": None, "layer_decay": None, "unpin": False,
    "precision": None,
}  # fmt: skip

HEAD: dict[str, Any] = {"labels": ["a", "b"], "hidden": (4,), "dropout": 0.1, "activation": "gelu"}
POOLED: dict[str, Any] = {**HEAD, "features": "pooled", "pooling": None}
LANGUAGE: dict[str, Any] = {**HEAD, "labels": (), "tied": True, "block": None, "n_words": 0}

STEP: dict[str, Any] = {
    "batch": {"classifier": [("good", "positive")]}, "dropout": True, "seed": 0,
    "token_budget": 4096, "precision": "fp32", "save_activations": "fp32",
}  # fmt: skip


def _of_model(name: str, /, **arguments: Any) -> Callable[[Stage], Call]:
    return lambda stage: Call(getattr(stage.model, name), dict(arguments))


def _pushes_nowhere(model: mtf.MultiTaskModel) -> Callable[..., str]:
    """Return `push_to_hub` with another default than the hub, which no drill may ask."""

    def push(**given: Any) -> str:
        with patch("huggingface_hub.constants.ENDPOINT", NOWHERE):
            return model.push_to_hub(**given)

    return push


def _of(part: str, name: str, /, **arguments: Any) -> Callable[[Stage], Call]:
    return lambda stage: Call(getattr(getattr(stage, part), name), dict(arguments))


def _plain(function: Callable[..., Any], /, **arguments: Any) -> Callable[[Stage], Call]:
    return lambda stage: Call(function, dict(arguments))


def _with_model(function: Callable[..., Any], /, **arguments: Any) -> Callable[[Stage], Call]:
    return lambda s: Call(function, {"model": s.model, "tasks": s.tasks(), **arguments})


def _reads(function: Callable[..., Any], name: str, /, **arguments: Any) -> Callable[[Stage], Call]:
    return lambda stage: Call(function, {"path": stage.root / name, **arguments})


def _writes(part: str, name: str, ending: str) -> Callable[[Stage], Call]:
    return lambda s: Call(getattr(getattr(s, part), name), {"path": s.folder / f"out{ending}"})


def _frozen(stage: Stage) -> Call:
    def block(what: Any, precision: Any) -> None:
        with stage.model.frozen(what, precision=precision):
            pass

    return Call(block, {"what": "backbone", "precision": "fp32"})


def _star(name: str, /, **arguments: Any) -> Callable[[Stage], Call]:
    def call(stage: Stage) -> Call:
        method = getattr(stage.model, name)
        return Call(lambda what, **named: method(what, **named), {"what": "backbone", **arguments})

    return call


EXAMPLES = mtf.Examples.from_rows([("good", "positive"), ("bad", "negative")] * 4)
SCHEDULE = mtf.FreezeSchedule()
PIXELS = np.zeros((4, 6, 3), np.uint8)
AUGMENT = mtf.Augment()

CALLS: dict[str, Callable[[Stage], Call]] = {
    "compare": _with_model(
        mtf.compare, modes=["backbone"], seeds=1, start="cold", old_tasks=None,
        probe=["good"], gradients=False, race=False, executor=None, threads=1, output_dir=None,
        keep_models=False,
        **{k: v for k, v in FIT.items() if k in ("epochs", "batch_size", "progress", "betas")},
    ),
    "estimate": _with_model(mtf.estimate, **FIT, memory=1 << 30),
    "evaluate": _with_model(mtf.evaluate, cache=False, progress=False, batch_size=4),
    "few_shot": lambda s: Call(
        mtf.few_shot,
        {"model": s.model, "head": "classifier", "rows": ROWS[:4], "eval": None,
         "train": "backbone.layers[2:]", "pairs": 1, "epochs": 1, "learning_rate": 1e-3,
         "batch_size": 4, "seed": 0, "progress": False},
    ),
    "fine_tune": _with_model(
        mtf.fine_tune, epochs=1, freeze_epochs=1, batch_size=4, progress=False
    ),
    "fit": _with_model(mtf.fit, **FIT),
    "recommend": _with_model(
        mtf.recommend, budget=10.0, memory=1 << 30, try_out=False, tolerance=0.01, progress=False
    ),
    "get_threads": _plain(mtf.get_threads),
    "set_threads": _plain(mtf.set_threads, n=1),
    "show_config": _plain(mtf.show_config, mode="dict"),
    "plot_confusion": lambda s: Call(
        mtf.plot_confusion,
        {"model": s.model, "head": "classifier", "examples": ROWS[:4],
         "path": s.folder / "c.png", "label": None},
    ),
    "plot_boxes": lambda s: Call(
        mtf.plot_boxes,
        {"image": np.zeros((8, 9, 3), np.uint8), "found": [mtf.Box("cat", 1, 2, 5, 6)],
         "path": s.folder / "b.png", "right": [], "title": "Boxes"},
    ),
    "check_data": _reads(mtf.check_data, "rows.tsv", model=None, label_map=None),
    "read_tsv": _reads(
        mtf.read_tsv, "rows.tsv", text=None, label=None, label_map=None, header=False,
        on_fault=None,
    ),
    "read_csv": _reads(
        mtf.read_csv, "rows.csv", text="text", label="label", header=True, delimiter=",",
        label_map=None, on_fault=None,
    ),
    "read_squad": _reads(mtf.read_squad, "squad.json", skip_misplaced=False),
    "read_jsonl": _reads(
        mtf.read_jsonl, "rows.jsonl", text=None, label=None, label_map=None, on_fault=None
    ),
    "read_table": _plain(
        mtf.read_table, table={"review": ["good"], "mood": ["glad"]}, text="review", label="mood",
        label_map=None, limit=5, name="table",
    ),
    "read_nli": _reads(mtf.read_nli, "nli.jsonl", labels=None),
    "read_sts": _reads(mtf.read_sts, "sts.csv", divide_by=5.0),
    "read_text": _reads(mtf.read_text, "rows.tsv", rows="line"),
    "stream": _reads(
        mtf.stream, "rows.jsonl", format="jsonl", label_map=None, on_fault=None, text=None,
        label=None, scheme="iob2",
    ),
    "read_conll": _reads(
        mtf.read_conll, "rows.conll", scheme="iob2", column=-1, label_map=None, on_fault=None
    ),
    "read_images": _reads(
        mtf.read_images, "images.csv", image="image", label="label", label_map=None, on_fault=None
    ),
    "read_coco": lambda s: Call(
        mtf.read_coco,
        {"path": s.root / "coco.json", "folder": s.root, "check_sizes": False, "on_fault": None},
    ),
    "Picture": _plain(mtf.Picture, source=PIXELS, name="one"),
    "Augment": _plain(mtf.Augment, flip=True, crop=(0.5, 1.0), colour=0.1, variants=3, seed=0),
    "Augment.apply": _plain(AUGMENT.apply, pixels=PIXELS, picture=1, variant=2),
    "Augment.drawn": _plain(AUGMENT.drawn, size=(8, 9), picture="a", variant=2),
    "Box": _plain(mtf.Box, label="cat", left=0.0, top=0.0, right=2.0, bottom=3.0),
    "Examples.from_images": _plain(mtf.Examples.from_images, images=[PIXELS], name="data"),
    "words_and_tags": _plain(
        mtf.words_and_tags, text="Anna went", spans=[(0, 4, "PER")],
    ),
    "Task": _plain(
        mtf.Task, train=ROWS, eval=ROWS, weight=1.0, train_through_frozen=False, metric=None,
        label=None, loss=None, metrics=["roc_auc"], sampling="rows",
    ),
    "top_losses": _with_model(
        mtf.top_losses, k=3, task="classifier", cache=False, progress=False
    ),
    "MultiLabelClassification": _plain(
        mtf.MultiLabelClassification, **POOLED, threshold=0.5, separator="|"
    ),
    "PairClassification": _plain(mtf.PairClassification, **POOLED, encode="joint"),
    "QuestionAnswering": _plain(
        mtf.QuestionAnswering, hidden=(8,), dropout=0.0, activation="gelu", norm_eps=None,
        bias=True, hidden_bias=True, norm_bias=True, labels=["start", "end"], max_length=64,
        stride=16, max_answer_tokens=30, no_answer_threshold=0.0,
    ),
    "Detection": _plain(
        mtf.Detection, labels=["cat", "dog"], queries=None, auxiliary=True, threshold=0.5
    ),
    "CausalLM": _plain(mtf.CausalLM, **LANGUAGE),
    "MaskedLM": _plain(mtf.MaskedLM, probability=0.15, whole_words=False, **LANGUAGE),
    "Regression": _plain(mtf.Regression, **{**POOLED, "labels": ["value"]}),
    "SequenceClassification": _plain(mtf.SequenceClassification, **POOLED),
    "Similarity": _plain(
        mtf.Similarity, loss="multiple_negatives", dims=(8, 4), weights=(1.0, 0.5), scale=20.0,
        margin=None, directions=("query_to_doc",), partition="joint", features="embedding",
    ),
    "TokenClassification": _plain(
        mtf.TokenClassification, **{**HEAD, "labels": ["O", "B-a"]}, crf=True
    ),
    "CrossEntropy": _plain(
        mtf.CrossEntropy, class_weights={"negative": 2.0}, label_smoothing=0.1, focal=0.0
    ),
    "Distillation": _plain(
        mtf.Distillation, teacher=[[0.5, -0.5]], temperature=2.0, alpha=0.5, head=None
    ),
    "entity_types": _plain(mtf.entity_types, rows=TAGGED),
    "EarlyStopping": _plain(
        mtf.EarlyStopping, metric=None, patience=2, min_delta=0.0, greater_is_better=None
    ),
    "MLflowLogger": _plain(
        mtf.MLflowLogger, experiment="e", run_name=None, tracking_uri="file:///nowhere"
    ),
    "TensorBoardLogger": lambda s: Call(mtf.TensorBoardLogger, {"folder": s.folder / "events"}),
    "TrackioLogger": _plain(mtf.TrackioLogger, project="p", name=None),
    "WandbLogger": _plain(mtf.WandbLogger, project="p", name=None, mode="offline", folder=None),
    "FreezeSchedule.phase": _plain(SCHEDULE.phase, **PHASE),
    "FreezeSchedule.gradual": _plain(mtf.FreezeSchedule.gradual, every=1, per_step=1, **RATES),
    "FreezeSchedule.fine_tune": _plain(
        mtf.FreezeSchedule.fine_tune, epochs=1, freeze_epochs=1, **RATES
    ),
    "FreezeSchedule.probe_then_tune": _plain(
        mtf.FreezeSchedule.probe_then_tune, probe_epochs=1, epochs=1, probe_learning_rate=None,
        **RATES,
    ),
    "FreezeSchedule.from_dict": _plain(
        mtf.FreezeSchedule.from_dict, values=[{"train": "heads", "epochs": 1}]
    ),
    "FreezeSchedule.resolve": lambda s: Call(
        SCHEDULE.phase(train="heads").resolve, {"model": s.model, "epochs": 1}
    ),
    "Examples": _plain(mtf.Examples, rows=list(EXAMPLES), name="data"),
    "Examples.from_rows": _plain(mtf.Examples.from_rows, rows=[("a", "b")], name="data"),
    "Examples.from_texts": _plain(mtf.Examples.from_texts, texts=["a", "b"], name="data"),
    "Examples.labels": _plain(EXAMPLES.labels, task=None),
    "Examples.select": _plain(EXAMPLES.select, rows=[0, 1]),
    "Examples.split": _plain(EXAMPLES.split, fraction=0.5, seed=0, stratify=True),
    "Examples.drawn": _plain(EXAMPLES.drawn, n_rows=2, seed=0),
    "MultiTaskModel.from_pretrained": lambda s: Call(
        mtf.MultiTaskModel.from_pretrained,
        {"name_or_path": s.root / "tiny", "pooling": None, "normalize": None, "max_length": None,
         "ignore_config": (), "revision": None, "prompts": {"query": "query: "},
         "default_prompt_name": None, "interpolate_positions": None, "batch_norm": None},
    ),
    "MultiTaskModel.add_head": _of_model(
        "add_head", name="new", spec=mtf.SequenceClassification(["a", "b"]), seed=0,
        from_pretrained=None, head=None,
    ),
    "MultiTaskModel.remove_head": _of_model("remove_head", name="classifier"),
    "MultiTaskModel.add_lora": _of_model(
        "add_lora", rank=2, alpha=4.0, dropout=0.0, targets=["query"], layers=[0], seed=0
    ),
    "MultiTaskModel.save_adapter": lambda s: Call(
        s.model.copy().add_lora(2).save_adapter, {"folder": s.root / "adapter"}
    ),
    "MultiTaskModel.load_adapter": lambda s: Call(
        s.model.copy().load_adapter,
        {"folder": s.model.copy().add_lora(2).save_adapter(s.root / "adapter")},
    ),
    "MultiTaskModel.add_ia3": _of_model("add_ia3", targets=["key"], layers=[0]),
    "Race": _plain(mtf.Race, tolerance=0.01, rungs=[0.25, 0.5], rows=300, level=0.9),
    "Lora": _plain(mtf.Lora, rank=2, alpha=4.0, dropout=0.0, targets=["query"], layers=[0]),
    "IA3": _plain(mtf.IA3, targets=["key"], layers=[0]),
    "MultiTaskModel.encode": _of_model(
        "encode", texts=SENTENCES[:2], batch_size=2, normalize_embeddings=True, truncate_dim=8,
        show_progress_bar=False, precision=None, words=False, prompt="query: ", prompt_name=None,
    ),
    "MultiTaskModel.forward": _of_model(
        "forward", texts=SENTENCES[:2], outputs=["pooled"], hidden_states=False, precision=None,
        words=False,
    ),
    "MultiTaskModel.similarity": _of_model(
        "similarity", embeddings1=np.ones((2, 4)), embeddings2=np.ones((3, 4))
    ),
    "MultiTaskModel.predict": _of_model(
        "predict", head="classifier", texts=SENTENCES[:2], precision=None, words=False,
        threshold=None,
    ),
    "MultiTaskModel.predict_proba": _of_model(
        "predict_proba", head="ner_head", texts=SENTENCES[:2], precision=None, words=False
    ),
    "MultiTaskModel.predict_all": _of_model(
        "predict_all", texts=SENTENCES[:2], heads=["classifier"], precision=None, words=False
    ),
    "MultiTaskModel.freeze": _star("freeze", pin=True, strict=True, precision=None),
    "MultiTaskModel.unfreeze": _star("unfreeze", strict=True),
    "MultiTaskModel.frozen": _frozen,
    "MultiTaskModel.select": _star("select"),
    "MultiTaskModel.trainable": _of_model("trainable", what="backbone"),
    "MultiTaskModel.freeze_to": _of_model("freeze_to", k=1, pin=True, precision=None),
    "MultiTaskModel.set_freeze_state": lambda s: Call(
        s.model.set_freeze_state, {"state": s.model.freeze_state()}
    ),
    "MultiTaskModel.set_parameter": _of_model(
        "set_parameter", key="classifier.bias", values=np.zeros(2)
    ),
    "MultiTaskModel.step": _of_model(
        "step", learning_rate=1e-3, weight_decay=0.01, max_grad_norm=1.0, betas=(0.9, 0.999),
        eps=1e-8, **STEP,
    ),
    "MultiTaskModel.gradients": _of_model("gradients", injections=None, step=0, **STEP),
    "MultiTaskModel.export_onnx": lambda s: Call(
        s.model.export_onnx, {"folder": s.folder / "exported", "heads": ["classifier"]}
    ),
    "MultiTaskModel.save_pretrained": lambda s: Call(
        s.model.save_pretrained, {"path": s.folder / "saved", "tasks": None, "head": None}
    ),
    "MultiTaskModel.push_to_hub": lambda s: Call(
        _pushes_nowhere(s.model), {"repo": "someone/tiny", "head": None, "private": None,
                                   "token": "hf_none", "endpoint": NOWHERE},
    ),
    "MultiTaskModel.plot_trainability": _writes("model", "plot_trainability", ".svg"),
    "Comparison.load": _plain(mtf.Comparison.load, folder="nothing"),
    "Comparison.best": _of("comparison", "best", task="classifier"),
    "Comparison.best_model": _of(
        "comparison", "best_model", task="classifier", seed=0, progress=False
    ),
    "Comparison.difference": _of(
        "comparison", "difference", task="classifier", scenario="backbone", other="none"
    ),
    "Comparison.figures": _of("comparison", "figures", scenario="none"),
    "Comparison.pareto": _of("comparison", "pareto", task="classifier"),
    "Comparison.plot": _writes("comparison", "plot", ".svg"),
    "Comparison.plot_modes": _writes("comparison", "plot_modes", ".svg"),
    "Comparison.to_csv": _writes("comparison", "to_csv", ".csv"),
    "Comparison.to_html": _writes("comparison", "to_html", ".html"),
    "Run.report": _of("run", "report", task="classifier"),
    "Run.confusion": _of("run", "confusion", task="classifier"),
    "Run.top_losses": _of("run", "top_losses", k=3, task="classifier"),
    "Estimate.beside": lambda s: Call(s.estimate.beside, {"run": s.run}),
    "Example.label_for": _plain(EXAMPLES[0].label_for, task="t"),
    "Task.from_table": _plain(
        mtf.Task.from_table, table={"review": ["good", "bad"] * 2, "mood": ["a", "b"] * 2},
        text="review", label="mood", eval=0.5, labels="auto", label_map=None, limit=4, seed=0,
        weight=1.0,
    ),
    "Task.head": _plain(mtf.Task(train=ROWS).head, hidden=(4,), dropout=0.1),
    "Task.label_name": _plain(mtf.Task(train=ROWS).label_name, task="t"),
}  # fmt: skip
"""Name -> the call on a stage."""


def public_names() -> list[str]:
    """Return what can be called with arguments, as ``"fit"`` or ``"MultiTaskModel.step"``."""
    found: list[str] = []
    for name in mtf.__all__:
        one = getattr(mtf, name)
        if not callable(one) or (inspect.isclass(one) and issubclass(one, BaseException)):
            continue
        if (not inspect.isclass(one) and name not in UNCALLED) or name in CALLS:
            found.append(name)
        if inspect.isclass(one):
            found += [f"{name}.{method}" for method in _methods(one)]
    return found


def _methods(one: type) -> list[str]:
    """Return the public methods of a class that take arguments."""
    found = []
    for name in sorted(vars(one)) if one is not mtf.MultiTaskModel else sorted(dir(one)):
        member = inspect.getattr_static(one, name)
        if name.startswith("_") or name in (*NOT_CALLED, *OF_HEADS) or isinstance(member, property):
            continue
        if one is mtf.Callback or not callable(getattr(one, name)) or issubclass(one, mtf.Callback):
            continue
        taken = [key for key in inspect.signature(getattr(one, name)).parameters if key != "self"]
        if taken:
            found.append(name)
    return found
