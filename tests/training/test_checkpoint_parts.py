# SPDX-License-Identifier: Apache-2.0
"""Parts of checkpoints: what their manifest lists, their moments, ends that were asked for."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from support.small_tasks import ROWS, fresh, quick_fit, timeless, train


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (lambda files: 3, "expected 'files' to map names to digests"),
        (
            lambda files: {k: v for k, v in files.items() if k != "trainer/moments.safetensors"},
            r"expected it to list .*not found: 'trainer/moments.safetensors'",
        ),
    ],
)
def test_a_manifest_lists_what_a_checkpoint_needs(
    begun: Path, tiny_folder: Path, listed: Any, message: str
) -> None:
    newest = max((begun / "checkpoints").iterdir())
    manifest = newest / "trainer" / "manifest.json"
    values = json.loads(manifest.read_text())
    values["files"] = listed(values["files"])
    manifest.write_text(json.dumps(values))
    with pytest.raises(mtf.CheckpointError, match=message):
        quick_fit(fresh(tiny_folder, "embeddings"), output_dir=begun, resume=newest)
    with pytest.raises(mtf.ConfigError, match="expected a folder without checkpoints"):
        quick_fit(fresh(tiny_folder, "embeddings"), output_dir=begun, save_every=4)


def test_moments_are_as_many_as_their_names(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone").step({"classifier": ROWS}, learning_rate=1e-3)
    from mtfreeze.training.checkpoint import _Moments

    moments = _Moments(two_head_model)
    assert len(moments) == len(list(moments)) > 0


@pytest.mark.parametrize("at", ["before the step", "while it is scored"])
def test_an_end_asked_for_by_another_signal_leaves_whole_steps(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """The step under way is dropped, and an evaluation that was ended is made when it goes on."""
    from mtfreeze.training import trainer

    def ends(real: Any, *, answers: Any = None) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            signal.raise_signal(signal.SIGINT)
            return real(*given, **named) if answers is None else answers

        return call

    whole = train(fresh(tiny_folder))
    model = fresh(tiny_folder)
    with monkeypatch.context() as patch:
        if at == "before the step":
            patch.setattr(trainer, "replace", ends(trainer.replace))
        else:
            patch.setattr(trainer.Trainer, "_evaluate", ends(None, answers=False))
        run = train(model, output_dir=tmp_path / "out", save_every="epoch")
    assert "(interrupted)" in str(run)
    model = fresh(tiny_folder)
    if run.n_steps:
        run = train(model, output_dir=tmp_path / "out", save_every="epoch", resume=True)
    else:
        run = train(model)
    assert timeless(run.metrics) == timeless(whole.metrics)
