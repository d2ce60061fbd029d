# SPDX-License-Identifier: Apache-2.0
"""`recommend` on the tiny BERT: what comes back, what it rests on, what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.comparing.scenarios import read_modes
from mtfreeze.freezing.layer_units import LayerUnits
from mtfreeze.recommending import adviser, budget, rules
from mtfreeze.recommending.advice import Reason
from mtfreeze.recommending.backbone_facts import backbone_facts
from mtfreeze.recommending.candidates import (
    ADVISED,
    FURTHER,
    NAMES,
    candidates_for,
    further_of,
    make_candidates,
)
from mtfreeze.recommending.data_facts import task_rows
from mtfreeze.recommending.evidence import EVIDENCE, as_markdown, evidence
from mtfreeze.recommending.factors import FACTORS
from mtfreeze.recommending.findings import Findings
from mtfreeze.recommending.rules import CASES, RANKING, RULES
from support.families import load_family, write_family
from support.places import DOCS
from support.small_tasks import ROWS, two_tasks
from support.texts import TAGGED, TAGS
from support.tiny_bert import write_tiny_bert


def advise(model: mtf.MultiTaskModel, tasks: Any = None, **options: Any) -> mtf.Advice:
    """Ask quietly, about both tasks unless told otherwise."""
    return mtf.recommend(model, two_tasks() if tasks is None else tasks, progress=False, **options)


def test_advice_can_be_followed_and_changes_nothing(two_head_model: mtf.MultiTaskModel) -> None:
    before = {key: value.tobytes() for key, value in two_head_model.parameters().items()}
    state = two_head_model.freeze_state()
    advice = advise(two_head_model)
    assert two_head_model.freeze_state() == state
    assert before == {key: one.tobytes() for key, one in two_head_model.parameters().items()}
    assert advice.name in NAMES and advice.seconds > 0
    run = mtf.fit(
        two_head_model,
        two_tasks(),
        freeze_schedule=advice.schedule,
        progress=False,
        **advice.fit_arguments,
    )
    assert run.metrics["eval_classifier_accuracy"] >= 0


def test_advice_is_the_same_again(two_head_model: mtf.MultiTaskModel) -> None:
    first, second = advise(two_head_model), advise(two_head_model)
    assert first.findings == second.findings
    assert Findings.from_dict(json.loads(json.dumps(first.findings.to_dict()))) == first.findings
    assert (first.name, first.reasons) == (second.name, second.reasons)


def test_every_reason_rests_on_something(two_head_model: mtf.MultiTaskModel) -> None:
    advice = advise(two_head_model)
    known = {one.id for one in EVIDENCE} | {"probe", "data", "budget", "measured"}
    assert {one.basis for one in advice.reasons} <= known
    assert any(one.basis == "probe" for one in advice.reasons)
    text, html = str(advice), advice._repr_html_()
    for part in ("Model", "Data", "Why", "Next best", "classifier", "ner_head", "FreezeSchedule"):
        assert part in text and part in html
    found = json.loads(json.dumps(advice.to_dict()))
    assert found["findings"]["data"]["classifier"]["examples"] == {"negative": 4, "positive": 6}
    assert found["schedule"] == advice.schedule.to_dict()
    assert found["learning_rates"][0]["learning_rate"]
    assert len(found["alternatives"]) == len(advice.alternatives) == 2
    assert len({advice.name, *(one.name for one in advice.alternatives)}) == 3


def test_every_layer_has_its_figures(two_head_model: mtf.MultiTaskModel) -> None:
    found = advise(two_head_model).findings
    for one in found.scores.values():
        assert len(one.probe) == len(one.log_me) == two_head_model.index.n_layers + 1
        assert all(0 <= value <= 1 for value in (*one.probe, one.half, one.majority))
    assert found.scores["ner_head"].metric == "f1"
    assert found.data["ner_head"].examples == {"person": 3, "location": 4}
    (pair,) = found.likeness
    assert pair.tasks == ("classifier", "ner_head") and 0 <= pair.reading <= 1


def test_sources_of_another_kind_are_said() -> None:
    said = str(Reason("Tuning is worse out of domain.", "E5", "sentence"))
    assert said.endswith("; shown for vision models, not for a sentence encoder]")
    assert "not for" not in str(Reason("A frozen encoder is better.", "E7", "sentence"))
    assert str(Reason("The probe says so.", "probe", "sentence")).endswith("[probe]")
    with pytest.raises(mtf.ConfigError, match="E99"):
        evidence("E99")


def test_the_page_of_evidence_is_the_code_s() -> None:
    assert (DOCS / "evidence.md").read_text(encoding="utf-8") == as_markdown()
    assert [one.id for one in EVIDENCE] == [f"E{i + 1}" for i in range(len(EVIDENCE))]


def test_rules_know_every_case_and_candidate() -> None:
    assert set(RANKING) == set(CASES) and len(set(CASES)) == len(RULES)
    for ranking in RANKING.values():
        assert sorted(ranking) == sorted(NAMES) and ranking[0] in ADVISED
    for n_layers in (1, 2, 6, 24):
        layers = LayerUnits.of([f"backbone.layers[{i}]" for i in range(n_layers)])
        assert tuple(make_candidates(layers, 100)) == ADVISED
        assert tuple(make_candidates(layers, 100, FURTHER)) == NAMES


def test_candidates_train_what_they_say(two_head_model: mtf.MultiTaskModel) -> None:
    candidates = candidates_for(two_head_model, 10)
    assert tuple(candidates) == NAMES
    frozen = {}
    for name, one in candidates.items():
        (phase,) = one.schedule.resolve(one.on(two_head_model))
        frozen[name] = phase.freeze.frozen
    backbone = {key for key in two_head_model.param_keys if key.startswith("backbone.")}
    assert frozen["heads"] == frozen["lora"] == backbone and not frozen["none"]
    assert set() < frozen["half"] < backbone
    assert two_head_model.adapter is None


def test_bitfit_is_that_of_a_comparison(two_head_model: mtf.MultiTaskModel) -> None:
    (phase,) = candidates_for(two_head_model, 10)["bitfit"].schedule.resolve(two_head_model)
    (scenario,) = read_modes(two_head_model, ["bitfit"], None)
    scenario.apply(two_head_model)
    assert phase.freeze.frozen == two_head_model.freeze_state().frozen != frozenset()


def test_what_a_schedule_needs_first_is_said(two_head_model: mtf.MultiTaskModel) -> None:
    lora = candidates_for(two_head_model, 10)["lora"]
    with pytest.raises(mtf.SelectorError, match=r"call model\.add_lora\(\) first"):
        mtf.fit(two_head_model, two_tasks(), freeze_schedule=lora.schedule, progress=False)
    assert lora.first_call == "model.add_lora(rank=8)"
    eval(lora.first_call, {"model": two_head_model})
    assert {one.rank for one in two_head_model.adapter.sites} == {lora.way.rank}
    assert further_of(two_head_model) == ("bitfit",)  # one adapter at a time


def test_a_budget_picks_what_keeps_within_it(two_head_model: mtf.MultiTaskModel) -> None:
    free = advise(two_head_model)
    tight = advise(two_head_model, budget=1e-6)
    assert tight.budget == 1e-6
    assert tight.seconds <= min(one.seconds for one in tight.alternatives)
    if tight.name != free.name:
        assert tight.reasons[0].basis == "budget"
        assert "the fastest, and still above it" in tight.reasons[0].sentence
    assert advise(two_head_model, budget=1e6).name == free.name


def test_what_a_budget_rules_out_brings_the_adapters(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = {"none": 9.0, "half": 5.0, "lora": 4.0, "bitfit": 20.0, "heads": 1.0}

    def priced(_: Any, __: Any, one: Any, *___: Any) -> budget.Priced:
        estimate = SimpleNamespace(seconds=prices[one.name], doubts=(), memory=None)
        return budget.Priced(one, estimate)  # type: ignore[arg-type]

    monkeypatch.setattr(budget, "price", priced)
    free, tight = advise(two_head_model), advise(two_head_model, budget=6)
    assert (free.name, [one.name for one in free.alternatives]) == ("none", ["half", "heads"])
    assert tight.name == "half" and tight.reasons[0].basis == "budget"
    assert [one.name for one in tight.alternatives] == ["none", "heads", "lora"]
    (lora,) = (one for one in tight.alternatives if one.name == "lora")
    assert lora.first_call == "model.add_lora(rank=8)"
    assert "call model.add_lora(rank=8) first" in " ".join(str(tight).split())
    assert [one.decides for one in free.factors] == [False] * 4
    assert {one.name for one in tight.factors if one.decides} == {"compute"}
    least = advise(two_head_model, budget=2)
    assert least.name == "heads"
    assert any("Heads alone would reach the probes'" in one.sentence for one in least.reasons)


def test_what_does_not_fit_is_not_advised(two_head_model: mtf.MultiTaskModel) -> None:
    free = advise(two_head_model)
    assert free.name == "none" and free.memory.fits
    assert "training fits: needs" in str(free)
    (half,) = (one for one in free.alternatives if one.name == "half")
    most = mtf.estimate(
        two_head_model, two_tasks(), freeze_schedule=half.schedule, progress=False, batch_size=16
    ).peak_bytes
    assert most < free.memory.training_bytes
    tight = advise(two_head_model, memory=free.memory.training_bytes - 1)
    assert tight.name == "half" and tight.memory.training_bytes == most
    first = tight.reasons[0]
    assert first.basis == "memory" and "none would be advised before half" in first.sentence
    assert "does not fit: needs" in first.sentence and not first.other_kind
    assert "none" not in {one.name for one in tight.alternatives}
    (compute,) = (one for one in tight.factors if one.decides)
    assert compute.found.endswith("no budget; too large for the memory: none")
    with pytest.raises(MemoryError, match=r"none: training does not fit.*heads: training does"):
        advise(two_head_model, memory=1000)
    with pytest.raises(mtf.ConfigError, match="memory counts bytes"):
        advise(two_head_model, memory=0)


def test_factors_are_those_of_the_page(two_head_model: mtf.MultiTaskModel) -> None:
    advice = advise(two_head_model)
    assert [one.name for one in advice.factors] == [one.name for one in FACTORS]
    found = {one.name: one.found for one in advice.factors}
    assert "classifier: 10 rows, 5 examples of each of 2 labels" in found["size"]
    assert "classifier: the probe reads accuracy" in found["similarity"]
    assert "none " in found["compute"] and found["compute"].endswith("no budget")
    page = (DOCS / "TRAINING_CONSIDERATIONS.md").read_text(encoding="utf-8")
    for one in FACTORS:
        cells = (one.name, one.looks_at, one.speaks_for, one.speaks_against)
        assert f"| {' | '.join(cells)} |" in page


def test_pins_are_kept(two_head_model: mtf.MultiTaskModel) -> None:
    advice = advise(two_head_model.freeze("backbone"))
    assert advice.name == "heads" and not advice.alternatives
    assert any("model.unfreeze()" in note for note in advice.notes)
    two_head_model.unfreeze("backbone").freeze("backbone[:2]")
    for one in (advice := advise(two_head_model)).alternatives:
        pinned = two_head_model.freeze_state().pinned
        assert all(pinned <= p.freeze.frozen for p in one.schedule.resolve(two_head_model))
    assert advice.notes
    with pytest.warns(mtf.UntrainedHeadWarning):
        two_head_model.freeze()
    with pytest.raises(mtf.ConfigError, match="everything pinned"):
        advise(two_head_model)


@pytest.mark.parametrize(
    ("tasks", "error", "message"),
    [
        ({"classifier": mtf.Task(eval=ROWS)}, mtf.DataError, "found evaluation data only"),
        ({"clasifier": mtf.Task(train=ROWS)}, mtf.ConfigError, "did you mean 'classifier'"),
        ({}, mtf.ConfigError, "at least one task"),
        (
            {"classifier": mtf.Task(train=[("good", "positive"), ("fine", "positive")])},
            mtf.DataError,
            "all of them 'positive'; add examples of 'negative'",
        ),
        (
            {"ner_head": mtf.Task(train=[(["we", "went"], ["O", "O"])])},
            mtf.DataError,
            "all of them 'O'",
        ),
        (
            {"ner_head": mtf.Task(train=[(["anna", "went"], ["B-person", "O"])])},
            mtf.DataError,
            r"as many training words as the head has labels \(5\); found 2",
        ),
        ([("good", "positive")], TypeError, "tasks must map head names to Task"),
    ],
)
def test_data_that_say_nothing_are_refused(
    tasks: Any, error: type[Exception], message: str, two_head_model: mtf.MultiTaskModel
) -> None:
    with pytest.raises(error, match=message):
        advise(two_head_model, tasks)


def test_fewer_rows_than_labels(tiny_model: mtf.MultiTaskModel) -> None:
    tiny_model.add_head("topic", mtf.SequenceClassification(["a", "b", "c", "d"]))
    rows = [("good", "a"), ("bad", "b"), ("poor", "c")]
    with pytest.raises(mtf.DataError, match=r"has labels \(4\); found 3"):
        advise(tiny_model, {"topic": mtf.Task(train=rows)})


@pytest.mark.parametrize("budget", [0, -1, float("nan"), "soon", True])
def test_a_budget_is_seconds(budget: Any, two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises((mtf.ConfigError, TypeError), match="budget must be a"):
        advise(two_head_model, budget=budget)


def test_kinds_of_backbone(tiny_folder: Path, tmp_path: Path) -> None:
    assert backbone_facts(mtf.MultiTaskModel.from_pretrained(tiny_folder)).kind == "sentence"
    plain = write_tiny_bert(tmp_path / "plain", architectures=["BertForMaskedLM"])
    (plain / "modules.json").unlink()
    model = mtf.MultiTaskModel.from_pretrained(plain)
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    facts = backbone_facts(model)
    assert facts.kind == "masked" and "BertForMaskedLM" in facts.why
    assert facts.n_values == sum(
        one.size for key, one in model.parameters().items() if key.startswith("backbone.")
    )
    advice = advise(model, {"classifier": mtf.Task(train=ROWS)})
    assert any(one.basis == "E1" for one in advice.reasons) or advice.name == "heads"
    # Saved again, the folder has modules.json; what the weights are does not change by it.
    model.save_pretrained(tmp_path / "saved")
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "saved")
    assert backbone_facts(again).kind == "masked"
    (tmp_path / "bare").mkdir()
    bare = write_tiny_bert(tmp_path / "bare")
    (bare / "modules.json").unlink()
    assert backbone_facts(mtf.MultiTaskModel.from_pretrained(bare)).kind == "unknown"


def test_facts_of_data(two_head_model: mtf.MultiTaskModel) -> None:
    rows = [*ROWS[:3], ("a " * 60, "positive")]
    facts = task_rows(two_head_model, "classifier", mtf.Task(train=rows)).facts
    assert facts.examples == {"negative": 1, "positive": 3}
    assert facts.rarest == ("negative", 1) and facts.per_label == 2
    assert facts.majority == 0.75 and facts.truncated == 0.25 and facts.longest == 40
    assert str(facts).endswith("; 25 % truncated")
    assert facts.balance == pytest.approx(0.8113, abs=1e-4)
    labels = mtf.TokenClassification(["noun", "verb"])
    two_head_model.add_head("pos", labels)
    words = [(["we", "went", "home"], ["noun", "verb", "noun"])]
    facts = task_rows(two_head_model, "pos", mtf.Task(train=words)).facts
    assert facts.examples == {"noun": 2, "verb": 1} and facts.kind == "word"


def test_tags_that_are_no_entities_are_probed(tiny_model: mtf.MultiTaskModel) -> None:
    tiny_model.add_head("pos", mtf.TokenClassification(["other", "name"]))
    rows = [(ws, ["other" if tag == "O" else "name" for tag in tags]) for ws, tags in TAGGED]
    assert "O" in TAGS
    score = advise(tiny_model, {"pos": mtf.Task(train=rows)}).findings.scores["pos"]
    assert score.metric == "accuracy" and score.top > 0


def test_the_command(command: Any, tiny_folder: Path, tmp_path: Path) -> None:
    lines = "".join(f"{text}\t{label}\n" for text, label in ROWS)
    (tmp_path / "rows.tsv").write_text(lines, encoding="utf-8")
    job = tmp_path / "job.yaml"
    job.write_text(
        f"""
