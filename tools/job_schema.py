#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the JSON Schema of the job file from the tables that jobs are checked against.

Keys and what each holds come from ``mtfreeze/cli`` (the tables of sections, and the check of each
key), descriptions from ``docs/configuration.md`` and the docstring of `fit`. So a new key needs a
line nowhere else; a new *check* needs its form in ``FORMS``. The schema is that of draft 7, which
editors know best. It says what the parser says before a model is there: names of keys, kinds of
values, names to choose from. Ranges, and what does not go together, are left to the commands.

    tools/job_schema.py            writes mtfreeze/cli/job.schema.json
    tools/job_schema.py --check    exits 1 if that file is another
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from mtfreeze.adapters.descriptions import WAYS
from mtfreeze.cli import job, job_results, job_training, job_values
from mtfreeze.data.balanced import ROW_SAMPLING
from mtfreeze.data.batches import MIXING
from mtfreeze.data.sampling import SAMPLING
from mtfreeze.heads.extra_metrics import NAMED
from mtfreeze.heads.registry import KINDS
from mtfreeze.losses.from_dict import _KINDS as LOSSES
from mtfreeze.losses.weighting import WEIGHTING
from mtfreeze.planning.freeze_schedule import _RECIPES, FreezeSchedule
from mtfreeze.planning.phase import Phase
from mtfreeze.planning.rate_clock import SCHEDULES
from mtfreeze.planning.start import StartSettings
from mtfreeze.runtime.precision import PRECISIONS, TRAINING_PRECISIONS
from mtfreeze.training.callbacks import EarlyStopping
from mtfreeze.training.fit import fit

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "mtfreeze" / "cli" / "job.schema.json"
PAGE = ROOT / "docs" / "configuration.md"

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
# YAML 1.1 reads 2e-5 (no dot) as a text, and the parser takes it.
NUMBER: Schema = {
    "type": ["number", "string"],
    "pattern": r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$",
}
TEXTS: Schema = {"type": ["string", "array"], "items": TEXT, "minLength": 1}
ANYTHING: Schema = {}


def ref(name: str) -> Schema:
    """Return a reference to one of the `definitions`."""
    return {"$ref": f"#/definitions/{name}"}


def section(properties: dict[str, Schema], **more: Any) -> Schema:
    """Return a section that has no other keys."""
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **more,
    }


def chosen(names: Any) -> Schema:
    """Return one of several names."""
    return {"type": "string", "enum": list(names)}


def arguments(names: Any) -> Schema:
    """Return a section of arguments whose values whoever takes them checks."""
    return section(dict.fromkeys(names, ANYTHING))


FORMS: dict[Any, Schema] = {
    job_values.check_text: TEXT,
    job_values.check_bool: FLAG,
    job_values.check_number: ref("number"),
    job_values.check_anything: ANYTHING,
    job_values.check_mapping: {"type": "object"},
    job_values.check_labels: ref("labels"),
    job_values.check_head_labels: {
        "anyOf": [{"const": job_values.AUTO}, ref("labels")],
    },
    job_values.check_label_map: ref("label_map"),
    job_values.check_metric_names: {
        "type": "array",
        "items": chosen(NAMED),
        "uniqueItems": True,
    },
    job_values.check_columns: ref("columns"),
    job_values.check_folder: {"anyOf": [TEXT, section({"train": TEXT, "eval": TEXT})]},
    job_values.check_loss: ref("loss"),
    job_values.check_augment: {
        "anyOf": [{"type": ["boolean", "null"]}, arguments(job_values._AUGMENT)]
    },
    job_values.check_texts: TEXTS,
    job_values.check_rate: ref("rate"),
    job_values.check_training_precision: chosen(TRAINING_PRECISIONS),
    job_values.check_precision_name: chosen(PRECISIONS),
    job_values.check_schedule: ref("schedule"),
    job_values.check_start: {
        "anyOf": [
            chosen(("heads", "cold")),
            arguments(one.name for one in fields(StartSettings)),
        ]
    },
    job_values.check_early_stopping: {
        "anyOf": [
            {"type": ["boolean", "null"]},
            arguments(inspect.signature(EarlyStopping).parameters),
        ]
    },
}
"""What a value looks like, by the check that it must pass."""

