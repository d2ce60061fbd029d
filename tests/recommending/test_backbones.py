# SPDX-License-Identifier: Apache-2.0
"""`recommend(models=...)`: backbones beside each other on the same rows, the best handed back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.pricing.memory_fit import MemoryFit
from mtfreeze.recommending.backbone_ranking import BackboneScore, TaskProbe
from mtfreeze.recommending.rank_backbones import _notes, _order
from support.small_tasks import ROWS, two_tasks
from support.texts import TAGS
from support.tiny_bert import write_tiny_bert

HEADS = {
    "classifier": mtf.SequenceClassification(["negative", "positive"]),
    "ner_head": mtf.TokenClassification(TAGS),
}


def rank(models: Any, tasks: Any = None, **options: Any) -> mtf.BackboneRanking:
    """Ask quietly, about both tasks unless told otherwise."""
    asked = two_tasks() if tasks is None else tasks
    return mtf.recommend(models=models, tasks=asked, progress=False, **options)


def test_backbones_are_ranked_and_the_best_is_handed_back(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    other = write_tiny_bert(tmp_path / "other", num_hidden_layers=1)
    before = {key: value.tobytes() for key, value in two_head_model.parameters().items()}
    ranking = rank([two_head_model, other], heads=HEADS)
    assert before == {key: one.tobytes() for key, one in two_head_model.parameters().items()}
    means = [one.mean for one in ranking.scores]
    assert means == sorted(means, reverse=True)
    by_name = {one.name: one for one in ranking.scores}
    assert set(by_name) == {"tiny-bert", "other"}
    assert (by_name["tiny-bert"].n_layers, by_name["other"].n_layers) == (3, 1)
    assert by_name["other"].parameters < by_name["tiny-bert"].parameters
    assert by_name["other"].memory.training_bytes < by_name["tiny-bert"].memory.training_bytes
    alone = mtf.recommend(two_head_model, two_tasks(), progress=False).findings.scores
    for task, probe in by_name["tiny-bert"].probes.items():
        assert (probe.value, probe.error) == (alone[task].top, alone[task].error)
        low, high = probe.interval
        assert 0 <= low <= probe.value <= high <= 1
    assert all(one.seconds > 0 and one.memory.fits for one in ranking.scores)
    assert ranking.best.index.n_layers == ranking.scores[0].n_layers
    assert mtf.recommend(ranking.best, two_tasks(), progress=False).schedule is not None
    found = json.loads(json.dumps(ranking.to_dict()))
    assert found["best"] == ranking.scores[0].name
    assert set(found["scores"][0]["probes"]) == {"classifier", "ner_head"}
    text, html = str(ranking), ranking._repr_html_()
    for part in ("backbone", "classifier accuracy", "ner_head F1", "s per 1,000 rows", "other"):
        assert part in text and part in html
    assert str(by_name["other"].width) in text


def test_given_models_keep_what_they_have(tiny_model: mtf.MultiTaskModel) -> None:
    tasks = {"classifier": mtf.Task(train=ROWS)}
    ranking = rank([tiny_model, tiny_model], tasks, heads={"classifier": HEADS["classifier"]})
    assert [one.name for one in ranking.scores] == ["tiny-bert", "tiny-bert (2)"]
    assert not tiny_model.heads and list(ranking.best.heads) == ["classifier"]
    assert "do not tell 'tiny-bert (2)' apart from 'tiny-bert'" in ranking.notes[0]


def test_what_does_not_fit_comes_last_and_says_what_would(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    other = write_tiny_bert(tmp_path / "other", num_hidden_layers=1)
    tasks = {"classifier": mtf.Task(train=ROWS)}
    (free,) = rank([two_head_model], tasks).scores
    limit = free.memory.inference_bytes - 1
    heads = {"classifier": HEADS["classifier"]}
    ranking = rank([two_head_model, other], tasks, heads=heads, memory=limit)
    assert ranking.scores[0].name == "other" and ranking.best.index.n_layers == 1
    assert ranking.scores[1].memory.inference_fits is False
    assert any("tiny-bert: training does not fit: needs" in note for note in ranking.notes)


def score(name: str, value: float, error: float = 0.01, fits: bool = True) -> BackboneScore:
    """Return a backbone of which the probe of one task gives a figure."""
    probe = TaskProbe("accuracy", value, error, -0.5, 100)
    memory = MemoryFit(10, 10, 20 if fits else 5)
    return BackboneScore(name, "sentence", 48, 3, 1000, {"mood": probe}, 1.0, memory)


def test_what_probes_do_not_tell_apart_is_said() -> None:
    scores = [score("a", 0.90), score("b", 0.88), score("c", 0.80)]
    (said,) = (note for note in _notes(scores) if "apart" in note)
    assert "do not tell 'b' apart from 'a'" in said and "'c'" not in said
    quick = replace(scores[1], seconds=0.25)
    assert "the fastest of them is 'b'" in _notes([scores[0], quick])[0]
    assert scores[2].is_below(scores[0]) and not scores[1].is_below(scores[0])
    large = score("d", 0.95, fits=False)
    assert sorted([large, *scores], key=_order)[-1] is large


@pytest.mark.parametrize(
    ("models", "options", "error", "message"),
    [
        ("folder", {}, TypeError, r"models must be a list of folders.*found str 'folder'"),
        ([], {}, mtf.ConfigError, "models is empty"),
        ([3], {}, TypeError, "model 1 must be a folder, a name or a MultiTaskModel"),
        (["given"], {}, mtf.ConfigError, r"model 1 \('.*tiny-bert'\) has no head for task"),
        (["given"], {"heads": [1]}, TypeError, "heads must map the names of tasks"),
        (["given"], {"heads": {"classifier": 3}}, TypeError, r"heads\['classifier'\] must be a"),
        (
            ["given"],
            {"heads": {"clasifier": HEADS["classifier"]}},
            mtf.ConfigError,
            "did you mean 'classifier'",
        ),
        (["given"], {"memory": -1}, mtf.ConfigError, "memory counts bytes"),
        (["given"], {"budget": 3}, TypeError, r"ranks backbones; found a budget as well"),
    ],
)
def test_what_cannot_be_ranked_is_refused(
    models: Any,
    options: Any,
    error: type[Exception],
    message: str,
    tiny_model: mtf.MultiTaskModel,
) -> None:
    given = [tiny_model] if models == ["given"] else models
    with pytest.raises(error, match=message):
        rank(given, {"classifier": mtf.Task(train=ROWS)}, **options)


def test_heads_go_with_models(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(TypeError, match=r"heads= goes with models="):
        mtf.recommend(two_head_model, two_tasks(), heads=HEADS, progress=False)  # type: ignore
    with pytest.raises(mtf.ConfigError, match="one with an adapter"):
        rank([two_head_model.add_lora()])


def test_the_command_ranks(command: Any, tiny_folder: Path, tmp_path: Path) -> None:
    other = write_tiny_bert(tmp_path / "other", num_hidden_layers=1)
    rows = "".join(f"{text}\t{label}\n" for text, label in ROWS)
    (tmp_path / "rows.tsv").write_text(rows, encoding="utf-8")
    job = tmp_path / "job.yaml"
    job.write_text(
        f"""
model: {{name: {tiny_folder}}}
heads:
  classifier: {{task: sequence_classification, labels: [negative, positive]}}
data:
  classifier: {{train: rows.tsv}}
""",
        encoding="utf-8",
    )
    both = ("--models", str(tiny_folder), "--models", str(other))
    code, out, err = command("recommend", "--config", job, *both)
    assert code == 0, err
    assert out.startswith("backbone") and "tiny-bert" in out and "other" in out
    code, out, err = command("recommend", "--config", job, *both, "--json")
    assert code == 0, err
    assert {one["name"] for one in json.loads(out)["scores"]} == {"tiny-bert", "other"}
    code, _, err = command("recommend", "--config", job, *both, "--budget", "3")
    assert code == 2 and "--budget" in err
