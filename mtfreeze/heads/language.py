# SPDX-License-Identifier: Apache-2.0
"""What heads of a vocabulary share: they guess tokens of texts, and need no labels for it.

Logits of a vocabulary are large, so they are computed for chosen tokens only, which a batch names
(`PICKED`). Which tokens, and what the model reads in their place, is drawn anew for every epoch and
once for evaluations.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..checks import check_flag, check_integer
from ..data.example import Example
from ..data.examples import Examples
from ..data.labels import IGNORE
from ..errors import ConfigError, DataError
from ..inputs.blocks import Blocks
from ..inputs.head_spaces import PICKED, POSITIONS
from ..inputs.masking import Masked
from ..inputs.packing import IDS, TOKENS, Encoded, PackedBatch
from ..inputs.row_encoding import RowEncoding
from ..inputs.vocabulary import Vocabulary
from ..quoting import quoted
from .backbone_facts import BackboneFacts
from .guesses import GUESSES, Guess, guess_space, surprises
from .kind import DrawKey, Float32, HeadSpec
from .measure import Measure, RowCounts
from .row_spaces import RowSpace, Targets, Values

__all__ = ["LanguageHead", "LanguageTargets"]

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

_LARGEST = 2**24
_COST_WIDTH = 4096
"""Logits that weigh as much as a token; the core counts so, too."""


@dataclass(frozen=True)
class LanguageHead(HeadSpec):
    """Common to heads that guess tokens.

    Parameters
    ----------
    labels
        Not used: the tokens of the model's vocabulary are told apart.
    hidden, dropout, activation, norm_eps, bias, hidden_bias, norm_bias
        See `HeadSpec`.
    tied : bool
        Whether the logits are products with the backbone's own table of words, which either of its
        two names freezes.
    block : int, optional
        Most tokens of a sequence; by default what the model reads. Longer texts become several.
    n_words : int
        Tokens of the vocabulary; 0 until the head is added to a model, which says it.
    """

    size_key: ClassVar[str] = "n_words"
    measures: ClassVar[tuple[Measure, ...]] = (GUESSES,)
    has_probabilities: ClassVar[bool] = False

    labels: tuple[str, ...] = ()
    dropout: float = 0.0
    tied: bool = field(default=True, kw_only=True)
    block: int | None = field(default=None, kw_only=True)
    n_words: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels:
            raise ConfigError(
                f"a language head tells the tokens of its model apart; found {len(self.labels)} "
                "labels; leave labels out"
            )
        check_flag("tied", self.tied)
        if self.block is not None:
            object.__setattr__(self, "block", check_integer("block", self.block, 2, _LARGEST))
        object.__setattr__(self, "n_words", check_integer("n_words", self.n_words, 0, _LARGEST))

    def core_config(self) -> dict[str, Any]:
        """Return what the core needs to build the head."""
        return {**super().core_config(), "kind": "language_model", "tied": self.tied}

    @property
    def n_outputs(self) -> int:
        """Tokens of the vocabulary."""
        return self.n_words

    @property
    def vocabulary(self) -> Vocabulary:
        """What is known of the model's vocabulary; a head of no model has none."""
        found: Vocabulary | None = getattr(self, "_vocabulary", None)
        if found is None:
            raise ConfigError(
                f"{self.written} knows no vocabulary before it is added to a model; call add_head"
            )
        return found

    @property
    def row_space(self) -> RowSpace:  # type: ignore[override]
        """The places of texts that predictions are about."""
        return guess_space(self.asked_token)

    @property
    @abstractmethod
    def asked_token(self) -> int | None:
        """The token whose places predictions are about; None: the last place of each text."""

    def bound(self, facts: BackboneFacts) -> HeadSpec:
        """Return the description with what the model says: its vocabulary and its layers."""
        if not facts.n_words:
            raise ConfigError(
                f"expected a model that reads texts; found one of {facts.family.model_type}, which "
                "has no words to guess; choose another kind of head"
            )
        changed = {} if self.n_words else {"n_words": facts.n_words, **self._usual(facts)}
        if self.n_words not in (0, facts.n_words):
            raise ConfigError(
                f"expected n_words={facts.n_words}, the vocabulary of the model; found "
                f"{self.n_words}; leave n_words out"
            )
        made = replace(self, **changed)
        object.__setattr__(made, "_vocabulary", facts.vocabulary())
        made._check_model(facts)
        return made

    def _usual(self, facts: BackboneFacts) -> dict[str, Any]:
        """Return arguments that the model's family decides where the head is a fresh one."""
        return {}

    @abstractmethod
    def _check_model(self, facts: BackboneFacts) -> None:
        """Check that heads of this kind can stand over the model, ConfigError if not."""

    # ---- rows ------------------------------------------------------------------------------------

    @property
    def encoding(self) -> RowEncoding:
        """Whole texts, in sequences of at most `block` tokens."""
        return Blocks(self.block, self._purpose, self._share)

    @property
    def _share(self) -> float:
        """Which share of tokens is guessed, on average."""
        return 1.0

    @property
    @abstractmethod
    def _purpose(self) -> tuple[object, ...]:
        """What decides which tokens are drawn; heads that agree share their batches."""

    def rows(self, examples: Examples) -> Examples:
        """Return the texts of rows, without their labels."""
        read = examples.reread(_without_label)
        self.encoding.check(read)
        return read

    @abstractmethod
    def picked(self, ids: Int32, key: DrawKey | None, sequence: int) -> Masked:
        """Return what is read of a sequence and which of its tokens are to be guessed."""

    def drawn(
        self, batch: PackedBatch, encoded: Encoded, rows: Int64, key: DrawKey | None
    ) -> tuple[PackedBatch, Values]:
        """Return the batch as the model reads it, and the tokens that it has to guess."""
        made = self._made(encoded, rows, key)
        counts = [len(one.positions) for one in made]
        inputs = {
            **batch.inputs,
            IDS: np.concatenate([one.ids for one in made]),
            POSITIONS: np.concatenate([one.positions for one in made]),
        }
        offsets = {**batch.offsets, PICKED: np.concatenate(([0], np.cumsum(counts)))}
        labels = np.concatenate([one.labels for one in made])
        return replace(batch, inputs=inputs, offsets=offsets), labels

    def _made(self, encoded: Encoded, rows: Int64, key: DrawKey | None) -> list[Masked]:
        sequences = encoded.sequences_of(rows).tolist()
        return [self.picked(encoded[one], key, one) for one in sequences]

    def asked(self, batch: PackedBatch) -> PackedBatch:
        """Return the batch with the places named that predictions are about."""
        space = guess_space(self.asked_token)
        ids, begins = batch.inputs[IDS], batch.offsets[TOKENS]
        places = [space.places(ids[a:b]) for a, b in pairwise(begins)]
        offsets = np.concatenate(([0], np.cumsum([len(one) for one in places], dtype=np.int64)))
        return replace(
            batch,
            inputs={**batch.inputs, POSITIONS: np.concatenate(places).astype(np.int32)},
            offsets={**batch.offsets, PICKED: offsets.astype(np.int64)},
        )

    @property
    def token_cost(self) -> int:
        """Logits of a vocabulary weigh as several tokens."""
        return max(1, -(-self.n_words // _COST_WIDTH))

    # ---- learning and judging --------------------------------------------------------------------

    def targets(self, examples: Examples, label: str, head: str) -> LanguageTargets:
        """Return the tokens of evaluations; those of training are drawn with their batch."""
        return LanguageTargets(self, len(examples))

    def check_sufficient(self, task: str, targets: Targets, n_rows: int) -> None:
        """Check that there is a text."""
        if not n_rows:
            raise DataError(f"task {quoted(task)} needs texts; found none")

    def predictions(self, kept: Any) -> Any:
        """Return the best guesses of each place of a text."""
        return [self._told(one) for one in kept]

    def _told(self, guess: Guess) -> list[dict[str, Any]]:
        pairs = zip(guess.ids.tolist(), guess.shares.tolist(), strict=True)
        return [{"token": self.vocabulary.decode([at]), "probability": p} for at, p in pairs]

    def loss_sum(self, outputs: Float32, targets: Int32) -> tuple[float, int]:
        """Return the sum of -log p over the tokens to be guessed, and their number."""
        return float(surprises(outputs, targets)[0].sum()), int((targets != IGNORE).sum())

    def scored(
        self, targets: Targets, encoded: Encoded, rows: Int64, outputs: Float32
    ) -> RowCounts:
        """Return for each row -log p summed, tokens, and those guessed right."""
        made = self._made(encoded, rows, None)
        counts = np.array([len(one.positions) for one in made])
        n_sequences = [len(encoded.sequences_of([row])) for row in rows.tolist()]
        owner = np.repeat(np.repeat(np.arange(len(rows)), n_sequences), counts)
        surprise, right = surprises(outputs, np.concatenate([one.labels for one in made]))
        parts = [surprise, np.ones(len(owner)), right.astype(np.float64)]
        found = [np.bincount(owner, weights=part, minlength=len(rows)) for part in parts]
        return np.stack(found, axis=1)

    def baseline(self, train: Targets, gold: Targets) -> RowCounts:
        """Guess every token alike, one a text."""
        n = len(gold.labelled_rows())
        return np.tile([np.log(max(self.n_words, 1)), 1.0, 0.0], (n, 1))


def _without_label(row: Example) -> Example:
    return replace(row, label="", labels=None)


@dataclass
class LanguageTargets(Targets):
    """The tokens that evaluations of a data set guess: the same at every evaluation.

    Attributes
    ----------
    spec : LanguageHead
    n_rows : int
    """

    spec: LanguageHead
    n_rows: int

    def for_rows(self, encoded: Encoded, rows: Int64) -> Values:
        """Return the tokens of the fixed draw, one for each place."""
        made = self.spec._made(encoded, rows, None)
        return np.concatenate([one.labels for one in made])

    def unlabelled(self, batch: PackedBatch) -> Values:
        """Return nothing for each place of the batch."""
        n = int(batch.offsets[PICKED][-1]) if PICKED in batch.offsets else 0
        return np.full(n, IGNORE, dtype=np.int32)

    def flat(self) -> Values:
        """Return as many tokens as there are texts: which they are is drawn later."""
        return np.zeros(self.n_rows, dtype=np.int32)

    def labelled_rows(self) -> Int64:
        """Return the numbers of all rows."""
        return np.arange(self.n_rows, dtype=np.int64)

    def items(self, encoded: Encoded, rows: Int64) -> tuple[Int64, Values, Int64]:
        """Return the places of a batch of the fixed draw."""
        made = self.spec._made(encoded, rows, None)
        labels = np.concatenate([one.labels for one in made])
        counts = [len(one.positions) for one in made]
        n_sequences = [len(encoded.sequences_of([row])) for row in rows.tolist()]
        owner = np.repeat(np.repeat(np.arange(len(rows)), n_sequences), counts)
        return np.arange(len(labels), dtype=np.int64), labels, owner