CHOICES: dict[str, dict[str, Schema]] = {
    "heads": {"task": chosen(KINDS)},
    "data": {"sampling": chosen(ROW_SAMPLING)},
    "training": {
        "lr_schedule": chosen(SCHEDULES),
        "mixing": chosen(MIXING),
        "sampling": chosen(SAMPLING),
        "loss_weighting": chosen(WEIGHTING),
    },
}
"""Keys that take one of a few names, which their check leaves to others, by section."""

# Spellings that say something in a way of their own, as `job_training` translates them.
SPELLINGS: dict[str, Schema] = {
    "adam_beta1": ref("number"),
    "adam_beta2": ref("number"),
    "bf16": FLAG,
    "fp16": {"const": False},
    "tf32": {"const": False},
    "gradient_accumulation_steps": {"type": "integer", "minimum": 1},
    **{
        name: {"enum": ["no", "epoch", "steps", False]}
        for name in ("eval_strategy", "evaluation_strategy", "save_strategy")
    },
    **{name: {"type": "integer", "minimum": 1} for name in ("eval_steps", "save_steps")},
}


def definitions() -> dict[str, Schema]:
    """Return the forms that several keys share."""
    phases = {"type": "array", "items": arguments(one.name for one in fields(Phase))}
    recipes = {
        name: {
            "anyOf": [
                {"type": "null"},
                arguments(inspect.signature(getattr(FreezeSchedule, name)).parameters),
            ]
        }
        for name in _RECIPES
    }
    kinds = [
        {
            **arguments(["kind", *(one.name for one in fields(loss))]),
            **({} if kind == "cross_entropy" else {"required": ["kind"]}),
        }
        for kind, loss in LOSSES.items()
    ]
    for one, kind in zip(kinds, LOSSES, strict=True):
        one["properties"]["kind"] = {"const": kind}
    return {
        "number": NUMBER,
        "rate": {
            "anyOf": [ref("number"), {"type": "object", "additionalProperties": ref("number")}]
        },
        "labels": {"type": ["array", "object"], "items": {"type": "string"}},
        "label_map": {
            "type": ["object", "array"],
            "items": {"type": "string"},
            "additionalProperties": {"anyOf": [{"type": ["string", "integer"]}, ref("label_map")]},
        },
        "columns": {"type": ["string", "integer", "array"], "items": ref("columns")},
        "loss": {"anyOf": kinds},
        "schedule": {
            "anyOf": [
                {"type": "null"},
                chosen(_RECIPES),
                phases,
                section({"phases": phases, **recipes}, minProperties=1, maxProperties=1),
            ]
        },
    }


def modes() -> Schema:
    """Return what is compared: selectors, or a name each with a schedule or a way of training."""
    named = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": {
            "anyOf": [
                ref("schedule"),
                {
                    "type": "object",
                    "properties": {"kind": chosen([*WAYS, job_values.SCRATCH]), "freeze": TEXTS},
                },
            ]
        },
    }
    return {"type": ["string", "array"], "items": {"anyOf": [TEXTS, named]}}


def loggers() -> Schema:
    """Return the trackers: names, or a name each with its settings."""
    named = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {
            name: section(dict.fromkeys(job_results.logger_keys(name), TEXT))
            for name in job_results.LOGGERS
        },
        "additionalProperties": False,
    }
    one = {"anyOf": [chosen(job_results.LOGGERS), named]}
    return {"anyOf": [chosen(job_results.LOGGERS), {"type": "array", "items": one}]}


def push() -> Schema:
    """Return the name of a model on the hub, or how it is pushed."""
    whole = section({key: FORMS[one] for key, one in job_results.PUSH.items()}, required=["repo"])
    return {"anyOf": [TEXT, whole]}