model: {{name: {tiny_folder}}}
heads:
  classifier: {{task: sequence_classification, labels: [negative, positive]}}
data:
  classifier: {{train: rows.tsv, eval: rows.tsv}}
""",
        encoding="utf-8",
    )
    code, out, err = command("recommend", "--config", job)
    assert code == 0, err
    assert re.match(r"Advice: [A-Z].* \(\w+\): about ", out)
    code, out, err = command("recommend", "--config", job, "--json", "--budget", "3600")
    assert code == 0, err
    found = json.loads(out)
    assert found["budget"] == 3600 and found["name"] in NAMES
    code, out, err = command("recommend", "--config", job, "--mode", "backbone", "--json")
    assert code == 0, err
    assert json.loads(out)["name"] == "heads"
    code, _, err = command("recommend", "--config", job, "--budget", "-3")
    assert code == 2 and "budget must be a finite number" in err
    code, _, err = command("recommend", "--config", job, "--mode", "backbon")
    assert code == 2 and "did you mean 'backbone'" in err


def test_the_page_of_rules_is_the_code_s() -> None:
    page = (DOCS / "TRAINING_CONSIDERATIONS.md").read_text(encoding="utf-8")
    decides = page.partition("## How `recommend` decides")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", decides, re.M)
    first = {"heads": "heads only", "half": "lower half frozen", "none": "nothing frozen"}
    assert rows == [(one.case, one.when, first[one.ranking[0]]) for one in RULES]
    quoted = set(re.findall(r"\bE\d+\b", page))
    assert quoted <= {one.id for one in EVIDENCE} and len(quoted) > 10


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([([], [])] * 8, "found 0 words;"),
        ([(["\u200b"], ["O"]), (["\u200b"], ["B-person"])] * 8, "found 0 words; 16 more give no"),
        ([(["good"], ["O"]), (["\u200b"], ["B-person"])] * 8, "found 8 words, all of them 'O'; 8 "),
        ([(["good"], ["O"])], "found 1 word, all of them 'O'"),
    ],
    ids=["empty sentences", "no tokens", "one label with a token", "one row"],
)
def test_words_without_tokens_say_nothing(
    two_head_model: mtf.MultiTaskModel, rows: Any, found: str
) -> None:
    with pytest.raises(mtf.DataError, match=re.escape(found)):
        advise(two_head_model, {"ner_head": mtf.Task(train=rows, eval=TAGGED)})


def test_rows_without_a_token_are_not_probed(two_head_model: mtf.MultiTaskModel) -> None:
    tasks = {"ner_head": mtf.Task(train=[(["\u200b"], ["O"]), *TAGGED], eval=TAGGED)}
    assert advise(two_head_model, tasks).findings.data["ner_head"].n_rows == len(TAGGED)


def test_advice_says_what_the_rows_cannot_teach(two_head_model: mtf.MultiTaskModel) -> None:
    rows = [("good", label) for _, label in ROWS]
    (said,) = (
        one
        for one in advise(two_head_model, {"classifier": mtf.Task(train=rows)}).notes
        if "all 10 training rows are the same tokens" in one
    )
    assert said.startswith("classifier: ")


def test_no_such_row_of_evidence() -> None:
    with pytest.raises(mtf.errors.ConfigError, match="unknown evidence '999'"):
        evidence("999")


def test_nothing_is_left_to_advise_on(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.mark_trained(["classifier", "ner_head"])
    two_head_model.freeze()
    with pytest.raises(mtf.errors.ConfigError, match="found everything pinned"):
        mtf.recommend(two_head_model, two_tasks(), progress=False)


def shown(**tops: float) -> Findings:
    """Return findings of tasks of which the probes of the top layer give these figures."""
    data = {task: SimpleNamespace(kind="text", per_label=300) for task in tops}
    scores = {
        task: SimpleNamespace(
            top=top, metric="accuracy", headroom=1 - top, probe=(top,), best_layer=0, error=0.0
        )
        for task, top in tops.items()
    }
    backbone = SimpleNamespace(kind="sentence", layer="layer", n_layers=0, below="embeddings")
    return Findings(backbone, data, scores, dict.fromkeys(tops), ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("findings", "case", "said"),
    [
        (shown(easy=0.98), "enough", "2.0 points are left to win"),
        (shown(hard=0.6), "tune", "stopping at heads on the frozen backbone would give"),
        (shown(easy=0.98, hard=0.6), "tune", "hard (tune) needs most of it to move and decides"),
        (shown(hard=0.6, easy=0.98), "tune", "easy (enough) would do with as much or less"),
    ],
)
def test_cases_give_their_reasons(findings: Findings, case: str, said: str) -> None:
    found, ranking, reasons = rules.decide(findings)
    assert (found, ranking) == (case, RANKING[case])
    assert any(said in one.sentence for one in reasons)


def test_what_shared_layers_rule_out_is_said(tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path / "albert", "albert"))
    said = adviser._notes(model, ["half"], [])[0]
    assert said.endswith("so they freeze and train as one; not possible with them: 'half'")
