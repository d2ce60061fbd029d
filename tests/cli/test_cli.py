# SPDX-License-Identifier: Apache-2.0
"""The command line: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze import freeze_control
from mtfreeze.training import fit as fit_module
from support.texts import SENTENCES

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def saved(command: Command, job: Path, tmp_path: Path) -> Path:
    """Return the folder of a model that ``mtfreeze train`` saved."""
    code, _, err = command("train", "--config", job, "--quiet", "--output", tmp_path / "out")
    assert (code, err) == (0, "")
    return tmp_path / "out"


def test_train_prints_the_phases_of_a_schedule(command: Command, job: Path) -> None:
    setting = "training.freeze_schedule=[{train: heads, epochs: 1}, {freeze: embeddings}]"
    code, _, err = command("train", "--config", job, "--set", setting)
    assert code == 0, err
    lines = err.splitlines()
    assert lines[0].startswith("freeze schedule: 2 phases, 2 epochs, 10 steps: heads -> all but")
    phases = [line for line in lines if line.startswith("phase ")]
    assert phases[0].startswith('phase 1/2 "heads": frozen: backbone (')
    assert phases[1].startswith('phase 2/2 "all but embeddings": frozen: backbone.embeddings (')
    assert "in each of 2 phases" in err


def test_train_refuses_a_schedule_that_pins_forbid(command: Command, job: Path) -> None:
    setting = "training.freeze_schedule=gradual"
    code, _, err = command("train", "--config", job, "--set", setting, "--freeze", "backbone")
    assert code == 2
    assert "would unfreeze nothing: model.freeze() pinned backbone" in err


def test_train_prints_freezing_first_and_metrics(command: Command, job: Path) -> None:
    code, out, err = command("train", "--config", job)
    said = err.splitlines()[0]
    assert code == 0
    assert said.startswith("frozen: backbone (")
    assert "| trained: classifier, ner_head (" in said
    assert "frozen tensors unchanged, bit for bit" in err
    metrics = dict(line.split("\t") for line in out.splitlines())
    assert 0 <= float(metrics["eval_classifier_accuracy"]) <= 1
    assert 0 <= float(metrics["eval_ner_head_f1"]) <= 1


@pytest.mark.parametrize(
    ("options", "first"),
    [
        (["--mode", "none"], "frozen: nothing | trained: backbone, classifier, ner_head ("),
        (["--mode", "backbone[:2]"], "frozen: backbone[:2] ("),
        (["--mode", "backbone, !layers[2]"], "frozen: backbone[:2] ("),
        (["--freeze", "embeddings"], "frozen: backbone.embeddings ("),
        (["--train", "heads"], "frozen: backbone ("),
        (["--freeze", "!heads"], "frozen: backbone ("),
        (["--freeze", "backbone", "--freeze", "!layers[2]"], "frozen: backbone[:2] ("),
        (["--train", "layers[2].output", "--train", "classifier"], "frozen: backbone[:2], ner_"),
        (
            ["--train", "backbone", "--freeze", "embeddings", "--train", "classifier"],
            "frozen: backbone.embeddings, ner_head (",
        ),
    ],
)
def test_mode_freeze_and_train(command: Command, job: Path, options: list[str], first: str) -> None:
    code, _, err = command("train", "--config", job, "--set", "training.epochs=1", *options)
    assert code == 0
    assert err.splitlines()[0].startswith(first)


def test_start_is_trained_before(command: Command, job: Path) -> None:
    settings = ["--set", "start={epochs: 1, learning_rate: {heads: 0.01}}", "--mode", "all"]
    code, _, err = command("train", "--config", job, *settings)
    assert code == 0
    assert err.index("start:") < err.index("| trained: classifier, ner_head")
    assert "nothing trains: everything is frozen" in err


def test_the_saved_model_predicts(command: Command, saved: Path) -> None:
    code, out, err = command("predict", saved, "the film was good", "tab\there")
    assert (code, err) == (0, "")
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert header == ["text", "classifier", "ner_head"]
    model = mtf.MultiTaskModel.from_pretrained(saved)
    texts = ["the film was good", "tab\there"]
    assert [row[1] for row in rows] == model.predict("classifier", texts)
    assert [row[2].split(" ") for row in rows] == model.predict("ner_head", texts)
    assert rows[1][0] == "tab\\there"  # as in a Python string: what is read back is what was asked


def test_predict_reads_files_and_writes_json(command: Command, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("".join(f"{t}\n" for t in SENTENCES), encoding="utf-8")
    options = ["--input", tmp_path / "texts.txt", "--format", "jsonl", "--head", "classifier"]
    code, out, _ = command("predict", saved, *options, "--probabilities")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["text"] for row in rows] == SENTENCES
    model = mtf.MultiTaskModel.from_pretrained(saved)
    assert [row["classifier"] for row in rows] == model.predict("classifier", SENTENCES)
    found = np.array([row["classifier_probabilities"] for row in rows])
    assert np.abs(found - model.predict_proba("classifier", SENTENCES)).max() < 1e-5
    assert "ner_head" not in rows[0]


def test_predict_reads_stdin(saved: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mtfreeze", "predict", str(saved), "--head", "ner_head"],
        input="anna went to paris\n\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert len(lines[1].split("\t")[1].split(" ")) == 4
    assert lines[2] == "\t"


def test_inspect_a_folder_and_a_job(command: Command, saved: Path, job: Path) -> None:
    code, out, _ = command("inspect", saved)
    assert code == 0
    assert out.startswith("frozen: backbone (")
    assert "backbone.layers[2]" in out
    code, out, _ = command("inspect", saved, "--mode", "ner_head")
    assert out.startswith("frozen: ner_head (")
    code, out, _ = command("inspect", "--config", job, "--train", "ner_head")
    assert code == 0
    assert out.startswith("frozen: backbone, classifier (")


def test_inspect_draws(command: Command, saved: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "deep" / "picture.png"
    code, _, _ = command("inspect", saved, "--picture", picture)
    assert code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_verify_accepts_what_was_saved(command: Command, saved: Path, tiny_folder: Path) -> None:
    code, out, err = command("verify", saved, "--base", tiny_folder)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith("tensors have the bits they were saved with")
    assert lines[1].endswith(f"frozen tensors have the bits of {tiny_folder}")
    assert int(lines[1].split()[0]) > 40


def test_verify_finds_a_changed_file(command: Command, saved: Path) -> None:
    weights = saved / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    code, _, err = command("verify", saved)
    assert code == 3
    assert "found 1 tensors with others: " in err
    assert "Traceback" not in err


def test_verify_finds_another_base(
    command: Command, job: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """Everything trained, then frozen and saved: its bits are not those of the base."""
    out = tmp_path / "moved"
    command("train", "--config", job, "--quiet", "--mode", "none", "--output", out)
    model = mtf.MultiTaskModel.from_pretrained(out).freeze("backbone")
    model.save_pretrained(out)
    code, _, err = command("verify", out, "--base", tiny_folder)
    assert code == 3
    assert "they were trained before they were frozen, or this is another base" in err


def test_train_reports_a_moved_tensor(
    command: Command, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a frozen tensor ever moved, the command says so with exit code 3."""
    real = fit_module.fit

    def fit(model: Any, tasks: Any, **arguments: Any) -> Any:
        run = real(model, tasks, **arguments)
        key = "backbone.embeddings.LayerNorm.bias"
        model.set_parameter(key, model.parameters()[key] + 1)
        run.frozen = run.verify_frozen()
        return run

    monkeypatch.setattr(fit_module, "fit", fit)
    code, _, err = command("train", "--config", job, "--quiet")
    assert code == 3
    assert "1 frozen tensor MOVED: 'backbone.embeddings.LayerNorm.bias'" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "expected a job, FILE.yaml or --config FILE.yaml"),
        (["trian"], "No such command 'trian'"),
        (["train", "--config", "{job}", "--mode", "bakcbone"], "did you mean 'backbone'"),
        (["train", "--config", "{job}", "--freeze", "clasifier"], "did you mean 'classifier'"),
        (["train", "--config", "{job}", "--mode", "all", "--train", "heads"], "use --mode alone"),
        (["train", "--config", "{job}", "--set", "training.epoch=1"], "did you mean 'epochs'"),
        (["train", "--config", "{job}", "--set", "training.epochs=0"], "epochs must be at least 1"),
        (["train", "--config", "{job}", "--set", "training.batch_size=-4"], "batch_size must be"),
        (["train", "--config", "{job}", "--set", "data.ner_head.weight=-1"], "weight must be"),
        (["train", "--config", "{job}", "--set", "data.ner_head.header=true"], "does not take"),
        (["train", "--config", "{job}", "--set", "heads.x.task=a"], "heads.x lacks the key"),
        (
            ["train", "--config", "{job}", "--set", "heads.ner_head.task=tokens"],
            "unknown kind of head 'tokens'",
        ),
        (["train", "--config", "{job}s"], "No such file or directory"),
        (["train", "--config", "{job}", "--set", "model.name=./nowhere"], "nowhere"),
        (["inspect"], "expected a model or a job"),
        (["inspect", "{tmp}/nothing"], "nothing"),
        (["inspect", "{tiny}", "--set", "training.epochs=1"], "--set changes a job; found no"),
        (["inspect", "{tiny}", "--freeze-precision", "bf16"], "found none of --mode"),
        (
            ["compare", "--config", "{job}", "--modes", "all,none", "--mode", "all"],
            "expected --modes A,B or --mode A --mode B; found both",
        ),
        (
            ["predict", "{tiny}", "text", "--head", "a", "--head", "a"],
            "expected each --head once",
        ),
        (["verify", "{tmp}"], "expected freeze_report.json"),
        (["verify", "{tmp}/nothing"], "found no folder"),
        (["predict", "{tiny}", "text"], "has no heads"),
        (["predict", "{tiny}", "text", "--input", "file"], "found both"),
        (["predict", "{tiny}", "text", "--probabilities"], "needs --json"),
        (["demo", "--data", "{tmp}"], "expected recipe.yaml"),
    ],
)
def test_wrong_usage_is_exit_code_2_without_traceback(
    command: Command, job: Path, tiny_folder: Path, tmp_path: Path, arguments: list[str],
    message: str,
) -> None:  # fmt: skip
    places = {"{job}": job, "{tmp}": tmp_path, "{tiny}": tiny_folder}
    for name, place in places.items():
        arguments = [one.replace(name, str(place)) for one in arguments]
    code, out, err = command(*arguments)
    assert code == 2, err
    assert message in err
    assert "Traceback" not in err + out


