# SPDX-License-Identifier: Apache-2.0
"""Classification of tokens: one label for each word, entities among them.

Labels ``O``, ``B-x`` and ``I-x`` are IOB2 tags: gold tags must follow IOB2, and whole entities are
scored. Other labels (parts of speech) are scored word by word. A sentence adds to the measure what
it has of entities and words; words without a tag are neither learned from nor scored.

With ``crf=True`` tags depend on the tag before: a linear-chain conditional random field over the
words of a sentence (Lafferty, McCallum, Pereira 2001), as pytorch-crf has it. It is learned by
-log of the share of the right tags among all ways to tag the sentence. A step adds that up over
sentences and divides by the labelled *words* of the whole step, so that it has the size of other
losses of words and mixes with them. Words without a tag are passed over: the next one follows the
last one that has a tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from ..checks import check_flag
from ..closest import counted
from ..data.example import Example
from ..data.examples import Examples
from ..data.labels import IGNORE, LabelCodes, each_label, proposed_map
from ..errors import ConfigError, DataError
from ..files.ragged import GrowingRagged, RaggedArrays
from ..inputs.packing import Encoded
from ..inputs.word_values import word_values
from ..metrics.entities import OUTSIDE, entity_spans, iob2_fault, is_iob2
from ..metrics.scores import token_counts
from ..quoting import quoted
from .chains import n_columns
from .classes import Classification, Int64
from .kind import Float32, check_features
from .measure import Measure, RowCounts
from .row_spaces import WORDS, RowSpace, Targets, WordTargets
from .tag_chains import best_tags, chain_loss, lost_word, tag_shares, token_tags
from .tag_measures import ENTITIES, PLAIN_TAGS
from .told import Told

__all__ = ["TokenClassification", "encode_tags"]

_MOST_CHAINED = 256
"""Labels of a chain: the core has a column for each pair of them."""


@dataclass(frozen=True)
class TokenClassification(Classification):
    """One label for each word, read at the word's first sub-word.

    Parameters
    ----------
    labels, hidden, dropout, activation, norm_eps, bias, hidden_bias, norm_bias
        See `HeadSpec`. For entities: ``O`` and ``B-``/``I-`` tags.
    features : str
        ``"hidden"``, what the last layer gives; ``"hidden_states.3"``, what layer 3 is given;
        ``"mix"``, all layers by shares that the head learns.
    crf : bool
        Whether the tags of a sentence are told together, by scores of tags that follow each other
        (parameters ``transitions``, ``start_transitions``, ``end_transitions``); at most 256
        labels. These scores learn slowly: give them ten times the head's rate or more.

    Examples
    --------
    >>> TokenClassification(["O", "B-person", "I-person"]).space
    'tokens'
    """

    kind: ClassVar[str] = "token_classification"
    written: ClassVar[str] = "mtf.TokenClassification(labels=[...])"
    row_space: ClassVar[RowSpace] = WORDS
    measures: ClassVar[tuple[Measure, ...]] = (ENTITIES, PLAIN_TAGS)

    features: str = field(default="hidden", kw_only=True)
    crf: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_features(self.features, ("hidden",))
        object.__setattr__(self, "crf", check_flag("crf", self.crf))
        if self.crf and len(self.labels) > _MOST_CHAINED:
            raise ConfigError(
                f"a head with crf=True takes at most {_MOST_CHAINED} labels; found "
                f"{len(self.labels)}; leave crf= out"
            )

    def core_config(self) -> dict[str, Any]:
        """Return what the core needs to build the head."""
        chain = {"kind": "token_chain", self.size_key: len(self.labels)}
        config = {**super().core_config(), "features": self.features}
        return config | (chain if self.crf else {})

    @property
    def n_outputs(self) -> int:
        """One a label; with chains the scores of labels that follow each other."""
        return n_columns(len(self.labels)) if self.crf else super().n_outputs

    @property
    def chooses_by_itself(self) -> bool:
        """Without chains."""
        return not self.crf

    @property
    def measure(self) -> Measure:
        """Entities where the labels are IOB2 tags, else words."""
        return ENTITIES if is_iob2(self.labels) else PLAIN_TAGS

    def targets(self, examples: Examples, label: str, head: str) -> WordTargets:
        """Turn the tag of each word into its class."""
        return WordTargets(encode_tags(examples, label, self.labels, head))

    def decoded(self, outputs: Float32) -> Float32:
        """Return probabilities; with chains all scores, which `probabilities` reads."""
        return outputs if self.crf else super().decoded(outputs)

    def lost(self) -> Float32:
        """Return what stands for a lost word."""
        return lost_word(len(self.labels)) if self.crf else super().lost()

    def probabilities(self, kept: Float32) -> Float32:
        """Return the probability of each tag; with chains, over all ways to tag the sentence."""
        n_labels = len(self.labels)
        return tag_shares(kept, n_labels, super().lost()[:n_labels]) if self.crf else kept

    def predictions(self, kept: Float32) -> list[str]:
        """Return the tag of each word; a lost word is ``O``."""
        if not self.crf:
            return super().predictions(kept)
        tags = best_tags(kept, len(self.labels), -1).tolist()
        return [OUTSIDE if tag < 0 else self.labels[tag] for tag in tags]

    def pass_loss(
        self, targets: Targets, encoded: Encoded, rows: Int64, outputs: Float32
    ) -> tuple[float, int]:
        """Return the core's loss summed over the rows, and the number of tagged words."""
        if self.crf:
            return chain_loss(targets, encoded, rows, outputs, len(self.labels))
        return super().pass_loss(targets, encoded, rows, outputs)

    def examples(self, targets: Targets) -> dict[str, int]:
        """Return how many entities there are of each type; of other tags, how many words."""
        if self.measure is not ENTITIES:
            return super().examples(targets)
        found = {name.partition("-")[2]: 0 for name in self.labels if name != OUTSIDE}
        for row in _tagged(targets):
            for span in entity_spans(self._names(row)):
                found[span[0]] += 1
        return found

    def absent(self, targets: Targets) -> list[str]:
        """Return the types of entities, of other tags the labels, that no word has."""
        if self.measure is not ENTITIES:
            return super().absent(targets)
        found = zip(self.labels, self.class_counts(targets).tolist(), strict=True)
        there = {name.partition("-")[2]: 0 for name in self.labels if name != OUTSIDE}
        for name, n in found:
            if name != OUTSIDE:
                there[name.partition("-")[2]] += n
        return [kind for kind, n in there.items() if not n]

    def counted(self, gold: Int64, predicted: Int64, owner: Int64) -> RowCounts:
        """Return what the sentences add whose words stand one after another."""
        begins = np.flatnonzero(np.diff(owner, prepend=-1))[1:]
        return self._counted(np.split(gold, begins), np.split(predicted, begins))

    def scored(
        self, targets: Targets, encoded: Encoded, rows: Int64, outputs: Float32
    ) -> RowCounts:
        """Return what the tagged sentences add; a lost word counts as predicted ``O``."""
        words = self._words(encoded, rows, outputs)
        tags = cast(WordTargets, targets).rows
        # A row of a shared pass may carry no tags of this task.
        pairs = [
            (_known(tags[row]), found[tags[row] != IGNORE])
            for row, found in zip(rows, words, strict=True)
            if _has_tags(tags[row])
        ]
        return self._counted([gold for gold, _ in pairs], [found for _, found in pairs])

    def told(self, targets: Targets, encoded: Encoded, rows: Int64, outputs: Float32) -> Told:
        """Return tags and their probabilities of the tagged words, lost ones too."""
        tags = cast(WordTargets, targets).rows
        kept: dict[int, Float32] = {}  # by row of data, as `put` writes them
        self.row_space.put(kept, encoded, rows, self.decoded(outputs), self.lost())
        parts = []
        for row, codes in zip(rows.tolist(), self._words(encoded, rows, outputs), strict=True):
            known = np.flatnonzero(tags[row] != IGNORE)
            owner = np.full(len(known), row, np.int64)
            shares = self.probabilities(kept[row])[known]
            parts.append(Told(owner, tags[row][known].astype(np.int64), codes[known], shares))
        return Told.joined(parts)

    def _words(self, encoded: Encoded, rows: Int64, outputs: Float32) -> list[Int64]:
        """Return the class predicted for each word, row by row."""
        # Without an O among the labels a lost word is wrong whatever its label: -1 is no class.
        lost = self.labels.index(OUTSIDE) if OUTSIDE in self.labels else -1
        codes = outputs.argmax(axis=1)
        if self.crf:
            codes = token_tags(encoded, rows.tolist(), outputs, len(self.labels))
        return word_values(encoded, rows.tolist(), codes, lost)

    def baseline(self, train: Targets, gold: Targets) -> RowCounts:
        """Predict the most frequent tag everywhere; among equals ``O``, then the first."""
        often = self.class_counts(train)
        outside = self.labels.index(OUTSIDE) if OUTSIDE in self.labels else 0
        guess = outside if often[outside] == often.max() else int(often.argmax())
        rows = _tagged(gold)
        return self._counted(rows, [np.full(len(row), guess) for row in rows])

    def _counted(
        self, gold: Sequence[NDArray[np.integer]], predicted: Sequence[NDArray[np.integer]]
    ) -> RowCounts:
        if self.measure is ENTITIES:
            return token_counts(*([self._names(row) for row in rows] for rows in (gold, predicted)))
        right = [int((a == b).sum()) for a, b in zip(gold, predicted, strict=True)]
        return np.stack([[len(row) for row in gold], right], axis=1).astype(np.int64)

    def _names(self, codes: NDArray[np.integer]) -> list[str]:
        return [self.labels[code] for code in codes]


