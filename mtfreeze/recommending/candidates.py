# SPDX-License-Identifier: Apache-2.0
"""The ways of training that advice chooses from, each complete: what trains, how long, which rates.

    heads    only heads train, at a rate that a linear layer in fixed features needs
    bitfit   the backbone's biases, and heads (Ben Zaken et al. 2022)
    lora     LoRA of rank 8 beside a frozen backbone, and heads (Hu et al. 2022)
    half     embeddings and lower half frozen
    none     everything trains

They are written with what is *frozen*, so parts that the user pinned stay frozen in all of them.
`fit` begins those whose backbone trains with new heads alone, as it begins every run, so ``none``
is heads first, then everything. LoRA is more than a schedule: the model must have it, which
`Candidate.way` says, `Candidate.on` does to a copy and `Candidate.first_call` puts into words.
Rates and lengths are those that `benchmarks/bench_advice.py` ran with.

Where modules stand between backbone and heads (DETR's transformer), what goes between layers goes
between these and the backbone: ``half`` freezes the backbone, ``heads`` the modules too. Queries
need more steps to find what they are to look for, `BOX_STEPS`, as many as
`benchmarks/bench_detection.py` takes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..adapters.descriptions import Lora, make_adapter
from ..errors import ConfigError
from ..freezing.layer_units import LayerUnits
from ..model.linear_layers import linear_paths
from ..planning.defaults import (
    ADAPTER_RATES,
    ADVISED_BATCH_SIZE,
    ADVISED_HEAD_EPOCHS,
    BIAS_RATE,
    DEFAULT_RATES,
    FROZEN_BACKBONE_RATES,
    LEAST_EPOCHS,
    LEAST_STEPS,
    MODULE_RATE,
    MOST_EPOCHS,
)
from ..planning.freeze_schedule import FreezeSchedule

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = [
    "ADVISED",
    "BOX_STEPS",
    "FURTHER",
    "NAMES",
    "Candidate",
    "candidates_for",
    "further_of",
    "make_candidates",
    "training_epochs",
]

NAMES = ("heads", "bitfit", "lora", "half", "none")
"""From what trains least to what trains most."""

FURTHER = ("bitfit", "lora")
"""What not every family has; shown with their price, never advised by a rule."""

ADVISED = tuple(name for name in NAMES if name not in FURTHER)
"""What a rule may advise."""

_LORA = Lora(rank=8)

_HEADS_RATE = DEFAULT_RATES["heads"]

BOX_STEPS = 1000
"""Fewer steps than these leave boxes unfound, with as many passes over the rows as that takes. They
are enough for twenty scenes (`benchmarks/bench_detection.py`), and for a DETR of random values and
more scenes by far too few."""

_NOT_BIASES = r"re:^backbone\.(?!.*\.bias$)"
"""Selects what BitFit freezes: every parameter of the backbone that is no bias."""


@dataclass(frozen=True)
class Candidate:
    """A way of training that may be advised.

    Attributes
    ----------
    name : str
        One of `NAMES`.
    says : str
        What to do, as an order.
    schedule : FreezeSchedule
        ``fit(candidate.on(model), tasks, freeze_schedule=schedule)`` trains by it.
    way : Lora or None
        What the model must have first; the schedule alone says the rest.
    """

    name: str
    says: str
    schedule: FreezeSchedule
    way: Lora | None = None

    @property
    def first_call(self) -> str:
        """What to call before `fit`, in Python; "" where nothing is."""
        return "" if self.way is None else f"model.add_lora(rank={self.way.rank})"

    def on(self, model: MultiTaskModel, seed: int = 0) -> MultiTaskModel:
        """Return what the schedule is for: the model, or a copy that has what `way` says.

        Parameters
        ----------
        model : MultiTaskModel
            Not changed; its pins hold in the copy.
        seed : int
            Of what is drawn anew.
        """
        if self.way is None:
            return model
        way = self.way
        return model.copy().add_lora(
            way.rank, way.alpha, way.dropout, way.targets, way.layers, seed=seed
        )


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


def further_of(model: MultiTaskModel) -> tuple[str, ...]:
    """Return which of `FURTHER` a model can have, by its family and its layers.

    Examples
    --------
    >>> further_of(model)
    ('bitfit', 'lora')
    """
    found, family = [], model.index.family
    if any(family.owns(key) and key.endswith(".bias") for key in model.param_keys):
        found.append("bitfit")
    if model.adapter is None and _has_lora(model):
        found.append("lora")
    return tuple(found)


def _has_lora(model: MultiTaskModel) -> bool:
    try:
        make_adapter(_LORA, linear_paths(model), model.index.family.model_type)
    except ConfigError:  # the family has no usual layers for it
        return False
    return True


def candidates_for(model: MultiTaskModel, n_rows: int) -> dict[str, Candidate]:
    """Return every candidate that a model can be trained by, by name.

    Parameters
    ----------
    model : MultiTaskModel
        Not changed.
    n_rows : int
        Training rows of all tasks together.
    """
    index = model.index
    if index.modules:
        return {one.name: one for one in _between_modules(index.modules, n_rows)}
    return make_candidates(index.layers, n_rows, further_of(model))


def _between_modules(modules: Sequence[str], n_rows: int) -> list[Candidate]:
    """Return the candidates of a model with modules between backbone and heads."""
    between = ", ".join(modules)
    steps = -(-n_rows // ADVISED_BATCH_SIZE)
    epochs = max(training_epochs(n_rows), -(-BOX_STEPS // steps))
    own = dict.fromkeys(modules, MODULE_RATE)
    return [
        Candidate(
            "heads",
            f"train the heads on frozen backbone, {between}",
            FreezeSchedule().phase(
                freeze=["backbone", *modules],
                epochs=epochs,
                learning_rate=FROZEN_BACKBONE_RATES,
                name="heads only",
            ),
        ),
        Candidate(
            "half",
            f"freeze the backbone, train {between} and the heads",
            FreezeSchedule().phase(
                freeze="backbone",
                epochs=epochs,
                learning_rate={**own, "heads": _HEADS_RATE},
                name="above the backbone",
            ),
        ),
        Candidate(
            "none",
            "train everything",
            FreezeSchedule().phase(
                freeze="none",
                epochs=epochs,
                learning_rate={**own, **DEFAULT_RATES},
                name="everything",
            ),
        ),
    ]


def make_candidates(
    layers: LayerUnits, n_rows: int, further: Collection[str] = ()
) -> dict[str, Candidate]:
    """Return the candidates by name, those that go between layers only where that can be done.

    Parameters
    ----------
    layers : LayerUnits
        Of the backbone.
    n_rows : int
        Training rows of all tasks together.
    further : collection of str
        Which of `FURTHER` there are; see `further_of`.
    """
    epochs = training_epochs(n_rows)
    middle = layers.cut_at_most(layers.n // 2)
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
            "bitfit",
            "train the biases of the backbone and the heads",
            FreezeSchedule().phase(
                freeze=_NOT_BIASES,
                epochs=epochs,
                learning_rate={**DEFAULT_RATES, "backbone": BIAS_RATE},
                name="biases",
            ),
        ),
        Candidate(
            "lora",
            f"train LoRA of rank {_LORA.rank} beside the frozen backbone, and the heads",
            FreezeSchedule().phase(
                freeze="backbone",
                epochs=epochs,
                learning_rate={_LORA.kind: ADAPTER_RATES[_LORA.kind], "heads": _HEADS_RATE},
                name="LoRA",
            ),
            _LORA,
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
    ]
    # Of layers that all share their weights there is no lower half.
    without = {name for name in FURTHER if name not in further}
    if layers.shared and not layers.inner_cuts:
        without.add("half")
    return {one.name: one for one in found if one.name not in without}
