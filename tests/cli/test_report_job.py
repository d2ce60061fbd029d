# SPDX-License-Identifier: Apache-2.0
"""The job that a report carries: it runs, to the same bits, and says what it cannot hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import mtfreeze as mtf
from mtfreeze.cli import job as jobs
from mtfreeze.cli.build import build_model, build_tasks
from mtfreeze.cli.compare import split_watched
from mtfreeze.cli.job import load_config, parse_config
from mtfreeze.comparing.comparison import Comparison
from mtfreeze.comparing.job_facts import READER_KEYS, job_facts
from mtfreeze.comparing.job_file import job_text
from mtfreeze.comparing.report import report_page
from mtfreeze.comparing.results import ScenarioRun
from mtfreeze.comparing.scenarios import read_modes
from mtfreeze.data.origin import came_from, origin_of
from mtfreeze.errors import ConfigError
from mtfreeze.heads.registry import KINDS
from support.kinds_of_heads import KINDS_OF_HEADS
from support.made_up_comparisons import settings as made_up
from support.made_up_images import file_bytes
from support.small_tasks import ROWS, two_tasks
from support.texts import SENTENCES, TAGGED
from support.vision_folders import coloured, vision_model, write_resnet_folder

Command = Callable[..., tuple[int, str, str]]

MODES: list[Any] = [
    "backbone",
    ["ner_head", "backbone[:1]"],
    ("no: low", ["backbone[:1]", "backbone.embeddings"]),
    ("late", mtf.FreezeSchedule().phase(epochs=1, train="heads").phase(freeze="backbone[:2]")),
    ("step by step", mtf.FreezeSchedule.gradual()),
    ("small", mtf.Lora(rank=2)),
    mtf.Scratch(),
]


class _Job(HTMLParser):
    """Reads the text of the element with the id ``job``."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside, self.text = False, ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = self.inside or dict(attrs).get("id") == "job"

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "pre"

    def handle_data(self, data: str) -> None:
        self.text += data if self.inside else ""


def settings_of(model: mtf.MultiTaskModel, tasks: Any, **more: Any) -> dict[str, Any]:
    """Return the settings of a comparison of these, without running it; through JSON, as kept."""
    modes = [one.to_dict() for one in read_modes(model, more.pop("modes", ["backbone"]), 2)]
    sizes = {
        name: {
            part: None if rows is None else len(rows)
            for part, rows in (("train", task.train), ("eval", task.eval))
        }
        for name, task in tasks.items()
    }
    facts = job_facts(model, tasks, more.pop("old", {}))
    whole = {"modes": modes, "seeds": [0, 1], "tasks": sizes, "fit": {}, "job": facts, **more}
    found: dict[str, Any] = json.loads(json.dumps(whole))
    return found


def parsed(settings: dict[str, Any], folder: Path | None = None) -> jobs.Config:
    """Return the job of a comparison as the command line reads it."""
    from mtfreeze.cli.job_yaml import parse_yaml

    text = job_text(settings, folder)
    assert text is not None
    return parse_config(parse_yaml(text, "the job"))


@pytest.fixture
def from_files(job: Path) -> dict[str, mtf.Task]:
    """Tasks whose rows lie in files, read with options that count."""
    table = job.with_name("rows.csv")
    lines = [f'"{text}",{int(label == "positive")}' for text, label in ROWS]
    table.write_text("\n".join(["review,010", *lines]), encoding="utf-8")
    rows = mtf.read_csv(
        table, text="review", label="010", label_map={"0": "negative", "1": "positive"}
    )
    tags = mtf.read_conll(job.with_name("names.conll"))
    loss = mtf.CrossEntropy(class_weights={"negative": 1.0, "positive": 0.7}, label_smoothing=0.1)
    return {
        "classifier": mtf.Task(train=rows, eval=rows, loss=loss, metric="f1_macro"),
        "ner_head": mtf.Task(train=tags, eval=tags, weight=0.3, train_through_frozen=True),
    }


def bits(comparison: mtf.Comparison) -> list[Any]:
    """Return what two runs of one comparison share."""
    return [
        (
            run.scenario,
            run.seed,
            {name: (one.metrics, one.counts.tolist()) for name, one in run.tasks.items()},
            [row.get("loss") for row in run.history],
            run.error,
        )
        for run in comparison.runs
    ]


