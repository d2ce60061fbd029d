# SPDX-License-Identifier: Apache-2.0
"""What a kind of head is: its description, and everything that differs between kinds.

A head is dropout, optional hidden layers, and one linear layer to its outputs. Whoever works with
heads asks the description and never which kind it is: what the labels of rows are to the loss, what
outputs are to the user, which figures say how good they are. A kind is one class derived from
`HeadSpec` in a file of its own, in the list of `registry.py`, and one file in ``csrc/heads`` unless
the core has a kind that computes the same.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..checks import as_number, check_choice, check_each, check_flag, check_integer, typed
from ..data.examples import Examples
from ..data.label_names import check_label_names
from ..errors import ConfigError
from ..families import IMAGES
from ..inputs.packing import Encoded, PackedBatch
from ..inputs.row_encoding import PLAIN, RowEncoding
from ..losses.own import LossFunction
from ..quoting import quoted
from .backbone_facts import BackboneFacts, check_cells
from .measure import Measure, RowCounts
from .row_spaces import TEXTS, RowSpace, Targets, Values
from .told import Told

__all__ = [
    "BIASES",
    "LAST",
    "MIX",
    "POOLINGS",
    "STATES",
    "HeadSpec",
    "PooledHead",
    "check_features",
    "check_poolings",
]

Float32 = NDArray[np.float32]

DrawKey = tuple[int | str, ...]
"""What a draw of a step depends on: seed, task and epoch."""

_ACTIVATIONS = ("gelu", "gelu_new", "relu", "tanh", "silu", "quick_gelu", "none")

POOLINGS = ("mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""Ways from token vectors to one vector a text, by the names of sentence-transformers."""

STATES, MIX, LAST = "hidden_states.", "mix", "last"
"""How `features` name what a layer is given, and the learned mix of all of these; and what heads
read that name neither."""

_LAYER = re.compile(re.escape(STATES) + r"(0|[1-9][0-9]{0,3})")

BIASES = ("bias", "hidden_bias", "norm_bias")
"""Arguments of a description that say which of its layers have a bias."""

_MAX_HIDDEN = 64
"""Hidden layers of a head; building one takes time by the square of them."""
_LARGEST_WIDTH = 2**20
"""Of a hidden layer: what its weights would take is checked when a head is added to a model."""


