# SPDX-License-Identifier: Apache-2.0
"""An output folder belongs to one run, and can be written, before the first step."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.training import claiming, trainer
from mtfreeze.training.claiming import claimed
from support.small_tasks import ROWS, quick_fit, two_tasks

posix = pytest.mark.skipif(os.name != "posix", reason="the system has no such locks")


class Count(mtf.Callback):
    """Counts the steps of a run."""

    n_steps = 0

    def on_step_end(self, context: Any) -> None:
        self.n_steps += 1


@posix
def test_a_second_run_is_refused_before_its_first_step(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    out, counted = tmp_path / "out", Count()
    with claimed(out), pytest.raises(mtf.ConfigError, match=r"no other run writes to.*in use"):
        quick_fit(two_head_model, output_dir=out, callbacks=[counted])
    assert counted.n_steps == 0 and not out.exists()
    run = quick_fit(two_head_model, output_dir=out, save_every=1, callbacks=[counted])
    assert run.n_steps == counted.n_steps > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]  # the lock went with it


@posix
def test_comparisons_claim_their_folder_too(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    compare = partial(
        mtf.compare, two_head_model, two_tasks(), ["none"], seeds=1, epochs=1, progress=False
    )
    with claimed(out), pytest.raises(mtf.ConfigError, match=r"no other run writes to.*in use"):
        compare(output_dir=out)
    assert not out.exists()
    refused: list[str] = []
    real = trainer.run_step

    def run_step(*given: Any) -> Any:
        if not refused:
            with pytest.raises(mtf.ConfigError, match="in use") as caught:
                compare(output_dir=out)
            refused.append(str(caught.value))
        return real(*given)

    monkeypatch.setattr(trainer, "run_step", run_step)
    assert not compare(output_dir=out).failed
    assert len(refused) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    compare(output_dir=out)  # what is there is taken up


@posix
def test_train_finds_it_before_the_heads_train(
    command: Callable[..., tuple[int, str, str]], tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "rows.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in ROWS))
    (tmp_path / "job.yaml").write_text(f"""
model: {{name: {tiny_folder}}}
heads: {{classifier: {{task: sequence_classification, labels: [negative, positive]}}}}
data: {{classifier: {{train: rows.tsv}}}}
start: {{epochs: 1}}
training: {{epochs: 1, output_dir: out}}
""")
    with claimed(tmp_path / "out"):
        code, _, err = command("train", "--config", tmp_path / "job.yaml")
    assert (code, err.count("trained: classifier")) == (2, 0)
    assert "no other run writes to" in err
    code, _, err = command("train", "--config", tmp_path / "job.yaml")
    assert code == 0, err


HOLD = """
import sys
from pathlib import Path
from mtfreeze.training.claiming import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@posix
def test_a_killed_run_holds_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with pytest.raises(mtf.ConfigError, match="in use"), claimed(tmp_path / "out"):
        raise AssertionError("not reached")
    process.kill()
    process.communicate(timeout=60)
    with claimed(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []


@posix
def test_many_at_once(tmp_path: Path) -> None:
    """Never two at a time, though each takes the file of the lock away with it."""
    holders, most, turns = 0, 0, 0

    def work() -> None:
        nonlocal holders, most, turns
        for _ in range(60):
            try:
                with claimed(tmp_path / "out"):
                    holders += 1
                    most = max(most, holders)
                    turns += 1
                    time.sleep(0.0005)
                    holders -= 1
            except mtf.ConfigError:
                continue

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and turns > 4


@pytest.mark.parametrize("call", ["mkdir", "open"])
def test_a_place_that_takes_nothing(
    two_head_model: mtf.MultiTaskModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    def broken(*given: Any, **named: Any) -> Any:
        raise OSError(errno.EROFS, "Read-only file system")

    counted = Count()
    monkeypatch.setattr(*((Path, "mkdir", broken) if call == "mkdir" else (os, "open", broken)))
    with pytest.raises(OSError, match=r"cannot write to output_dir .*Read-only file system"):
        quick_fit(two_head_model, output_dir=tmp_path / "a" / "out", callbacks=[counted])
    assert counted.n_steps == 0


def test_a_folder_that_may_not_be_written(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(os, "access", lambda *given: False)
    with pytest.raises(PermissionError, match=r"cannot write to output_dir .*choose another"):
        quick_fit(two_head_model, output_dir=tmp_path / "out")


def test_drafts_of_killed_saves_go(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    foreign = [tmp_path / ".out.new-1234567", tmp_path / ".other.new-12345678"]
    mine = [tmp_path / ".out.new-12345678", tmp_path / ".out.old-12345678"]
    for path in (*foreign, *mine):
        path.mkdir()
        (path / "model.safetensors").write_bytes(b"half")
    with claimed(tmp_path / "out"):
        # Without a model in its place the earlier one is all that is left.
        assert [path.exists() for path in mine] == [False, True]
    two_head_model.save_pretrained(tmp_path / "out")
    with claimed(tmp_path / "out"):
        assert [path.exists() for path in mine] == [False, False]
    assert all(path.exists() for path in foreign)


def test_a_lock_whose_file_went_meanwhile_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    lock = claiming._try_lock

    def try_lock(descriptor: int) -> bool:
        tried.append(descriptor)
        if len(tried) == 1:
            (tmp_path / "lock").unlink()
        return lock(descriptor)

    monkeypatch.setattr(claiming, "_try_lock", try_lock)
    descriptor = claiming._locked(tmp_path / "lock")
    assert descriptor is not None
    assert (tmp_path / "lock").exists()
    assert len(tried) == 2
    claiming._unlock(descriptor)
