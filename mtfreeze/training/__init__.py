# SPDX-License-Identifier: Apache-2.0
"""Training and evaluation: `fit`, `evaluate`, the `Run` they report to, and what they are made of.

Files, in the order in which a training run meets them: ``settings.py`` (arguments checked),
``run_plan.py`` (phases, steps and rates, all known before the first step; with ``rates.py`` and
``schedules.py``), ``encoded.py`` (rows tokenized once), ``trainer.py`` (runs the plan), ``step.py``
(one step), ``weighting.py`` (what each loss counts), ``scoring.py`` and ``evaluate.py`` (scores),
``checkpoint.py``, ``keeper.py``, ``run_facts.py`` and ``resume.py`` (saving a run and going on with
it), ``interrupt.py`` (Ctrl-C), ``run.py`` (what is handed back), and ``fit.py``, which calls them
all.
"""

from __future__ import annotations