@dataclass(frozen=True)
class HeadSpec(ABC):
    """Common to all kinds of head.

    Parameters
    ----------
    labels : sequence of str
        Different names of what is told apart or told; their order is the order of the outputs.
        ``{0: name, 1: name}`` and ``{name: 0, name: 1}`` stand for the list in that order.
    hidden : sequence of int
        Widths of hidden layers between the features and the outputs.
    dropout : float
        Rate before every linear layer of the head, 0 <= rate < 1.
    activation : str
        After every hidden layer: gelu, gelu_new, relu, tanh, silu, quick_gelu, none.
    norm_eps : float, optional
        After every activation a layer norm with this number below its root, 0 < norm_eps <= 1;
        None: no norm.
    bias, hidden_bias, norm_bias : bool
        Whether the outputs, the hidden layers and their norms have a bias. Some classes of
        transformers have none there; a head that is to be saved as one may not have it either.

    Raises
    ------
    TypeError, ConfigError
        If an argument cannot be used; the message says what was expected.
    """

    kind: ClassVar[str]
    """What files and YAML call it, and the core unless `core_config` says otherwise."""
    written: ClassVar[str]
    """How messages write a description of this kind."""
    row_space: ClassVar[RowSpace]
    measures: ClassVar[tuple[Measure, ...]]
    """All that heads of this kind are measured by, each head by one of them."""
    size_key: ClassVar[str]
    """What the core calls the number of outputs."""
    has_probabilities: ClassVar[bool] = True
    has_parameters: ClassVar[bool] = True
    """Whether it has weights of its own, which are random until they are trained."""
    changes_inputs: ClassVar[bool] = False
    """Whether a draw changes what the backbone reads: nothing that was stored stands for it."""
    tells: ClassVar[str] = ""
    """What `told` says of an item: one of those in `told.py`; empty: no such answer."""
    fixed_labels: ClassVar[tuple[str, ...]] = ()
    """What the outputs of this kind are, where nobody may choose it."""

    labels: Sequence[str]
    hidden: Sequence[int] = ()
    dropout: float = 0.1
    activation: str = "gelu"
    norm_eps: float | None = field(default=None, kw_only=True)
    bias: bool = field(default=True, kw_only=True)
    hidden_bias: bool = field(default=True, kw_only=True)
    norm_bias: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", check_label_names(self.labels))
        object.__setattr__(self, "hidden", _check_hidden(self.hidden))
        object.__setattr__(self, "dropout", _check_dropout(self.dropout))
        check_choice("activation", self.activation, _ACTIVATIONS)
        object.__setattr__(self, "norm_eps", _check_norm_eps(self.norm_eps))
        for name in BIASES:
            object.__setattr__(self, name, check_flag(name, getattr(self, name)))

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments and the kind, as JSON holds them."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        return {"kind": self.kind, **plain}

    def core_config(self) -> dict[str, Any]:
        """Return what the core needs to build the head."""
        config: dict[str, Any] = {
            "kind": self.kind,
            self.size_key: self.n_outputs,
            "dropout": self.dropout,
            "activation": self.activation,
        }
        if self.hidden:
            config["hidden"] = list(self.hidden)
        if self.norm_eps is not None:
            config["norm_eps"] = self.norm_eps
        config |= {name: False for name in BIASES if not getattr(self, name)}
        return config

    @property
    def n_outputs(self) -> int:
        """How many outputs the head has; by default one a label."""
        return len(self.labels)

    @property
    def space(self) -> str:
        """What the head has one row of outputs for: ``"sequences"`` or ``"tokens"``."""
        return self.row_space.name

    @property
    def layers(self) -> str:
        """Which layers the head reads: as `features` name them, or `LAST`."""
        features = str(getattr(self, "features", ""))
        return features if features == MIX or features.startswith(STATES) else LAST

    def bound(self, facts: BackboneFacts) -> HeadSpec:
        """Return the description with what the model says that it is added to; by default itself.

        Raises
        ------
        ConfigError
            If heads of this kind cannot stand over the model.
        """
        if facts.family.reads == IMAGES and (self.row_space.splits or self.encoding != PLAIN):
            read = "words" if self.row_space.splits else "several texts a row"
            raise ConfigError(
                f"expected a head that reads one image a row, as the model does; found "
                f"{type(self).__name__}, which reads {read}; give labels of whole images, such as "
                "mtf.SequenceClassification(labels=[...])"
            )
        return self

    # ---- rows of data ----------------------------------------------------------------------------

    @property
    def encoding(self) -> RowEncoding:
        """Which sequences of tokens the backbone gets for a row; by default one."""
        return PLAIN

    @property
    def distinct(self) -> bool:
        """Whether rows with a text in common are drawn into different batches; mostly not."""
        return False

    def rows(self, examples: Examples) -> Examples:
        """Return rows of data as heads of this kind read them; by default themselves.

        Plain rows are ambiguous until the head is known: ``("a", "b")`` is a text and its label to
        most kinds, and a pair of texts to others.

        Raises
        ------
        DataError
            If a row cannot be read so; the row is named.
        """
        self.encoding.check(examples)
        return examples

    def drawn(
        self, batch: PackedBatch, encoded: Encoded, rows: NDArray[np.int64], key: DrawKey | None
    ) -> tuple[PackedBatch, Values] | None:
        """Return a batch of rows as heads of this kind read it, and its targets.

        Parameters
        ----------
        batch : PackedBatch
            The sequences of the rows.
        encoded, rows
            What they are cut from.
        key : tuple or None
            What is drawn depends on it, and on the row; None: the draw of evaluations.

        Returns
        -------
        tuple or None
            None: the batch as it is, with the targets of the data.
        """
        return None

    def asked(self, batch: PackedBatch) -> PackedBatch:
        """Return a batch with what predictions of heads of this kind need besides."""
        return batch

    @property
    def token_cost(self) -> int:
        """How many tokens a token of an evaluation weighs as, by the outputs that it gives."""
        return 1

    # ---- learning --------------------------------------------------------------------------------

    @abstractmethod
    def targets(self, examples: Examples, label: str, head: str) -> Targets:
        """Turn the labels of a data set into targets of the loss.

        Parameters
        ----------
        examples : Examples
            The rows.
        label : str
            Which label, where rows carry several.
        head : str
            What messages call the head.

        Raises
        ------
        TypeError, DataError
            For a label that does not fit, or data without any label; the row is named.
        """

    @abstractmethod
    def check_sufficient(self, task: str, targets: Targets, n_rows: int) -> None:
        """Check that training data of so many rows tell something apart.

        Raises
        ------
        DataError
            If they do not; the task is named.
        """

    def batch_loss(self) -> LossFunction | None:
        """Return a loss that compares the rows of a whole batch, outside the core; mostly none.

        Heads with such a loss are scored on all rows of the data at once, in their order.
        """
        return None

    def absent(self, targets: Targets) -> list[str]:
        """Return what of all that the head can answer these targets never are; by default none."""
        return []

    # ---- predicting ------------------------------------------------------------------------------

    def decoded(self, outputs: Float32) -> Float32:
        """Return what is kept of outputs, (N, n_outputs), in as many columns; by default all."""
        return outputs

    def lost(self) -> Float32:
        """Return what is kept, (n_outputs,), for a word that has no output; by default zeros."""
        return np.zeros(self.n_outputs, dtype=np.float32)

    def probabilities(self, kept: Float32) -> Float32:
        """Return the labels' probabilities for the rows of `decoded`; by default themselves."""
        return kept

    @abstractmethod
    def predictions(self, kept: Float32) -> Any:
        """Return what the user gets for the rows of `decoded`."""

    def read(self, vectors: Float32) -> Float32:
        """Return what the head reads, (n rows, ...), of vectors of their sequences, (n, width).

        By default the vectors themselves; a head of rows of several sequences puts them together.
        """
        return vectors

    # ---- judging ---------------------------------------------------------------------------------

    @property
    def measure(self) -> Measure:
        """What heads of this description are measured by."""
        return self.measures[0]

    @abstractmethod
    def loss_sum(self, outputs: Float32, targets: Any) -> tuple[float, int]:
        """Return the core's loss summed over the rows with a target, and their number."""

    def pass_loss(
        self, targets: Targets, encoded: Encoded, rows: NDArray[np.int64], outputs: Float32
    ) -> tuple[float, int]:
        """Return the same for a packed batch of these rows."""
        return self.loss_sum(outputs, targets.for_rows(encoded, rows))

    @abstractmethod
    def scored(
        self, targets: Targets, encoded: Encoded, rows: NDArray[np.int64], outputs: Float32
    ) -> RowCounts:
        """Return what each labelled row of a packed batch of these rows adds to the measure."""

    def told(
        self, targets: Targets, encoded: Encoded, rows: NDArray[np.int64], outputs: Float32
    ) -> Told:
        """Return gold, answers and probabilities of the items with a target, where it `tells`."""
        raise NotImplementedError(f"{self.kind} heads tell nothing item by item")

    @abstractmethod
    def baseline(self, train: Targets, gold: Targets) -> RowCounts:
        """Return the same for all rows, of the best answer that no text has a part in."""


