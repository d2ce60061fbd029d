# SPDX-License-Identifier: Apache-2.0
"""What users get wrong about rows, training, schedules and jobs; part of `bad_input_cases`."""

from __future__ import annotations

import mtfreeze as mtf
from mtfreeze.cli.job import parse_config
from support.bad_inputs import (
    ROWS,
    TWO,
    Case,
    fit,
    frozen_copy,
    frozen_head,
    not_finite,
    schedule,
    settings,
    step,
    task,
    yaml,
)
from support.texts import TAGGED

__all__ = ["TRAINING_CASES"]

TRAINING_CASES: dict[str, Case] = {
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
"""Name -> a call that takes a `Place`."""