def _tagged(targets: Targets) -> list[NDArray[np.int32]]:
    """Return the classes of the words that have a tag, of each row with tags."""
    return [_known(row) for row in cast(WordTargets, targets).rows if _has_tags(row)]


def _has_tags(row: NDArray[np.int32]) -> bool:
    """Say whether a row has tags of the task; one without words does."""
    return not len(row) or bool((row != IGNORE).any())


def _known(row: NDArray[np.int32]) -> NDArray[np.int32]:
    known: NDArray[np.int32] = row[row != IGNORE]
    return known


def encode_tags(examples: Examples, task: str, names: Sequence[str], head: str) -> RaggedArrays:
    """Encode one tag per word.

    Parameters
    ----------
    examples : Examples
        Rows of words.
    task, names, head
        As in `encode_labels`.

    Returns
    -------
    sequence of (n_words,) int32 arrays
        Class indices by row; `IGNORE` for words without a tag, all of a row without tags for this
        task.

    Raises
    ------
    DataError
        For texts instead of words, an unknown tag (with the closest), a tag that breaks IOB2, or
        data without any tags of the task.
    """
    labels = each_label(examples, task)
    table = LabelCodes(names, head)
    iob2 = is_iob2(names)
    result = GrowingRagged(np.int32)
    for row, tags in labels:
        if row.words is None:
            raise DataError(
                f"{row.source}: head {quoted(head)} labels words: expected (words, tags); found a "
                "text; "
                "split the text into words and give one tag per word"
            )
        if tags is None:
            result.append(np.full(len(row.words), IGNORE, dtype=np.int32))
            continue
        if not isinstance(tags, tuple):
            raise DataError(
                f"{row.source}: head {quoted(head)} labels words: expected one tag per word; found "
                "the "
                f"label {quoted(tags)}; use a SequenceClassification head for labels of whole texts"
            )
        codes: list[int] = []
        try:
            for tag in tags:
                codes.append(IGNORE if tag is None else table.of(cast(Any, tag), ""))
        except DataError as error:
            every = (one.label_for(task) for one in examples)
            flat = (tag for other in every if isinstance(other, tuple) for tag in other)
            position = len(codes)
            raise DataError(
                f"{row.source}: word {position} ({quoted(row.words[position])}){error}"
                f"{proposed_map(flat, names)}"
            ) from None
        if iob2:
            _check_iob2(row, [None if code == IGNORE else names[code] for code in codes])
        result.append(np.asarray(codes, dtype=np.int32))
    found = result.finish()
    words = found.flat
    if len(words) and (words == IGNORE).all():
        raise DataError(
            f"{examples.name}: expected words with tags for {quoted(task)}; found "
            f"{counted(len(found), 'row')} and no word with one; add tags to the rows"
        )
    return found


def _check_iob2(row: Example, tags: Sequence[str | None]) -> None:
    """Raise if an entity of gold tags does not begin with ``B-``."""
    fault = iob2_fault(tags)
    if fault is None:
        return
    position, previous, tag = fault
    word = (row.words or ())[position]
    raise DataError(
        f"{row.source}: word {position} ({quoted(word)}): expected IOB2, where an entity begins "
        "with "
        f"'B-{tag[2:]}'; found {quoted(tag)} after {quoted(previous)}; correct the tag, or read "
        "the file with "
        "read_conll(scheme='iob1') if it is written in IOB1"
    )