@dataclass(frozen=True)
class PooledHead(HeadSpec):
    """Common to heads that read one vector a text.

    Parameters
    ----------
    labels, hidden, dropout, activation, norm_eps, bias, hidden_bias, norm_bias
        See `HeadSpec`.
    features : str
        ``"pooled"``, the model's vector of a text; ``"embedding"``, the same after its L2
        normalisation; ``"hidden_states.3"``, what layer 3 is given (0: the embeddings); ``"mix"``,
        all of these by shares that the head learns. Layers are pooled each by itself.
    pooling : str, optional
        A pooling of this head's own instead of the model's: one or several of `POOLINGS`, with
        ``+`` between them. Of layers by default the mean.
    """

    row_space: ClassVar[RowSpace] = TEXTS

    features: str = "pooled"
    pooling: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_features(self.features, ("pooled", "embedding"))
        if self.layers != LAST and self.pooling is None:
            object.__setattr__(self, "pooling", "mean")
        if self.pooling is not None:
            own = check_poolings("pooling of a head", self.pooling)
            object.__setattr__(self, "pooling", own)
        if self.pooling is not None and self.features == "embedding":
            raise ConfigError(
                "features='embedding' reads the model's own pooling; found "
                f"pooling={quoted(self.pooling)} as well; leave one of them out"
            )

    def bound(self, facts: BackboneFacts) -> HeadSpec:
        """Return the description after checking that its pooling fits the model."""
        check_cells("pooling of a head", self.pooling, facts.family)
        return super().bound(facts)

    def core_config(self) -> dict[str, Any]:
        """Return what the core needs to build the head."""
        config = {**super().core_config(), "features": self.features}
        if self.pooling is not None:
            config["pooling"] = self.pooling
        return config