def test_failed_training_is_exit_code_1(command: Command, job: Path) -> None:
    settings = ["--mode", "none", "--set", "training.learning_rate=1e30"]
    more = ["--set", "training.max_grad_norm=0", "--set", "training.epochs=30"]
    code, _, err = command("train", "--config", job, "--quiet", *settings, *more)
    assert code == 1
    assert "expected a finite loss" in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback(command: Command, job: Path) -> None:
    code, _, err = command("train", "--config", job, "--mode", "bakcbone", "--debug")
    assert code == 2
    assert "Traceback" in err
    assert "did you mean 'backbone'" in err


def test_version_and_help(command: Command) -> None:
    from mtfreeze._core import VERSION

    assert command("--version") == (0, f"mtfreeze {VERSION}\n", "")
    code, out, _ = command("--help")
    assert code == 0
    for name in ("train", "compare", "recommend", "inspect", "verify", "predict", "demo"):
        assert name in out


@pytest.mark.real
@pytest.mark.parametrize(
    ("mode", "first"),
    [
        (None, "frozen: backbone (22.6 M) | trained: cls_head, sent_head (1.9 k)"),
        ("backbone", "frozen: backbone (22.6 M) | trained: cls_head, sent_head (1.9 k)"),
        ("all", "frozen: backbone, cls_head, sent_head (22.6 M) | trained: nothing"),
        ("cls_head", "frozen: cls_head (1.2 k) | trained: backbone, sent_head (22.6 M)"),
        ("sent_head", "frozen: sent_head (770) | trained: backbone, cls_head (22.6 M)"),
    ],
)
def test_freeze_control_on_the_packages_own_job(
    command: Command, minilm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    mode: str | None, first: str,
) -> None:  # fmt: skip
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    options = [] if mode is None else ["--mode", mode]
    code, out, _ = command(*options, entry=freeze_control.main)
    assert code == 0
    assert out.splitlines()[0] == first
    assert (tmp_path / "outputs" / "trainability.png").read_bytes().startswith(b"\x89PNG")


