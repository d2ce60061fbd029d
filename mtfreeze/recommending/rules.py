# SPDX-License-Identifier: Apache-2.0
"""From findings to a ranking of the candidates, with the reasons.

Each task is of one `CASES`; the backbone is shared, so the task that needs most decides. Every
threshold says where it was fixed: by `benchmarks/bench_advice.py` on the calibration half of its
situations, or by a row of ``docs/evidence.md``.
"""

from __future__ import annotations

from collections.abc import Callable

from .advice import Reason
from .backbone_facts import KINDS
from .findings import Findings

__all__ = ["CASES", "RANKING", "case_of", "decide", "trade_of"]

ENOUGH = 0.97
"""Probe of the top layer from which there is nothing to gain: above what any situation of the
experiment reaches, so it rests on E7 alone (frozen within 2 points on easy labels)."""

FEW = 12
"""Examples of a label up to which a frozen sentence encoder is better: between 8 of a label, where
E7 has it ahead of tuning, and 16, where it was behind in a trial (32 rows of SST-2, one seed)."""

SMALL = 500
"""Examples of a label up to which half of a masked language model stays frozen: E6, whose largest
set has 500. Not so for sentence encoders: at 100 of a label the calibration half has nothing frozen
2 points ahead of half."""

FAR = 0.8
"""Proxy A-distance from which evaluation texts are of another domain: the calibration half has
0.0 to 0.2 within a source of texts and 1.3 to 1.8 across."""

CASES = ("enough", "few", "small", "tune", "shifted", "words")
"""From what needs least to what needs most."""

RANKING: dict[str, tuple[str, ...]] = {
    "enough": ("heads", "half", "probe_then_tune", "none", "gradual"),
    "few": ("heads", "half", "probe_then_tune", "none", "gradual"),
    "small": ("half", "none", "probe_then_tune", "gradual", "heads"),
    "tune": ("none", "probe_then_tune", "half", "gradual", "heads"),
    "shifted": ("probe_then_tune", "none", "half", "gradual", "heads"),
    "words": ("none", "probe_then_tune", "half", "gradual", "heads"),
}
"""Case -> candidates, the best first. "tune", "shifted" and "words": calibration half; "small": E6;
"enough" and "few": E7."""


def case_of(findings: Findings, task: str) -> str:
    """Return which of `CASES` a task is."""
    data, scores = findings.data[task], findings.scores[task]
    shift = findings.shifts[task]
    if scores.top >= ENOUGH:
        return "enough"
    if data.kind == "word":
        return "words"
    if data.per_label <= FEW and findings.backbone.kind == "sentence":
        return "few"
    if shift is not None and shift >= FAR:
        return "shifted"
    if data.per_label <= SMALL and findings.backbone.kind != "sentence":
        return "small"
    return "tune"


def decide(findings: Findings) -> tuple[str, tuple[str, ...], list[Reason]]:
    """Return the case that decides, the ranking, and the reasons for its first candidate."""
    cases = {task: case_of(findings, task) for task in findings.data}
    leading = max(cases, key=lambda task: CASES.index(cases[task]))
    case = cases[leading]
    reasons: list[Reason] = []

    def say(sentence: str, basis: str) -> None:
        reasons.append(Reason(sentence, basis, findings.backbone.kind))

    _REASONS[case](findings, leading, say)
    _say_layers(findings, leading, say)
    if findings.backbone.kind not in ("sentence", "vision") and case not in ("enough", "few"):
        say(
            f"The backbone is a {KINDS[findings.backbone.kind]}: its pooled vectors are a poor "
            "summary as they are, so a head on the frozen backbone stays far behind.",
            "E1",
        )
    if len(cases) > 1:
        _say_tasks(findings, cases, leading, say)
    return case, RANKING[case], reasons


Say = Callable[[str, str], None]


def _points(value: float) -> str:
    return f"{100 * value:.1f} points"


def _enough(found: Findings, task: str, say: Say) -> None:
    one = found.scores[task]
    say(
        f"{task}: a linear probe of the frozen top {found.backbone.layer} reaches {one.metric} "
        f"{one.top:.3f} on rows it was not fitted on; {_points(one.headroom)} are left to win.",
        "probe",
    )
    say("On easy labels a frozen sentence encoder stays within about 2 points of tuning.", "E7")