@pytest.mark.long
@pytest.mark.parametrize("trained", [False, True])
def test_the_job_of_a_report_gives_the_same_scores(
    trained: bool,
    two_head_model: mtf.MultiTaskModel,
    from_files: dict[str, mtf.Task],
    command: Command,
    tmp_path: Path,
) -> None:
    modes = MODES[:2] if trained else MODES
    if trained:  # the model that was given lies in the folder of the comparison alone
        mtf.fit(two_head_model, two_tasks(), epochs=1, progress=False)
    first = mtf.compare(
        two_head_model,
        from_files,
        modes,
        seeds=[1, 4],
        start={"epochs": 1, "learning_rate": 1e-2},
        epochs=2,
        batch_size=4,
        learning_rate={"backbone": 2e-4, "heads": 1e-3},
        progress=False,
        output_dir=tmp_path / "first",
    )
    assert not first.failed and not first.interrupted
    page = first.to_html(tmp_path / "report.html").read_text("utf-8")
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "job.yaml").write_text(_Job(page).text, encoding="utf-8")
    code, _, err = command(
        "compare", place / "job.yaml", "--quiet", "--output", tmp_path / "second"
    )
    assert code == 0, err
    second = mtf.Comparison.load(tmp_path / "second")
    assert [one.scenario for one in first.runs] == [one.scenario for one in second.runs]
    assert bits(first) == bits(second)


def test_the_job_says_all_that_the_comparison_was_told(
    two_head_model: mtf.MultiTaskModel, from_files: dict[str, mtf.Task]
) -> None:
    given = settings_of(
        two_head_model,
        from_files,
        modes=MODES,
        seeds=[3, 5],
        start="cold",
        fit={
            "epochs": 2,
            "learning_rate": {"backbone": 2e-05, "heads": 1e-3},
            "betas": [0.9, 1e-9],
        },
        race={"tolerance": 0.02, "rungs": [0.5], "rows": 50, "level": 0.95, "pilot_steps": 0},
    )
    config = parsed(given)
    assert config.seeds == [3, 5] and config.race == given["race"]
    assert config.training == {**given["fit"], "start": "cold"}
    model = build_model(config)
    assert [one.to_dict() for one in read_modes(model, config.modes, 2)] == given["modes"]
    tasks = build_tasks(config, model)
    for name, task in from_files.items():
        assert model.heads[name].spec == two_head_model.heads[name].spec
        for part in ("train", "eval"):
            assert list(getattr(tasks[name], part)) == list(getattr(task, part))
        for option in ("weight", "metric", "loss", "train_through_frozen", "sampling"):
            assert getattr(tasks[name], option) == getattr(task, option)
    assert parsed(settings_of(two_head_model, from_files)).seeds == 2
    assert (model.pooling, model.max_length) == (
        two_head_model.pooling,
        two_head_model.max_length,
    )


def test_rows_in_memory_are_named_as_what_to_write(
    two_head_model: mtf.MultiTaskModel, from_files: dict[str, mtf.Task]
) -> None:
    both = {"text": "soup", "labels": {"classifier": "positive", "x": "y"}}
    tasks = {
        "classifier": mtf.Task(train=from_files["classifier"].train[:5], eval=[both, both]),
        "ner_head": from_files["ner_head"],
    }
    given = settings_of(two_head_model, tasks, gradients=True)
    text, config = job_text(given), parsed(given)
    assert text is not None
    assert (
        "once the files named below are written" in text
        and "mtfreeze compare job.yaml --gradients" in text
    )
    assert (
        '# 5 rows were given in memory: write them to a file, one {"text": ..., "label": ...}'
        in text
    )
    assert (
        '# 2 rows were given in memory: write them to a file, one {"text": ..., "labels": {...}}'
        in text
    )
    assert Path(config.data["classifier"]["train"]).name == "classifier_train.jsonl"
    assert Path(config.data["ner_head"]["train"]).name == "names.conll"
    with pytest.raises(OSError, match=r"classifier_train\.jsonl"):
        build_tasks(config, build_model(config))
    words = settings_of(two_head_model, {"ner_head": mtf.Task(train=TAGGED, eval=TAGGED)})
    assert '{"words": [...], "tags": [...]} a line' in (job_text(words) or "")


def test_what_no_job_holds_is_said(
    two_head_model: mtf.MultiTaskModel, from_files: dict[str, mtf.Task], tmp_path: Path
) -> None:
    task = mtf.Task(train=ROWS, eval=ROWS, label="classifier", loss=lambda out, gold: (0.0, out))
    given = settings_of(
        two_head_model, {"classifier": task}, old={"ner_head": from_files["ner_head"]}
    )
    text = job_text(given) or ""
    assert "# Not in this job: task 'classifier': its loss needs Python" in text
    assert "Not in this job: a job has no texts" not in text
    config = parsed(given)
    assert set(config.data["ner_head"]) == {"eval"} and "ner_head" in config.heads
    tasks, watched = split_watched({"classifier": task, "ner_head": mtf.Task(eval=TAGGED)})
    assert (list(tasks), list(watched)) == (["classifier"], ["ner_head"])
    assert split_watched(watched) == (watched, {})  # refused, for what is missing
    assert "several" not in text and "save_pretrained" not in text
    given["job"]["trained"] = True
    assert "model.save_pretrained(FOLDER)" in (job_text(given) or "")
    assert parsed(given, tmp_path).model == {"name": str(tmp_path / "model")}
    del given["job"]  # of an earlier version
    assert job_text(given) is None


