"""What each freeze choice costs and saves, read off the plans that run: table of docs/freezing.md.

all-MiniLM-L6-v2 with a classifier and a token head, one step of 4,096 tokens (128 texts of 32), the
figures that `model.explain()` and `model.summary()` print. Nothing is timed: one run is enough, and
any machine gives the same. Prints markdown.

    python benchmarks/freeze_prices.py

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import mtfreeze as mtf
from mtfreeze.freezing.selectors import Selector
from mtfreeze.pricing.freeze_prices import price
from mtfreeze.quantities import in_bytes, in_values

MODEL = "sentence-transformers/all-MiniLM-L6-v2"

CHOICES: Sequence[tuple[str, Selector]] = (
    ("nothing", "none"),
    ('`"backbone"`', "backbone"),
    ('`"backbone[:3]"`', "backbone[:3]"),
    ('`"backbone[:5]"`', "backbone[:5]"),
    ('`"classifier"`, a head', "classifier"),
    ('`"backbone.layers[3:]"`, the upper layers', "backbone.layers[3:]"),
    ('`"backbone.*weight"`, all but biases', "backbone.*weight"),
)
"""What is frozen: as the table says it, and as `model.freeze` takes it."""

HEADER = (
    "frozen",
    "trained",
    "gradients",
    "moments",
    "kept for backward",
    "forward",
    "to inputs",
    "to weights",
    "work",
    "prefix stored",
)


def row(name: str, model: mtf.MultiTaskModel) -> tuple[str, ...]:
    """Return the cells of a model in its present freeze state; the last two as shares of all."""
    prices = price(model)
    now, (work, full) = prices.now, prices.work
    flops = (now.forward_flops, now.dx_flops, now.dw_flops)
    return (
        name,
        in_values(sum(unit.n_values - unit.n_frozen for unit in prices.units)),
        *map(in_bytes, (now.gradient_bytes, now.moment_bytes, now.saved_bytes)),
        *(f"{one / 1e9:.3g}" for one in flops),
        f"{work / full:.0%}",
        f"{100 * (work - now.prefix_flops) / full:.2g}%" if now.prefix_flops else "no prefix",
    )


def table() -> str:
    """Return the table."""
    model = mtf.MultiTaskModel.from_pretrained(MODEL)
    model.add_head("classifier", mtf.SequenceClassification(labels=["negative", "positive"]))
    model.add_head("ner_head", mtf.TokenClassification(labels=["O", "B-person", "I-person"]))
    rows = [HEADER, ("---",) * len(HEADER)]
    with warnings.catch_warnings():
        # A head that was never trained is frozen here, and layers above what trains: meant.
        warnings.simplefilter("ignore", mtf.FreezeWarning)
        rows += [row(name, model.copy().freeze(what)) for name, what in CHOICES]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


if __name__ == "__main__":
    print(table())
