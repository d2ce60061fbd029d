# SPDX-License-Identifier: Apache-2.0
"""The card of a saved folder: facts that the hub parses, never in the place of another's card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

import mtfreeze as mtf
from mtfreeze.model import hub
from mtfreeze.sharing.card import BASE_CARD, CARD, CardFacts, HeadFacts, card_text, written_here
from support.small_tasks import ROWS, quick_fit
from support.tiny_bert import write_tiny_bert

THEIRS = "---\nlicense: cc-by-4.0\ntags: [a]\n---\n# The base\n"


def head() -> mtf.SequenceClassification:
    return mtf.SequenceClassification(["negative", "positive"])


def trained(folder: Path, **settings: Any) -> tuple[mtf.MultiTaskModel, Any]:
    """Return a model with one head that a run has trained on the frozen backbone, and the run."""
    model = mtf.MultiTaskModel.from_pretrained(folder).add_head("mood", head())
    task = {"mood": mtf.Task(train=ROWS[:8], eval=ROWS[:6])}
    return model, quick_fit(model.freeze("backbone"), task, epochs=1, **settings)


def parsed(folder: Path) -> ModelCard:
    return ModelCard((folder / CARD).read_text(encoding="utf-8"), ignore_metadata_errors=False)


def test_the_card_of_a_run(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _, run = trained(tiny_folder, output_dir=out)
    card = parsed(out)
    assert card.data.library_name == "mtfreeze" and card.data.license is None
    assert card.data.pipeline_tag == "text-classification"
    assert {"mtfreeze", "bert", "sentence-transformers"} <= set(card.data.tags)
    figures = {one.metric_type: one.metric_value for one in card.data.eval_results}
    metrics = {f"eval_mood_{name}": value for name, value in figures.items()}
    assert metrics == {k: v for k, v in run.metrics.items() if k.startswith("eval_mood_")}
    names = {one.metric_name for one in card.data.eval_results}
    assert "accuracy (mood, 6 rows)" in names
    assert {(one.dataset_name, one.task_type) for one in card.data.eval_results} == {
        ("eval", "text-classification")
    }
    assert run.verdict in card.text and "`frozen: backbone" in card.text
    row = "| `mood` | sequence_classification | `negative`, `positive` | `train`, 8 rows |"
    assert row in card.text


def test_a_card_says_the_same_of_the_same_model(tiny_folder: Path, tmp_path: Path) -> None:
    model, _ = trained(tiny_folder, output_dir=tmp_path / "one")
    text = (tmp_path / "one" / CARD).read_bytes()
    assert written_here(text)
    for place in ("two", "one"):
        assert (model.save_pretrained(tmp_path / place) / CARD).read_bytes() == text
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "one")
    assert CARD not in again._loaded.extra_files
    assert (again.save_pretrained(tmp_path / "three") / CARD).read_bytes() == text
    assert (again.copy().save_pretrained(tmp_path / "four") / CARD).read_bytes() == text


@pytest.mark.parametrize("change", ["weight", "head", "pooling", "precision"])
def test_figures_go_when_the_model_changes(tiny_folder: Path, tmp_path: Path, change: str) -> None:
    model, _ = trained(tiny_folder, output_dir=tmp_path / "out")
    key = "mood.bias"
    if change == "weight":
        model.set_parameter(key, [1.0, -1.0])
    elif change == "head":
        model.add_head("other", head())
    elif change == "pooling":
        model = mtf.MultiTaskModel.from_pretrained(tmp_path / "out", pooling="cls")
    else:
        with pytest.warns(mtf.PrecisionWarning, match="nothing of it is computed in it"):
            model.freeze("backbone", precision="bf16")
    card = parsed(model.save_pretrained(tmp_path / "later"))
    assert card.data.eval_results is None and "No run of mtfreeze is on record" in card.text
    own = json.loads((tmp_path / "later" / "mtfreeze.json").read_text())
    assert "last_run" not in own


def test_a_run_is_read_back_or_refused(tiny_folder: Path, tmp_path: Path) -> None:
    model, _ = trained(tiny_folder, output_dir=tmp_path / "out")
    place = tmp_path / "out" / "mtfreeze.json"
    own = json.loads(place.read_text())
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "out")
    assert again._loaded.last_run == model._loaded.last_run
    last = own["last_run"]
    (task,) = last["tasks"].values()
    unmeasured = {**last, "tasks": {"mood": {**task, "metrics": {"accuracy": "high"}}}}
    others = {**last, "tasks": {"mood": 1}}, {**last, "n_steps": -1}, unmeasured
    for broken in ([], {}, *others):
        place.write_text(json.dumps({**own, "last_run": broken}))
        with pytest.raises(mtf.CheckpointError, match="expected 'last_run' as a run of mtfreeze"):
            mtf.MultiTaskModel.from_pretrained(tmp_path / "out")
    place.write_text(json.dumps({**own, "origin": 3}))
    with pytest.raises(mtf.CheckpointError, match="expected 'origin' to be the name of a model"):
        mtf.MultiTaskModel.from_pretrained(tmp_path / "out")


def test_checkpoints_have_no_card(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    trained(tiny_folder, output_dir=out, save_every=1)
    (checkpoint, *_) = sorted((out / "checkpoints").iterdir())
    assert (out / CARD).is_file() and not (checkpoint / CARD).exists()


def test_a_card_of_somebody_else_stays(tiny_folder: Path, tmp_path: Path) -> None:
    model, _ = trained(tiny_folder, output_dir=tmp_path / "out")
    place = tmp_path / "out" / CARD
    ours = place.read_text()
    changed = ours.replace("# What was frozen", "# What I froze")
    assert changed != ours
    for text in (changed, "my notes", ours + "\n"):
        place.write_text(text)
        model.save_pretrained(tmp_path / "out")
        assert place.read_text() == text
        again = mtf.MultiTaskModel.from_pretrained(tmp_path / "out")
        assert (again.save_pretrained(tmp_path / "out") / CARD).read_text() == text
    place.unlink()
    place.symlink_to("elsewhere.md")
    (tmp_path / "out" / "elsewhere.md").write_text(ours)
    model.save_pretrained(tmp_path / "out")
    assert place.is_symlink() and place.read_text() == ours
    place.unlink()
    place.mkdir()
    model.save_pretrained(tmp_path / "out")
    assert place.is_dir()


def test_the_card_that_a_model_came_with(tmp_path: Path) -> None:
    folder = write_tiny_bert(tmp_path / "model")
    (folder / CARD).write_text(THEIRS)
    model = mtf.MultiTaskModel.from_pretrained(folder)
    assert (model.save_pretrained(tmp_path / "same") / CARD).read_text() == THEIRS
    model.add_head("mood", head())
    for place in ("other", "other", "again"):
        saved = model.save_pretrained(tmp_path / place)
        assert (saved / BASE_CARD).read_text() == THEIRS
        card = parsed(saved)
        assert card.data.license == "cc-by-4.0" and card.data.library_name == "mtfreeze"
        model = mtf.MultiTaskModel.from_pretrained(saved)


def test_where_a_model_began_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_bert(tmp_path / "site" / "carries_tiny" / "model")
    (tmp_path / "site" / "carries_tiny" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setitem(hub._PACKAGES, "someone/tiny", ("carries_tiny", "model", "tiny"))
    saved = mtf.MultiTaskModel.from_pretrained("someone/tiny").save_pretrained(tmp_path / "out")
    again = mtf.MultiTaskModel.from_pretrained(saved).add_head("mood", head())
    for place in ("one", "two"):
        card = parsed(again.save_pretrained(tmp_path / place))
        assert card.data.base_model == "someone/tiny"
        again = mtf.MultiTaskModel.from_pretrained(tmp_path / place)


def test_a_task_model_is_one_of_transformers(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    tiny_model.add_head("mood", head()).add_head("tags", mtf.TokenClassification(["O", "B-x"]))
    saved = tiny_model.save_pretrained(tmp_path / "task", head="tags")
    card = parsed(saved)
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == "token-classification"
    assert "AutoModelForTokenClassification.from_pretrained" in card.text
    assert "mood" not in card.text and "freeze_report" not in card.text
    both = parsed(tiny_model.save_pretrained(tmp_path / "both"))
    assert both.data.pipeline_tag is None and "as `BertForTokenClassification`" in both.text


def test_other_forms_are_told(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    tiny_model.add_lora(rank=2)
    card = parsed(tiny_model.save_pretrained(tmp_path / "out"))
    assert "merge_lora()" in card.text and "## Heads" not in card.text


def test_odd_names_break_nothing() -> None:
    odd = 'a "b" `c` | d: [e]\n---\n<!-- f'
    one = HeadFacts("x", "sequence_classification", (odd, *"ghijklmnopqrstuv"), True, eval=(odd, 1))
    metrics = {"accuracy": 0.5, "f1": float("nan")}
    one = HeadFacts(**{**vars(one), "metrics": metrics, "pipeline": "text-classification"})
    facts = CardFacts(odd, "bert", "texts", base=odd, heads=[one], state=odd, verdict=odd)
    text = card_text(facts)
    card = ModelCard(text, ignore_metadata_errors=False)
    assert [(e.metric_type, e.metric_value) for e in card.data.eval_results] == [("accuracy", 0.5)]
    assert "and 5 more" in text and written_here(text.encode())
    (row,) = [line for line in text.splitlines() if line.startswith("| `x`")]
    assert row.replace("\\|", "").count("|") == 7


def test_a_card_of_a_megabyte_is_somebody_elses(tiny_folder: Path, tmp_path: Path) -> None:
    """It is neither read nor replaced."""
    text = card_text(CardFacts(".", "bert", "texts", phases=["step 1", *["x" * 1000] * 1000]))
    assert not written_here(text.encode())
    model, _ = trained(tiny_folder, output_dir=tmp_path / "out")
    place = tmp_path / "out" / CARD
    place.write_text(text)
    model.save_pretrained(tmp_path / "out")
    assert place.read_text() == text