def _few(found: Findings, task: str, say: Say) -> None:
    data = found.data[task]
    say(
        f"{task}: {data.per_label:.0f} examples of a label are few, and the backbone is a sentence "
        "encoder: with 8 of a label a frozen one and a linear head beat tuning all of "
        "RoBERTa-large on 5 of 6 sets.",
        "E7",
    )
    say("Fine-tuning on few samples is unstable.", "E12")


def _small(found: Findings, task: str, say: Say) -> None:
    data, one = found.data[task], found.scores[task]
    say(
        f"{task}: {data.per_label:.0f} examples of a label; with 200 to 1,000 rows, freezing the "
        "lower third to two thirds is never worse and steadier over seeds.",
        "E6",
    )
    _say_frozen(one.metric, one.top, task, say)


def _tune(found: Findings, task: str, say: Say) -> None:
    data, one = found.data[task], found.scores[task]
    _say_frozen(one.metric, one.top, task, say)
    if found.backbone.kind == "sentence":
        say(
            f"{task} has {data.per_label:.0f} examples of a label; with 100 to 500 of them, "
            "training everything was the best or within a point of it in the calibration half of "
            "our situations, and 2 to 7 points ahead of a frozen backbone.",
            "measured",
        )
    say("From 64 examples of a label on, frozen encoders lose where labels are not easy.", "E7")


def _shifted(found: Findings, task: str, say: Say) -> None:
    one, shift = found.scores[task], found.shifts[task]
    say(
        f"{task}: evaluation rows are of another domain than training rows (proxy A-distance "
        f"{shift:.2f} of 2).",
        "probe",
    )
    say(
        "Where the test data are shifted, heads first and then everything keeps more of what the "
        "backbone knew than tuning everything from the first step.",
        "E5",
    )
    _say_frozen(one.metric, one.top, task, say)


def _words(found: Findings, task: str, say: Say) -> None:
    one = found.scores[task]
    say(
        f"{task} labels words, and a probe of the frozen top layer reaches {one.metric} "
        f"{one.top:.3f} only.",
        "probe",
    )
    say("What tags of words need is not at the top of a frozen encoder of sentences.", "measured")


def _say_frozen(metric: str, top: float, task: str, say: Say) -> None:
    say(
        f"{task}: heads on the frozen backbone would give {metric} of about {top:.3f}, the "
        "probe's figure.",
        "probe",
    )


def _say_layers(found: Findings, task: str, say: Say) -> None:
    """Say how lower layers do against upper ones."""
    one = found.scores[task]
    best, n, layer = one.best_layer, found.backbone.n_layers, found.backbone.layer
    gain = one.probe[best] - one.top
    if best < n and gain > one.error:
        where = found.backbone.below if best == 0 else f"{layer} {best - 1}"
        say(
            f"{task}: the probe does best above {where}, {_points(gain)} better than at the top: "
            f"the upper {layer}s as they are hide what the task needs, and have to move.",
            "probe",
        )
        say("Middle layers of frozen transformers are often better features than the last.", "E22")


def _say_tasks(found: Findings, cases: dict[str, str], leading: str, say: Say) -> None:
    others = [f"{task} ({case})" for task, case in cases.items() if task != leading]
    say(
        f"All tasks share the backbone; {leading} ({cases[leading]}) needs most of it to move and "
        f"decides, {', '.join(others)} would do with as much or less.",
        "data",
    )
    say("Tuning one backbone on several tasks at once helped most of them.", "E16")


_REASONS: dict[str, Callable[[Findings, str, Say], None]] = {
    "enough": _enough,
    "few": _few,
    "small": _small,
    "tune": _tune,
    "shifted": _shifted,
    "words": _words,
}


def trade_of(name: str, found: Findings, chosen_seconds: float, seconds: float) -> str:
    """Return what taking another candidate than the advised one would trade."""
    ratio = seconds / chosen_seconds if chosen_seconds else 1.0
    time = f"Takes {ratio:.2g}x the time"
    if name == "heads":
        figures = ", ".join(
            f"{one.task} {one.metric} about {one.top:.3f}" for one in found.scores.values()
        )
        return f"{time}; expect the probes' figures ({figures}), and no other task can suffer."
    return f"{time}; {_TRADES[name].format(layers=found.backbone.layers)}"


_TRADES = {
    "half": "lower {layers} keep their bits and are computed once; less can be learned and less "
    "forgotten.",
    "none": "everything can be learned and everything forgotten.",
    "probe_then_tune": "heads fit before the backbone moves, which keeps more of what it knew; one "
    "phase more.",
    "gradual": "lower {layers} move late and little: safest of those that move all {layers}, and "
    "often not trained to the end with little data.",
}
