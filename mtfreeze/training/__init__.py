# SPDX-License-Identifier: Apache-2.0
"""Training and evaluation: `fit`, `evaluate`, the `Run` they report to, and what they are made of.

Files, in the order in which a training run meets them: ``settings.py`` (arguments checked),
``encoded.py`` (rows tokenized once), ``mixing.py`` (which rows make which step), ``rates.py`` and
``schedules.py`` (numbers for the optimizer), ``loop.py`` (the steps), ``interrupt.py`` (Ctrl-C),
``evaluate.py`` (scores), ``run.py`` (what is handed back), and ``fit.py``, which calls them all.
"""

from __future__ import annotations
