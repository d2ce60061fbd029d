# SPDX-License-Identifier: Apache-2.0
"""From findings to a ranking of the candidates, with the reasons: one table, `RULES`.

The first rule that holds for a task is the task's; the backbone is shared, so the task whose rule
trains most decides. What an experiment finds changes this table and nothing else: a rule that is
not better than training everything after the heads, which is the last one, has no place in it.
Every threshold says where it was fixed: by a script of `benchmarks/`, or by a row of
``docs/evidence.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .advice import Reason
from .backbone_facts import KINDS
from .candidates import NAMES
from .findings import Findings

__all__ = ["CASES", "RANKING", "RULES", "Rule", "decide", "trade_of"]

ENOUGH = 0.97
"""Probe of the top layer from which there is nothing to gain: above what any situation of the
experiment reaches, so it rests on E7 alone (frozen within 2 points on easy labels)."""

_MANY = 64
"""Examples of a label from which E7 has frozen encoders behind on every set."""

Say = Callable[[str, str], None]


@dataclass(frozen=True)
class Rule:
    """When a ranking holds, and why.

    Attributes
    ----------
    case : str
        What it is called.
    when : str
        In words, as the page has it.
    holds : callable
        Of findings and a task.
    ranking : tuple of str
        Candidates, the best first. Those of `FURTHER` are never taken by a rule: they show where
        they stand among alternatives.
    say : callable
        Says the reasons, each with its basis, for findings and a task.
    """

    case: str
    when: str
    holds: Callable[[Findings, str], bool]
    ranking: tuple[str, ...]
    say: Callable[[Findings, str, Say], None]


def _rule_of(findings: Findings, task: str) -> Rule:
    return next(rule for rule in RULES if rule.holds(findings, task))


def decide(findings: Findings) -> tuple[str, tuple[str, ...], list[Reason]]:
    """Return the case that decides, the ranking, and the reasons for its first candidate."""
    rules = {task: _rule_of(findings, task) for task in findings.data}
    leading = max(rules, key=lambda task: NAMES.index(rules[task].ranking[0]))
    rule = rules[leading]
    reasons: list[Reason] = []

    def say(sentence: str, basis: str) -> None:
        reasons.append(Reason(sentence, basis, findings.backbone.kind))

    rule.say(findings, leading, say)
    if leading in findings.scores:
        _say_layers(findings, leading, say)
    if findings.backbone.kind not in ("sentence", "vision") and rule.ranking[0] != "heads":
        say(
            f"The backbone is a {KINDS[findings.backbone.kind]}: its pooled vectors are a poor "
            "summary as they are, so a head on the frozen backbone stays far behind.",
            "E1",
        )
    if len(rules) > 1:
        _say_tasks({task: one.case for task, one in rules.items()}, leading, say)
    return rule.case, rule.ranking, reasons


def _points(value: float) -> str:
    return f"{100 * value:.1f} points"


def _say_unread(found: Findings, task: str, say: Say) -> None:
    say(
        f"{task}: what heads answer is worked out between the backbone and them, so no linear "
        "probe can say what a frozen part is worth; recommend(..., try_out=True) trains the "
        "candidates on these data and judges by what comes out.",
        "data",
    )
    say(
        "A small model of random values learned boxes by heart with its backbone frozen, for an "
        "eighth of the work of training everything, which at the same rate got less far, and none "
        "with its head alone: queries look where they must only once the decoder is trained. What "
        "is found in other pictures nobody measured.",
        "measured on boxes",
    )


def _say_enough(found: Findings, task: str, say: Say) -> None:
    one = found.scores[task]
    say(
        f"{task}: a linear probe of the frozen top {found.backbone.layer} reaches {one.metric} "
        f"{one.top:.3f} on rows it was not fitted on; {_points(one.headroom)} are left to win.",
        "probe",
    )
    say("On easy labels a frozen sentence encoder stays within about 2 points of tuning.", "E7")


def _say_tune(found: Findings, task: str, say: Say) -> None:
    one = found.scores[task]
    say(
        f"{task}: stopping at heads on the frozen backbone would give {one.metric} of about "
        f"{one.top:.3f}, the probe's figure; {_points(one.headroom)} are left to win.",
        "probe",
    )
    say(
        "Heads first and then everything, which is how fit begins, was the best choice or close "
        "to it at every number of rows that was tried; no other rule did better.",
        "measured",
    )
    if found.data[task].per_label >= _MANY:
        say("From 64 examples of a label on, frozen encoders lose where labels are not easy.", "E7")


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


def _say_tasks(cases: dict[str, str], leading: str, say: Say) -> None:
    others = [f"{task} ({case})" for task, case in cases.items() if task != leading]
    say(
        f"All tasks share the backbone; {leading} ({cases[leading]}) needs most of it to move and "
        f"decides, {', '.join(others)} would do with as much or less.",
        "data",
    )
    say("Tuning one backbone on several tasks at once helped most of them.", "E16")


RULES = (
    Rule(
        "unread",
        "no probe reads the task: modules stand between backbone and heads",
        lambda found, task: task not in found.scores,
        ("half", "none", "bitfit", "lora", "heads"),
        _say_unread,
    ),
    Rule(
        "enough",
        f"the probe of the frozen top layer reaches {ENOUGH}",
        lambda found, task: found.scores[task].top >= ENOUGH,
        ("heads", "half", "none", "bitfit", "lora"),
        _say_enough,
    ),
    Rule(
        "tune",
        "all else",
        lambda found, task: True,
        ("none", "half", "bitfit", "lora", "heads"),
        _say_tune,
    ),
)
"""The first that holds is a task's; the last always does."""

CASES = tuple(rule.case for rule in RULES)
"""Of the rules, in order."""

RANKING = {rule.case: rule.ranking for rule in RULES}
"""Case -> candidates, the best first."""


def trade_of(name: str, found: Findings, chosen_seconds: float, seconds: float) -> str:
    """Return what taking another candidate than the advised one would trade."""
    ratio = seconds / chosen_seconds if chosen_seconds else 1.0
    time = f"Takes {ratio:.2g}x the time"
    if found.backbone.modules:
        return f"{time}; {_BETWEEN[name]}"
    if name == "heads":
        figures = ", ".join(
            f"{one.task} {one.metric} about {one.top:.3f}" for one in found.scores.values()
        )
        return f"{time}; expect the probes' figures ({figures}), and no other task can suffer."
    return f"{time}; {_TRADES[name].format(layers=found.backbone.layers)}"


_BETWEEN = {
    "heads": "queries look where they did, so new things are hardly found; no other task can "
    "suffer.",
    "half": "the backbone keeps its bits and is computed once an image.",
    "none": "everything can be learned and everything forgotten; each step computes all of it.",
}
"""The same where modules stand between backbone and heads."""

_TRADES = {
    "bitfit": "one file of biases for each task; the whole backward pass is computed for them.",
    "lora": "the backbone keeps its bits, and what trains is a small file beside it; gradients and "
    "moments are those of few parameters.",
    "half": "lower {layers} keep their bits and are computed once; less can be learned and less "
    "forgotten.",
    "none": "everything can be learned and everything forgotten.",
}
