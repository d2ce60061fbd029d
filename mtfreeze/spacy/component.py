# SPDX-License-Identifier: Apache-2.0
"""One head in a pipeline of spaCy: documents annotated, examples learned, the model kept.

A head of texts fills ``doc.cats``, a head of words ``doc.ents`` where its labels are IOB2 tags and
``token.tag_`` where they are not; ``doc.tensor`` gets a vector a token where that is asked for.
spaCy loads a pipeline by making its components first, so a model is loaded when it is needed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import srsly
from numpy.typing import NDArray
from spacy.language import Language
from spacy.scorer import Scorer, get_ner_prf
from spacy.tokens import Doc, Span
from spacy.util import minibatch

from ..checks import check_choice
from ..closest import name_list
from ..errors import ConfigError, DataError
from ..files.inner_names import inner_path
from ..heads.kind import HeadSpec
from ..heads.multi_label_classification import MultiLabelClassification
from ..heads.task import Task
from ..heads.token_classification import TokenClassification
from ..inputs.packing import LOST
from ..metrics.entities import entity_spans, is_iob2
from ..model.encoding import encode_rows
from ..model.pickling import folder_files, write_files
from ..multi_task_model import MultiTaskModel
from ..quoting import quoted
from .gold import TASKS, labels_of, rows_of

__all__ = ["HeadComponent"]


class HeadComponent:
    """One head of a model in a pipeline of spaCy.

    Parameters
    ----------
    name : str
        Of the component.
    model : str
        Folder or name of the model; it is loaded when it is first needed.
    head : str, optional
        Of the model; by default its only one. `initialize` makes it if there is none.
    task : {"textcat", "textcat_multilabel", "ner"}, optional
        What `initialize` makes a head for.
    freeze : str, optional
        Selector of what does not train; None: as the model is.
    learning_rate : float
        Of AdamW, in every `update`.
    tensor : bool
        Whether ``doc.tensor`` is filled, (n_tokens, width) float32: the last layer's vector of each
        token's first sub-word, zeros for a token without one. It takes a pass of its own.
    """

    def __init__(
        self,
        name: str,
        model: str,
        head: str | None,
        task: str | None,
        freeze: str | None,
        learning_rate: float,
        tensor: bool,
    ) -> None:
        self.name = name
        if task is not None:
            check_choice("task", task, TASKS)
        self._source, self._head, self._task = model, head, task
        self._freeze, self._rate, self._tensor = freeze, learning_rate, tensor
        self._model: MultiTaskModel | None = None

    @property
    def model(self) -> MultiTaskModel:
        """The model, loaded now if it was not."""
        if self._model is None:
            model = MultiTaskModel.from_pretrained(self._source)
            if self._freeze is not None:
                model.freeze(self._freeze)
            self._model = model
        return self._model

    @property
    def head(self) -> str:
        """Name of the head.

        Raises
        ------
        ConfigError
            If the model has none, or several and none was named, or it says what no document holds.
        """
        model = self.model
        if self._head is None and len(model.heads) != 1:
            raise ConfigError(
                f"component {quoted(self.name)} needs a head; found "
                f"{name_list(model.heads) if model.heads else 'a model without heads'}; name one "
                "with head=, or give task= and call nlp.initialize with examples"
            )
        name = next(iter(model.heads)) if self._head is None else self._head
        check_choice("head", name, model.heads)
        if type(model.heads[name].spec) not in TASKS.values():
            raise ConfigError(
                f"component {quoted(self.name)} reads heads of texts or of words; found "
                f"{quoted(name)}, a {model.heads[name].kind} head; call model.predict yourself"
            )
        return name

    @property
    def labels(self) -> tuple[str, ...]:
        """What the head tells apart; nothing before there is a model and a head, as spaCy asks."""
        return () if self._model is None or not self._has_head() else tuple(self._spec.labels)

    @property
    def _spec(self) -> HeadSpec:
        return self.model.heads[self.head].spec

    def _has_head(self) -> bool:
        heads = self.model.heads
        return bool(heads) if self._head is None else self._head in heads

    # ---- documents -------------------------------------------------------------------------------

    def __call__(self, doc: Doc) -> Doc:
        """Annotate one document."""
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Annotate documents, `batch_size` in a pass."""
        for docs in minibatch(stream, size=batch_size):
            self._annotate(docs)
            yield from docs

    def _annotate(self, docs: list[Doc]) -> None:
        if self._has_head() or not self._tensor:
            self._tell(docs)
        if self._tensor:
            for doc, rows in zip(docs, _token_vectors(self.model, docs), strict=True):
                doc.tensor = rows

    def _tell(self, docs: list[Doc]) -> None:
        head, labels = self.head, self._spec.labels
        if not isinstance(self._spec, TokenClassification):
            found: Any = self.model.predict_proba(head, [doc.text for doc in docs])
            for doc, shares in zip(docs, found, strict=True):
                doc.cats = dict(zip(labels, shares.tolist(), strict=True))
            return
        tags: Any = self.model.predict(head, _words(docs), words=True)
        for doc, row in zip(docs, tags, strict=True):
            if is_iob2(labels):
                spans = [Span(doc, begin, end, label=one) for one, begin, end in entity_spans(row)]
                doc.set_ents(spans, default="outside")
            else:
                for token, tag in zip(doc, row, strict=True):
                    token.tag_ = tag

    # ---- training --------------------------------------------------------------------------------

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Any]],
        *,
        nlp: Language | None = None,
        labels: Iterable[str] | None = None,
    ) -> None:
        """Load the model, and give it a head of the examples' labels if it has not the one asked.

        Raises
        ------
        ConfigError
            If there is no head and no `task` to make one for.
        DataError
            If the examples have no label.
        """
        model = self.model
        if self._has_head() or self._task is None:
            _ = self.head  # or an error that says what is missing
            return
        spec = TASKS[self._task]
        known = list(labels or labels_of(get_examples(), self._task))
        if not known:
            raise DataError(
                f"component {quoted(self.name)} needs examples with labels for "
                f"{quoted(self._task)}; found none; give doc.cats or doc.ents"
            )
        self._head = self._head or self.name
        model.add_head(self._head, spec(tuple(known)))

    def update(
        self,
        examples: Iterable[Any],
        *,
        drop: float = 0.0,
        sgd: Any = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Take one step of AdamW on examples, and return the losses by component.

        `drop` and `sgd` are spaCy's: dropout and rate are those of the head and of the
        configuration. Examples without a label of this head are left out.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        rows = rows_of(examples, self._spec)
        if rows:
            task = Task(train=rows)
            step = self.model.step({self.head: task}, learning_rate=self._rate)
            losses[self.name] += step.losses[self.head]
        return losses

    def score(self, examples: Iterable[Any], **given: Any) -> dict[str, Any]:
        """Return spaCy's figures: of categories, of entities or of tags."""
        spec = self._spec
        if not isinstance(spec, TokenClassification):
            several = isinstance(spec, MultiLabelClassification)
            return dict(
                Scorer.score_cats(
                    examples, "cats", labels=spec.labels, multi_label=several, **given
                )
            )
        if is_iob2(spec.labels):
            return dict(get_ner_prf(examples))
        return dict(Scorer.score_token_attr(examples, "tag"))

    # ---- files -----------------------------------------------------------------------------------

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save the model as `MultiTaskModel.save_pretrained` does."""
        self.model.save_pretrained(path)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> HeadComponent:
        """Load the model that `to_disk` saved, as frozen as it was."""
        self._model = MultiTaskModel.from_pretrained(path)
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Return the files of the model in one piece."""
        return bytes(srsly.msgpack_dumps(folder_files(self.model)))

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> HeadComponent:
        """Load the model from what `to_bytes` returned."""
        with tempfile.TemporaryDirectory(prefix="mtfreeze-spacy-") as folder:
            files = srsly.msgpack_loads(data)
            for name in files:
                inner_path(Path(folder), name, f"component {quoted(self.name)}")
            write_files(files, Path(folder))
            return self.from_disk(folder)


def _words(docs: Iterable[Doc]) -> list[list[str]]:
    return [[token.text for token in doc] for doc in docs]


def _token_vectors(model: MultiTaskModel, docs: list[Doc]) -> Iterator[NDArray[np.float32]]:
    """Yield the vectors of each document's tokens, (n_tokens, width)."""
    words = _words(docs)
    firsts = encode_rows(model, words, words=True)
    found = model.forward(words, ["hidden"], words=True)
    for i, row in enumerate(words):
        first = firsts.first_subwords(i)
        rows = np.zeros((len(row), model.token_width), np.float32)
        kept = first != LOST
        rows[kept] = found["hidden"][int(found["offsets"][i]) + first[kept]]
        yield rows