def test_small_teachers_are_told(
    two_head_model: mtf.MultiTaskModel, from_files: dict[str, mtf.Task]
) -> None:
    rows = from_files["classifier"].train
    assert rows is not None
    logits = np.random.default_rng(0).standard_normal((len(rows), 2)) * 1e-5

    def told(teacher: Any) -> tuple[Any, str]:
        loss = mtf.Distillation(teacher, temperature=3.0)
        given = settings_of(two_head_model, {"classifier": mtf.Task(rows, rows, loss=loss)})
        return parsed(given).data["classifier"].get("loss"), job_text(given) or ""

    loss, text = told(logits)
    assert (loss.teacher == logits.astype(np.float32)).all() and loss.temperature == 3.0
    assert "Not in this job" not in text
    for teacher in (np.zeros((1_001, 2)), two_head_model):
        loss, text = told(teacher)
        assert loss is None
        assert "its loss needs Python: pass loss=mtf.Distillation(teacher=" in text


def test_a_job_watches_what_it_does_not_train(command: Command, job: Path, tmp_path: Path) -> None:
    words = ("compare", job, "--modes", "all", "--seeds", 1, "--epochs", 1, "--quiet", "--json")
    path = tmp_path / "watched.yaml"
    raw = yaml.safe_load(job.read_text("utf-8"))
    del raw["data"]["ner_head"]["train"]
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    code, out, err = command(words[0], path, *words[2:])
    assert code == 0, err
    settings = json.loads(out)["settings"]
    assert (list(settings["tasks"]), list(settings["old_tasks"])) == (["classifier"], ["ner_head"])


def share_right(gold: Any, predicted: Any) -> float:
    """Return a metric of one's own."""
    return float((gold == predicted).mean())


def test_settings_of_tasks_and_models_are_said(tiny_folder: Path) -> None:
    model = mtf.MultiTaskModel.from_pretrained(
        tiny_folder, pooling="cls", prompts={"ask": "ask: "}, default_prompt_name="ask"
    )
    model.add_head("mood", mtf.SequenceClassification(["negative", "positive"]))
    rows = [{"text": text, "labels": {"other": label}} for text, label in ROWS]
    task = mtf.Task(
        train=rows,
        label="other",
        sampling="balanced",
        metrics=["balanced_accuracy", share_right],
        metric="balanced_accuracy",
    )
    given = settings_of(model, {"mood": task})
    config = parsed(given)
    assert config.data["mood"]["sampling"] == "balanced"
    assert config.data["mood"]["metric"] == "balanced_accuracy"
    assert config.data["mood"]["metrics"] == ["balanced_accuracy"]
    text = job_text(given) or ""
    assert "# Not in this job: task 'mood': metrics of your own, 'share_right', need Python" in text
    assert "# Not in this job: task 'mood' learns the label 'other' of rows with several" in text
    again = build_model(config)
    assert (again.pooling, again.default_prompt_name, dict(again.prompts)) == (
        "cls",
        "ask",
        {"ask": "ask: "},
    )


