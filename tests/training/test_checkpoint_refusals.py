# SPDX-License-Identifier: Apache-2.0
"""Another run, model or code than a checkpoint's is refused or said, and nothing changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from support.bits import bits
from support.small_tasks import ROWS, fresh, quick_fit, two_tasks

pytestmark = [
    pytest.mark.laws,
    pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning"),
]


@pytest.fixture
def begun(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return the output folder of a run of ten steps with a checkpoint at step 4."""
    out = tmp_path / "begun"
    quick_fit(fresh(tiny_folder, "embeddings"), save_every=4, keep_checkpoints=9, output_dir=out)
    for name in ("step-00000008", "step-00000010"):
        (out / "checkpoints" / name).rename(tmp_path / name)
    return out


def other_rows(tasks: dict[str, mtf.Task]) -> None:
    tasks["classifier"] = mtf.Task(train=[*ROWS[1:], ROWS[0]], eval=ROWS)


def other_label(tasks: dict[str, mtf.Task]) -> None:
    flipped = [(ROWS[0][0], "negative" if ROWS[0][1] == "positive" else "positive"), *ROWS[1:]]
    tasks["classifier"] = mtf.Task(train=flipped, eval=ROWS)


def other_weight(tasks: dict[str, mtf.Task]) -> None:
    tasks["classifier"] = mtf.Task(train=ROWS, eval=ROWS, weight=0.5)


def other_order(tasks: dict[str, mtf.Task]) -> None:
    tasks["classifier"] = tasks.pop("classifier")


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        ({"seed": 1}, None, "settings.seed: 0 then, 1 now"),
        ({"batch_size": 5}, None, "settings.batch_size: 4 then, 5 now"),
        ({"epochs": 3}, None, "settings.epochs: 2 then, 3 now"),
        ({"learning_rate": 2e-3}, None, "settings.learning_rate: 0.001 then, 0.002 now"),
        ({"mixing": "joint"}, None, "settings.mixing: 'proportional' then, 'joint' now"),
        ({"token_budget": 64}, None, "settings.token_budget: 4096 then, 64 now"),
        ({}, other_rows, "tasks.classifier.train: '10 rows"),
        ({}, other_label, "tasks.classifier.train: '10 rows"),
        ({}, other_weight, "tasks.classifier.weight: 1.0 then, 0.5 now"),
        ({}, other_order, "task_order: "),
    ],
)
def test_another_run_is_refused(
    tiny_folder: Path, begun: Path, settings: dict[str, Any], change: Any, message: str
) -> None:
    model, tasks = fresh(tiny_folder, "embeddings"), two_tasks()
    if change is not None:
        change(tasks)
    before = bits(model.parameters())
    with pytest.raises(mtf.ConfigError, match=f"cannot go on from .*{message}"):
        quick_fit(model, tasks, resume=True, output_dir=begun, **settings)
    assert bits(model.parameters()) == before
    assert not model.heads["classifier"].trained


def another_head(model: mtf.MultiTaskModel) -> None:
    model.remove_head("classifier")
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"], dropout=0.5))


def swapped_labels(model: mtf.MultiTaskModel) -> None:
    model.remove_head("classifier")
    model.add_head("classifier", mtf.SequenceClassification(["positive", "negative"]))


def another_embedding(model: mtf.MultiTaskModel) -> None:
    key = "backbone.embeddings.LayerNorm.bias"
    model.set_parameter(key, model.parameters()[key] + 1)


def another_state(model: mtf.MultiTaskModel) -> None:
    model.freeze("ner_head.bias")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (another_head, "model.heads.classifier.dropout: 0.1 then, 0.5 now"),
        (swapped_labels, r"model.heads.classifier.labels: \['negative', 'positive'\] then"),
        (another_embedding, "expected the frozen tensors that the run began with; found others: "),
        (another_state, "phase 1.freeze.frozen: 'ner_head.bias' only now"),
    ],
)
def test_another_model_is_refused(
    tiny_folder: Path, begun: Path, change: Any, message: str
) -> None:
    model = fresh(tiny_folder, "embeddings")
    change(model)
    before = bits(model.parameters())
    with pytest.raises(mtf.ConfigError, match=message):
        quick_fit(model, resume=True, output_dir=begun)
    assert bits(model.parameters()) == before


def test_arguments_that_cannot_be(tiny_folder: Path, tmp_path: Path) -> None:
    model = fresh(tiny_folder)
    for changes, error, message in (
        ({"save_every": 3}, mtf.ConfigError, "save_every=3 needs a folder to save to"),
        ({"save_every": "step", "output_dir": "x"}, mtf.ConfigError, "None, 'epoch' or a number"),
        ({"save_every": 0, "output_dir": "x"}, mtf.ConfigError, "save_every must be at least 1"),
        ({"save_every": 1.5, "output_dir": "x"}, TypeError, "save_every must be a whole number"),
        ({"resume": True}, mtf.ConfigError, "resume=True looks for checkpoints in output_dir"),
        ({"resume": 3}, TypeError, "resume must be True, False or a path; found int 3"),
        ({"keep_checkpoints": 0}, mtf.ConfigError, "keep_checkpoints must be at least 1"),
        ({"resume": tmp_path / "no"}, mtf.CheckpointError, "expected a checkpoint at .*nothing"),
        ({"resume": tiny_folder}, mtf.CheckpointError, "found no trainer/manifest.json in it"),
    ):
        with pytest.raises(error, match=message):
            quick_fit(model, **changes)  # type: ignore[arg-type]
    assert not Path("x").exists()


def test_other_code_is_said(begun: Path, tiny_folder: Path) -> None:
    (path,) = (begun / "checkpoints").iterdir()
    change_state(path, lambda content: content["environment"].update(isa="vax", n_threads=99))
    with pytest.warns(mtf.ResumeWarning, match=r"with other code.*isa 'vax' then") as seen:
        quick_fit(fresh(tiny_folder, "embeddings"), resume=True, output_dir=begun)
    assert seen[0].filename.endswith("small_tasks.py")  # where fit was called
    assert "n_threads" not in str(seen[0].message)  # which changes no bit


def change_state(path: Path, change: Any) -> None:
    """Change what a checkpoint says, with a manifest that agrees."""
    import hashlib

    file, manifest = path / "trainer" / "state.json", path / "trainer" / "manifest.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    listed = json.loads(manifest.read_text())
    data = file.read_bytes()
    listed["files"]["trainer/state.json"] = {
        "n_bytes": len(data),
        "blake2b": hashlib.blake2b(data, digest_size=16).hexdigest(),
    }
    manifest.write_text(json.dumps(listed))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=99), "expected format 1; found 99"),
        (lambda c: c.update(state=[]), "expected 'state' to be an object; found list"),
        (lambda c: c["state"].pop("n_steps"), "expected the state of a run; found KeyError"),
        (lambda c: c["state"].update(n_steps=99), "found n_steps = 99"),
        (lambda c: c["state"].update(n_steps="4"), "found n_steps = '4'"),
        (lambda c: c["state"].update(phase=7), "expected a step of phase 7"),
        (lambda c: c.update(trained_heads={}), "not found: 'classifier.weight'"),
    ],
)
def test_states_that_cannot_be(begun: Path, tiny_folder: Path, change: Any, message: str) -> None:
    (path,) = (begun / "checkpoints").iterdir()
    change_state(path, change)
    model = fresh(tiny_folder, "embeddings")
    before = bits(model.parameters())
    with pytest.raises(mtf.CheckpointError, match=message):
        quick_fit(model, resume=True, output_dir=begun)
    assert bits(model.parameters()) == before
