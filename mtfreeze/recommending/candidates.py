# SPDX-License-Identifier: Apache-2.0
"""The schedules that advice chooses from, each complete: what trains, how long, at which rates.

    heads            only heads train, at a rate that a linear layer in fixed features needs
    half             embeddings and lower half frozen
    none             everything trains
    probe_then_tune  heads on the frozen backbone, then everything (Kumar et al. 2022)
    gradual          from the top down in three steps, lower layers slower (Howard, Ruder 2018)

They are written with what is *frozen*, so parts that the user pinned stay frozen in all of them.
`fit` begins those whose backbone trains with new heads alone, as it begins every run.
Rates and lengths are those that `benchmarks/bench_advice.py` ran with.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..freezing.layer_units import LayerUnits
from ..planning.defaults import (
    ADVISED_BATCH_SIZE,
    ADVISED_HEAD_EPOCHS,
    DEFAULT_RATES,
    FINE_TUNE_LAYER_DECAY,
    FROZEN_BACKBONE_RATES,
    LEAST_EPOCHS,
    LEAST_STEPS,
    MOST_EPOCHS,
)
from ..planning.freeze_schedule import FreezeSchedule

__all__ = [
    "NAMES",
    "Candidate",
    "make_candidates",
    "training_epochs",
]

NAMES = ("heads", "half", "none", "probe_then_tune", "gradual")
"""From what trains least to what trains most, each schedule after its plain form."""


@dataclass(frozen=True)
class Candidate:
    """A schedule that may be advised.

    Attributes
    ----------
    name : str
        One of `NAMES`.
    says : str
        What to do, as an order.
    schedule : FreezeSchedule
    """

    name: str
    says: str
    schedule: FreezeSchedule


def training_epochs(n_rows: int, batch_size: int = ADVISED_BATCH_SIZE) -> int:
    """Return how many passes over the rows make enough steps, within limits.

    Examples
    --------
    >>> training_epochs(100), training_epochs(320), training_epochs(5000)
    (10, 6, 3)
    """
    per_epoch = -(-n_rows // batch_size)
    return min(MOST_EPOCHS, max(LEAST_EPOCHS, -(-LEAST_STEPS // per_epoch)))


def _lower(layers: LayerUnits, middle: int) -> str:
    """Return what lies below a cut, in words."""
    below = f"the {layers.word} below {middle}"
    return f"{layers.bottom} and {below}" if layers.below else below


def make_candidates(layers: LayerUnits, n_rows: int) -> dict[str, Candidate]:
    """Return the candidates by name, those that go between layers only where that can be done.

    Parameters
    ----------
    layers : LayerUnits
        Of the backbone.
    n_rows : int
        Training rows of all tasks together.
    """
    epochs = training_epochs(n_rows)
    n_layers = layers.n
    middle = layers.cut_at_most(n_layers // 2)
    # Three steps from the top to the bottom, before them the heads, after them the embeddings.
    per_step = max(1, -(-n_layers // 3))
    every = max(1, epochs // 3)
    found = [
        Candidate(
            "heads",
            "train the heads on the frozen backbone",
            FreezeSchedule().phase(
                freeze="backbone",
                epochs=max(ADVISED_HEAD_EPOCHS, epochs),
                learning_rate=FROZEN_BACKBONE_RATES,
                name="heads only",
            ),
        ),
        Candidate(
            "half",
            f"freeze {_lower(layers, middle)}, train the rest",
            FreezeSchedule().phase(
                freeze=f"backbone[:{middle}]",
                epochs=epochs,
                learning_rate=DEFAULT_RATES,
                name="upper half",
            ),
        ),
        Candidate(
            "none",
            "train everything",
            FreezeSchedule().phase(
                freeze="none", epochs=epochs, learning_rate=DEFAULT_RATES, name="everything"
            ),
        ),
        Candidate(
            "probe_then_tune",
            "train the heads on the frozen backbone, then everything",
            FreezeSchedule.probe_then_tune(
                ADVISED_HEAD_EPOCHS,
                epochs,
                probe_learning_rate=FROZEN_BACKBONE_RATES,
                learning_rate=DEFAULT_RATES,
            ),
        ),
        Candidate(
            "gradual",
            f"unfreeze from the top down, lower {layers.word} at lower rates",
            FreezeSchedule.gradual(
                every, per_step, learning_rate=DEFAULT_RATES, layer_decay=FINE_TUNE_LAYER_DECAY
            ),
        ),
    ]
    # Of layers that all share their weights there is no lower half, and no going down through them.
    between = () if layers.inner_cuts or not layers.shared else ("half", "gradual")
    return {one.name: one for one in found if one.name not in between}
