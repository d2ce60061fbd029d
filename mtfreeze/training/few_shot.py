# SPDX-License-Identifier: Apache-2.0
"""`few_shot`: learn from a few rows a label, as SetFit does (Tunstall et al. 2022).

First the backbone: pairs of rows, alike or not, whose embeddings are to have the cosine 1 or 0.
Then the head: a logistic regression on the embeddings that have become of the rows. A head of
similarity is in the model while the pairs are learned, and nothing of it is left.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._core import Bracket
from ..checks import check_choice, check_integer, check_seed, typed
from ..closest import counted, name_list
from ..data.example import Example
from ..data.examples import Examples, Rows, as_examples
from ..data.labelled_pairs import check_pairs, draw_pairs
from ..data.labels import IGNORE
from ..errors import ConfigError, DataError, SelectorError
from ..evaluating.evaluate import evaluate
from ..freezing.facts import publish
from ..freezing.selectors import Selector
from ..heads.head import Head
from ..heads.kind import PooledHead
from ..heads.similarity import Similarity
from ..heads.task import Task
from ..model.state import check_model
from ..planning.freeze_schedule import FreezeSchedule
from ..quoting import quoted
from .fit import fit
from .logistic import fit_classes, fit_labels
from .run import Run

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["few_shot"]

_KINDS = ("sequence_classification", "multi_label_classification")

Labels = NDArray[np.int32] | NDArray[np.float32]


def few_shot(
    model: MultiTaskModel,
    head: str,
    rows: Rows,
    eval: Rows | None = None,
    *,
    train: Selector = "backbone",
    pairs: str | int = "oversampling",
    epochs: int = 1,
    learning_rate: float = 2e-5,
    batch_size: int = 16,
    seed: int = 0,
    progress: bool = True,
) -> Run:
    """Train the backbone on pairs of a few labelled rows, then a head on its embeddings.

    Parameters
    ----------
    model : MultiTaskModel
        Changed in place; its freeze state is the same afterwards.
    head : str
        A head that gives labels to texts, without hidden layers. It becomes a logistic regression,
        whatever it was before.
    rows : Examples or rows
        ``[(text, label), ...]``, at least one row of each label; 8 or 16 of each are usual.
    eval : Examples or rows, optional
        Rows to evaluate on afterwards.
    train : selector
        What of the backbone learns from the pairs: ``"backbone"``, or upper layers such as
        ``"backbone.layers[4:]"``, which takes less time and memory. The rest is frozen meanwhile,
        and so is what `freeze` pinned.
    pairs : {"oversampling", "undersampling", "unique"} or int
        Of all n(n + 1)/2 pairs of n rows, each row with itself too: alike ones and others as many
        as there are more of, as many as there are less of, each as they are; or so many of each
        kind for every row. More than a million are refused.
    epochs : int
        Passes over the pairs.
    learning_rate : float
        Of what learns from pairs: a warm-up over a tenth of the steps, then down to zero.
    batch_size : int
        Pairs a step.
    seed : int
        Of pairs, order and dropout.
    progress : bool
        Draw progress bars.

    Returns
    -------
    Run
        Of the pairs; its metrics hold ``eval_<head>_...`` of the trained head.

    Raises
    ------
    TypeError, ConfigError, SelectorError
        If an argument does not hold, the head is unknown or of another kind, or frozen.
    DataError
        If a label has no row.
    TrainingError
        If a loss is not finite.

    Notes
    -----
    With ``features="embedding"`` the head reads what the pairs brought together, lengths
    normalised, as in SetFit. Interrupted while it learns from pairs, the head stays as it was.

    Examples
    --------
    >>> few = [(f"{word} film", label) for label in ("negative", "positive")
    ...        for word in (["bad", "dull"] if label == "negative" else ["good", "great"])]
    >>> run = mtf.few_shot(model, "classifier", few, progress=False)
    >>> model.predict("classifier", ["a great film", "a dull film"])
    ['positive', 'negative']
    """
    check_model(model)
    found = _check_head(model, head)
    data = as_examples(rows, "rows")
    judged = None if eval is None else Task(eval=as_examples(eval, "eval"))
    labels = found.spec.targets(data, head, head).flat()
    known = labels != IGNORE if labels.ndim == 1 else ~np.isnan(labels).any(axis=1)
    data, labels = data.select(np.flatnonzero(known)), labels[known]
    _check_labels(found, labels)
    number = check_integer("epochs", epochs, 1)
    seed = check_seed("seed", seed)
    alike = _as_pairs(data, draw_pairs(labels, check_pairs(pairs), seed))
    pair_head = _new_name(model)
    taught = _check_selector(train)
    schedule = FreezeSchedule().phase(
        train=[*taught, pair_head, head],
        freeze=sorted(model.freeze_state().pinned) or None,
        epochs=number,
        name="pairs",
    )

    def learn() -> Run:
        model.add_head(pair_head, Similarity("cosine"))
        return fit(
            model,
            {pair_head: Task(train=alike)},
            freeze_schedule=schedule,
            learning_rate=learning_rate,
            batch_size=batch_size,
            seed=seed,
            progress=progress,
        )

    def leave() -> None:
        if pair_head in model.heads:
            model.remove_head(pair_head)

    run = Bracket(None, leave).run(learn)
    if run.interrupted:
        return run
    _train_head(model, found, [row.text or "" for row in data], labels)
    if judged is not None:
        metrics = evaluate(model, {head: judged}, progress=progress)
        run.metrics |= metrics
        run.history.append({"step": run.n_steps, "epoch": number, **metrics})
    return run


def _check_selector(train: object) -> list[str]:
    """Return a selector as a list; what it names is found out when the run is planned."""
    if isinstance(train, str):
        return [train]
    if not isinstance(train, list | tuple):
        raise TypeError(
            f"train must be a selector (str) or a list of them; found {typed(train)}; use e.g. "
            "'backbone' or 'backbone.layers[4:]'"
        )
    return list(train)


def _check_head(model: MultiTaskModel, name: object) -> Head:
    """Return a head that a logistic regression can become of."""
    head = model.heads[check_choice("head", name, model.heads, error=SelectorError)]
    spec = head.spec
    if spec.kind not in _KINDS or not isinstance(spec, PooledHead):
        raise ConfigError(
            "few_shot trains a head that gives labels to texts, such as "
            f"SequenceClassification; found {quoted(head.name)}, a {spec.kind} head"
        )
    if spec.hidden:
        raise ConfigError(
            "few_shot trains a head without hidden layers; found "
            f"{quoted(head.name)} with {name_list([str(one) for one in spec.hidden])}; add one "
            "with hidden=()"
        )
    if spec.pooling is not None or spec.features not in ("pooled", "embedding"):
        raise ConfigError(
            "few_shot trains a head that reads the model's own pooling; found "
            f"{quoted(head.name)} with pooling={quoted(spec.pooling)} and "
            f"features={quoted(spec.features)}; leave them out, or use features='embedding'"
        )
    if head.frozen:
        raise ConfigError(
            f"few_shot trains {quoted(head.name)}; found it frozen; call "
            f"model.unfreeze({quoted(head.name)}) first"
        )
    return head


def _check_labels(head: Head, labels: Labels) -> None:
    """Check that every label can be told from the others by these rows."""
    names = head.labels
    if labels.ndim == 1:
        counts = np.bincount(labels.astype(np.int64), minlength=len(names))
        missing = [name for name, n in zip(names, counts, strict=True) if not n]
        always: list[str] = []
    else:
        there = (labels > 0).sum(axis=0)
        missing = [name for name, n in zip(names, there, strict=True) if not n]
        always = [name for name, n in zip(names, there, strict=True) if n == len(labels)]
    if missing or always or not len(labels):
        found = f"none of {name_list(missing)}" if missing else f"all of {name_list(always)}"
        raise DataError(
            f"few_shot needs rows of every label of {quoted(head.name)}, and others; found "
            f"{counted(len(labels), 'labelled row')}, {found}; add rows, or leave the label out of "
            "the head"
        )


def _as_pairs(data: Examples, drawn: tuple[Any, Any, Any]) -> Examples:
    """Return pairs as rows of two texts with the score 1 or 0."""
    texts = [row.text or "" for row in data]
    return Examples(
        (
            Example(None, None, float(alike), None, f"pair {i}", (texts[a], texts[b]))
            for i, (a, b, alike) in enumerate(zip(*(one.tolist() for one in drawn), strict=True))
        ),
        "pairs",
    )


def _new_name(model: MultiTaskModel) -> str:
    """Return a name that no head of the model has."""
    known = {name.casefold() for name in model.heads}
    return next(
        name for name in ("pairs", *(f"pairs_{i}" for i in range(len(known)))) if name not in known
    )


def _train_head(model: MultiTaskModel, head: Head, texts: list[str], labels: Labels) -> None:
    """Make a head the logistic regression of its features on these rows."""
    spec = head.spec
    assert isinstance(spec, PooledHead)
    normalize = None if spec.features == "embedding" else False
    features = model.encode(texts, normalize_embeddings=normalize)
    if labels.ndim == 1:
        classes = labels.astype(np.int64)
        weights, biases = fit_classes(features, classes, len(spec.labels), spec.bias)
    else:
        weights, biases = fit_labels(features, labels > 0, spec.bias)
    values = {f"{head.name}.weight": weights}
    if spec.bias:
        values[f"{head.name}.bias"] = biases
    index = model.index.key_index
    changes = [
        partial(model._core.set_param, index[key], value.astype(np.float32))
        for key, value in values.items()
    ]
    publish(model, model._facts.trained([head.name]), *changes)