def from_page(heading: str) -> dict[str, str]:
    """Return what the page on jobs says of each key of a section."""
    text = PAGE.read_text(encoding="utf-8")
    body = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found: dict[str, str] = {}
    for names, said in re.findall(r"^\| (`[^|]*`) \| ((?:\\\||[^|\n])+) \|$", body, re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", said).replace("\\|", "|")
        for name in re.findall(r"`(\w+)`", names):
            found[name] = f"{found[name]}; {plain}" if name in found else plain
    return found


def from_fit() -> dict[str, str]:
    """Return what the docstring of `fit` says of each argument."""
    doc = (inspect.getdoc(fit) or "").split("Returns\n-------")[0]
    found = {}
    for names, said in re.findall(r"^(\w[\w, ]*) : .*\n((?:    .*\n?)+)", doc, re.M):
        plain = re.sub(r"``?([^`]+)``?", r"\1", " ".join(said.split()))
        for name in names.split(", "):
            found[name] = plain
    return found


def described(name: str, table: dict[str, Any], said: dict[str, str]) -> dict[str, Schema]:
    """Return the keys of a section's table, each with its form and its description."""
    found, choices = {}, CHOICES.get(name, {})
    for key, check in table.items():
        # A new check without a form takes anything; a test names it.
        form = choices.get(key, FORMS.get(check, ANYTHING))
        # Draft 7 reads nothing beside a reference.
        whole = {"allOf": [form]} if "$ref" in form else dict(form)
        found[key] = {**({"description": said[key]} if key in said else {}), **whole}
    return found


def training() -> Schema:
    """Return the section `training`, and `start`, with the spellings that are understood there."""
    stopping = (inspect.getdoc(EarlyStopping) or "").splitlines()[0]
    said = {**from_fit(), **from_page("`training` and `start`"), "early_stopping": stopping}
    keys = described("training", job_training.TRAINING_KEYS, said)
    for theirs, ours in job_training.HF_SPELLINGS.items():
        form = {key: one for key, one in keys[ours].items() if key != "description"}
        turned = " turned round" if theirs == "disable_tqdm" else ""
        keys[theirs] = {"description": f"{ours}{turned}, as transformers spells it", **form}
    # Steps count with a strategy that says "steps".
    strategies = ({"required": [name]} for name in ("eval_strategy", "evaluation_strategy"))
    dependencies = {"eval_steps": {"anyOf": list(strategies)}, "save_steps": ["save_strategy"]}
    return section({**keys, **SPELLINGS}, dependencies=dependencies)


def schema() -> Schema:
    """Return the whole schema."""
    sections = from_page("Sections")
    head = section(
        described("heads", job._HEAD, from_page("`heads`")),
        anyOf=[{"required": ["task"]}, {"required": ["from_pretrained"]}],
    )
    data = section(
        described("data", job._DATA, from_page("`data`")),
        anyOf=[{"required": ["train"]}, {"required": ["eval"]}],
    )
    numbers = {name: ref("number") for name in ("tolerance", "rows", "level", "pilot_steps")}
    forms: dict[str, Schema] = {
        "model": section(described("model", job._MODEL, from_page("`model`")), required=["name"]),
        "heads": {"type": "object", "additionalProperties": head},
        "data": {"type": "object", "additionalProperties": data},
        "training": training(),
        "start": {"allOf": [{"$ref": "#/properties/training"}]},
        "modes": modes(),
        "seeds": {"type": ["integer", "array"], "items": {"type": "integer"}},
        "race": {"anyOf": [FLAG, section({**numbers, "rungs": ANYTHING})]},
        "loggers": loggers(),
        "push_to": push(),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Job of mtfreeze",
        **section(
            {name: {"description": sections[name], **form} for name, form in forms.items()},
            required=["model"],
        ),
        "definitions": definitions(),
    }


def text() -> str:
    """Return the schema as the file holds it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the file, or say whether it is as it should be."""
    if "--check" in sys.argv[1:]:
        same = FILE.is_file() and FILE.read_text(encoding="utf-8") == text()
        print(f"{FILE.name}: {'as it should be' if same else 'another; run tools/job_schema.py'}")
        return 0 if same else 1
    FILE.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