def test_freeze_control_prints_json(command: Command, job: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.svg"
    words = ("--config", job, "--mode", "backbone[:2]", "--picture", picture, "--json")
    code, out, err = command(*words, entry=freeze_control.main)
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert facts["state"].startswith("frozen: backbone[:2] (")
    assert [row["state"] for row in facts["rows"][:4]] == ["frozen"] * 3 + ["trainable"]
    assert facts["picture"] == str(picture) and "<svg" in picture.read_text("utf-8")


def test_encode_writes_over_a_file_only_by_force(
    command: Command, tiny_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "vectors.npy"
    path.write_text("mine")
    words = ("encode", tiny_folder, "a text", "--output", path)
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert f"expected a new file; found {path}; choose another" in err
    assert path.read_text() == "mine"
    assert command(*words, "--force")[0] == 0
    assert np.load(path).shape == (1, 48)


def compare_job(job: Path, *more: str) -> tuple[object, ...]:
    """Return the words of a short comparison of a job, of one seed unless told otherwise."""
    seeds = () if "--seeds" in more else ("--seeds", "1")
    return ("compare", "--config", job, *seeds, "--set", "training.epochs=1", *more)


def test_compare_prints_table_and_writes_report(
    command: Command, job: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    report, plot, figures = (tmp_path / name for name in ("r.html", "p.svg", "f.csv"))
    files = ("--report", str(report), "--plot", str(plot), "--csv", str(figures))
    code, out, _ = command(*compare_job(job, "--modes", "backbone, none", "--quiet", *files))
    assert code == 0
    names = [line.split()[0] for line in out.splitlines() if line]
    assert {"majority", "start", "backbone", "none"} <= set(names)
    assert "<html" in report.read_text("utf-8")
    assert "<svg" in plot.read_text("utf-8")
    assert figures.read_text("utf-8").startswith("scenario,")


def test_compare_takes_modes_and_schedules_of_the_job(
    command: Command, job: Path, tmp_path: Path
) -> None:
    path = tmp_path / "with_modes.yaml"
    modes = "modes: [backbone, {late: [{train: heads, epochs: 1}]}]\n"
    path.write_text(job.read_text("utf-8") + modes, encoding="utf-8")
    out_folder = tmp_path / "kept"
    words = compare_job(path, "--output", str(out_folder))
    code, out, _ = command(*words)
    assert code == 0
    assert any(line.startswith("late") for line in out.splitlines())
    assert not (out_folder / "models").exists()
    code, _, err = command(*words)
    assert code == 0
    assert "results are in" in err


def test_compare_keeps_models_that_predict(command: Command, job: Path, tmp_path: Path) -> None:
    words = compare_job(job, "--modes", "backbone", "--quiet", "--keep-models")
    code, _, err = command(*words)
    assert code == 2
    assert "--keep-models keeps them in --output FOLDER; found no --output" in err
    code, _, err = command(*words, "--output", tmp_path / "out")
    assert code == 0, err
    (kept,) = (tmp_path / "out" / "models").iterdir()
    code, out, _ = command("predict", kept, "the film was good", "--head", "classifier")
    assert code == 0
    assert out.splitlines()[1].split("\t")[1] in ("negative", "positive")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--modes", "backbon"), "did you mean 'backbone'"),
        (("--modes", "none", "--seeds", "0"), "seeds must be at least 1"),
        (("--set", "modes=[{a: [], b: []}]"), "modes[0] must have one name"),
        (("--set", "modes=[{a: graduall}]"), "gradual"),
        (("--set", "modes=3"), "modes must be a list"),
        # That these are said shows that the flag and the key of the job are asked for a race.
        (("--modes", "none", "--race"), "a race needs at least 40 evaluation rows"),
        (("--modes", "none", "--set", "race=true"), "a race needs at least 40 evaluation rows"),
        (("--set", "race={tolerence: 0.1}"), "tolerance"),
        (("--modes", "none", "--set", "race={rungs: [2]}"), "rungs"),
        (("--set", "race=3"), "race"),
    ],
)
def test_compare_says_what_is_wrong(
    command: Command, job: Path, more: tuple[str, ...], message: str
) -> None:
    code, _, err = command(*compare_job(job, *more))
    assert code == 2
    assert message in err


def test_labels_of_a_loaded_head_are_its_own(command: Command, saved: Path, job: Path) -> None:
    job.write_text(job.read_text().replace("labels: [negative, positive]", "labels: [a, b]"))
    code, _, err = command("inspect", "--config", job, "--set", f"model.name={saved}")
    assert code == 2
    assert "heads.classifier has the labels ['a', 'b']; found 'classifier' with" in err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("--set", "data={}"), "expected data for at least one head; found none"),
        (("--set", "heads={}"), "unknown head 'classifier'"),
        (("--set", "data.classifier.label_map={no: 1}"), "label_map"),
    ],
)
def test_data_of_a_job_that_do_not_fit(
    command: Command, job: Path, settings: tuple[str, ...], said: str
) -> None:
    code, _, err = command("train", "--config", job, "--quiet", *settings)
    assert (code, said in err) == (2, True), err