def check_features(features: object, outputs: Sequence[str]) -> None:
    """Check what a head reads: an output, a layer, or a mix of layers.

    Parameters
    ----------
    features : str
        As the caller gave it.
    outputs : sequence of str
        Outputs that a head of this kind may read beside layers.

    Raises
    ------
    TypeError, ConfigError
        If it is none of them, with the closest; that a backbone has this layer is checked when the
        head is added.
    """
    if not (isinstance(features, str) and _LAYER.fullmatch(features)):
        check_choice("features", features, (*outputs, MIX, f"{STATES}0"))


def check_poolings(what: str, pooling: object, others: Sequence[str] = ()) -> str:
    """Return a pooling as text: one of `POOLINGS`, or several with ``+`` between them.

    Parameters
    ----------
    what : str
        How messages call it.
    pooling : str, or list or tuple of str
        As the caller gave it.
    others : sequence of str
        What else the caller takes, for messages.

    Raises
    ------
    TypeError, ConfigError
        If it is none, with the closest; if one stands there twice.
    """
    named = pooling.split("+") if isinstance(pooling, str) else pooling
    if not isinstance(named, list | tuple) or not named:
        raise TypeError(f"{what} must be a text (str) such as 'mean'; found {typed(pooling)}")
    known = [*POOLINGS, *others] if len(named) == 1 else POOLINGS
    names = [check_choice(what, one, known) for one in named]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"expected each pooling once; found {quoted('+'.join(names))}; leave out what stands "
            "there twice"
        )
    return "+".join(names)


def _check_hidden(hidden: object) -> tuple[int, ...]:
    widths = check_each(
        "hidden", hidden, _check_width, of="widths (int)", example="(64,), or () for none"
    )
    if len(widths) > _MAX_HIDDEN:
        raise ConfigError(
            f"hidden must have at most {_MAX_HIDDEN} layers; found {len(widths)}; one is usual"
        )
    return tuple(widths)


def _check_width(where: str, width: object) -> int:
    return check_integer(where, width, 1, _LARGEST_WIDTH)


def _check_norm_eps(norm_eps: object) -> float | None:
    if norm_eps is None:
        return None
    eps = as_number(norm_eps)
    if eps is None:
        raise TypeError(
            f"norm_eps must be a number or None; found {typed(norm_eps)}; 1e-5 is usual"
        )
    if not 0 < eps <= 1:
        raise ConfigError(
            f"norm_eps must be above 0 and at most 1; found {quoted(eps)}; 1e-5 is usual"
        )
    return eps


def _check_dropout(dropout: object) -> float:
    rate = as_number(dropout)
    if rate is None:
        raise TypeError(f"dropout must be a number; found {typed(dropout)}; 0.1 is usual")
    if not 0 <= rate < 1:
        raise ConfigError(
            f"dropout must be at least 0 and below 1; found {quoted(rate)}; 0.1 is usual"
        )
    return rate