def test_models_and_rows_of_images_are_said(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    folder = write_resnet_folder(tmp_path / "resnet")
    model = vision_model(folder, batch_norm="batch")
    task = mtf.Task(train=coloured(4), augment=mtf.Augment(flip=False, crop=(0.5, 1.0)))
    given = settings_of(model, {"colour": task})
    assert "# 4 rows were given in memory: put the images into a folder" in (job_text(given) or "")
    config = parsed(given)
    assert config.model == {"name": str(folder), "batch_norm": "batch"}
    assert config.data["colour"]["augment"] == task.augment
    assert Path(config.data["colour"]["train"]).name == "colour_train"
    for number, (pixels, _) in enumerate(coloured(2)):
        (tmp_path / f"{number}.png").write_bytes(file_bytes(pixels, "png"))
    table = tmp_path / "table.csv"
    names = [label for _, label in coloured(2)]
    table.write_text(f"shown,label\n0.png,{names[0]}\n1.png,{names[1]}\n", encoding="utf-8")
    rows = mtf.read_images(table, image="shown")
    config = parsed(settings_of(model, {"colour": mtf.Task(train=rows)}))
    assert config.data["colour"] == {"train": str(table), "image": "shown"}
    tasks = build_tasks(config, build_model(config))
    assert len(tasks["colour"].train or ()) == 2


def test_a_report_without_facts_for_a_job_shows_the_call() -> None:
    whole = Comparison([ScenarioRun("none", 0, error="no")], made_up(["none"], [0], 50))
    page = report_page(whole, whole.table())
    assert _Job(page).text == "" and "The call in Python" in page


def test_files_that_a_job_reads_otherwise_are_not_named(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    odd, table = tmp_path / "rows.dat", tmp_path / "rows.tsv"
    for place in (odd, table):
        place.write_text("".join(f"{a}\t{b}\n" for a, b in ROWS), encoding="utf-8")
    rows = mtf.read_tsv(table)
    faults: list[Exception] = []
    unnamed = [
        mtf.read_tsv(odd),
        mtf.read_csv(table, text=0, label=1, header=False, delimiter="\t"),
        mtf.read_tsv(table, on_fault=faults.append),
        mtf.stream(odd, format="tsv"),
        rows[1:],
        rows.split(0.5)[0],
        rows + rows,
    ]
    for one in unnamed:
        facts = job_facts(two_head_model, {"classifier": mtf.Task(train=one)}, {})
        assert facts["data"]["classifier"] == {"train": None}
    streamed = mtf.Task(train=mtf.stream(table), eval=mtf.stream(table))
    facts = job_facts(two_head_model, {"classifier": streamed}, {})
    path = str(table)
    assert facts["data"]["classifier"] == {"train": path, "eval": path, "stream": True}
    # One set of options holds for both files.
    mixed = mtf.Task(train=rows, eval=mtf.read_tsv(table, text=0, label=1))
    facts = job_facts(two_head_model, {"classifier": mixed}, {})
    assert facts["data"]["classifier"] == {"train": None, "eval": None}
    alone = mtf.Task(train=rows, eval=ROWS)
    facts = job_facts(two_head_model, {"classifier": alone}, {})
    assert facts["data"]["classifier"] == {"train": path, "eval": None}


def test_readers_note_how_they_were_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text('{"t": "x", "l": 1}\n', encoding="utf-8")
    found = origin_of(mtf.read_jsonl("a.jsonl", text="t", label="l", label_map={1: "one"}))
    assert found is not None
    assert (found.path, found.reader) == (str(tmp_path / "a.jsonl"), "read_jsonl")
    assert found.options == {"text": "t", "label": "l", "label_map": {"1": "one"}}
    Path("b.text").write_text("One.\n\nTwo.\n", encoding="utf-8")
    found = origin_of(mtf.read_text("b.text", rows="document"))
    assert found is not None and found.options == {"rows": "document"}
    rows = mtf.Examples.from_texts(SENTENCES)
    assert origin_of(rows) is None
    assert origin_of(came_from(rows, mtf.read_text, "x", rows={1, 2})) is None  # no JSON


def test_a_job_has_every_argument_of_every_head() -> None:
    for kind, spec in KINDS.items():
        assert {one.name for one in fields(spec) if one.init} <= set(jobs._HEAD), kind
    assert set(READER_KEYS) <= set(jobs._DATA)


@pytest.mark.parametrize("kind", KINDS_OF_HEADS)
def test_heads_of_all_kinds_come_back(kind: str) -> None:
    from mtfreeze.cli.build import _head_spec
    from mtfreeze.comparing.job_facts import _head

    for spec in KINDS_OF_HEADS[kind].specs:
        said = json.loads(json.dumps(_head(spec)))
        config = parse_config({"model": {"name": "m"}, "heads": {"head": said}})
        assert _head_spec("head", config.heads["head"]) == spec


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seeds": "three"}, "seeds must be how many seeds, or a list of them; found .*write"),
        ({"seeds": [0, "one"]}, "seeds must be how many seeds"),
        ({"modes": [["backbone", 3]]}, r"modes\[0\]\[1\] must be a text"),
        ({"modes": [{"low": {"freeze": 3}}]}, r"modes\[0\].low.freeze must be a text or a list"),
    ],
)
def test_what_is_no_seed_or_mode_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_config({"model": {"name": "m"}, **given})


def test_the_command_takes_the_seeds_of_the_job(
    command: Command, job: Path, tmp_path: Path
) -> None:
    path = job.with_name("seeds.yaml")
    path.write_text(job.read_text("utf-8") + "modes: [backbone]\nseeds: [7]\n", encoding="utf-8")
    words = ("compare", path, "--quiet", "--set", "training.epochs=1")
    code, _, err = command(*words, "--output", tmp_path / "out")
    assert code == 0, err
    assert mtf.Comparison.load(tmp_path / "out").settings["seeds"] == [7]
    assert load_config(path).seeds == [7]