def test_numbers_are_predicted_as_lists(
    command: Command, tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    tiny_model.add_head("scores", mtf.Regression(["a", "b"]))
    folder = tiny_model.save_pretrained(tmp_path / "saved")
    code, out, _ = command("predict", folder, "good food", "--format", "jsonl")
    assert code == 0
    assert [type(one) for one in json.loads(out)["scores"]] == [float, float]


def test_verify_needs_a_whole_report_and_a_base_that_shares_something(
    command: Command, saved: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify_module = import_module("mtfreeze.cli.verify")
    report = saved / "freeze_report.json"
    digests = {"head.weight": {"blake2b": "0", "frozen": True}}
    report.write_text(json.dumps({"tensors": digests}))
    with monkeypatch.context() as patch:
        patch.setattr(verify_module, "_against_itself", lambda folder: 1)
        code, out, _ = command("verify", saved, "--base", tiny_folder)
    assert code == 0 and out.endswith("nothing that was frozen is also in the base\n")
    for tensors, said in (({}, "expected digests of tensors"), ({"a": 1}, "found something else")):
        report.write_text(json.dumps({"tensors": tensors}))
        code, _, err = command("verify", saved)
        assert (code, said in err) == (2, True), err


def test_freeze_control_is_a_program() -> None:
    words = [sys.executable, "-m", "mtfreeze.freeze_control", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "--mode" in done.stdout
