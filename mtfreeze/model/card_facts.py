# SPDX-License-Identifier: Apache-2.0
"""The card of a model's folder: its facts, and when it is written.

A card that somebody else wrote is never replaced: not one that lies where the model is saved to,
nor one of ours that was changed. A card that came with the model speaks of the model as it came. It
stays the card while that is what is saved; once there is a head or a run, it goes along as
``README.base.md``, and its licence is named in the new card.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..closest import counted
from ..errors import CheckpointError, ConfigError
from ..families import IMAGES
from ..files.reading import read_file
from ..files.whole_file import write_synced
from ..freezing.describe import frozen_line
from ..heads.kind import HeadSpec
from ..heads.similarity import Similarity
from ..sharing.card import (
    BASE_CARD,
    CARD,
    CardFacts,
    HeadFacts,
    card_text,
    license_of,
    written_here,
)
from .only_head import only_head
from .task_models import check_task_model, class_name

if TYPE_CHECKING:
    from .state import ModelState

__all__ = ["is_another", "write_card"]

_LARGEST = 1_000_000

_TASKS = {
    "sequence_classification": ("text-classification", "AutoModelForSequenceClassification"),
    "multi_label_classification": ("text-classification", "AutoModelForSequenceClassification"),
    "pair_classification": ("text-classification", "AutoModelForSequenceClassification"),
    "regression": ("text-classification", "AutoModelForSequenceClassification"),
    "token_classification": ("token-classification", "AutoModelForTokenClassification"),
    "question_answering": ("question-answering", "AutoModelForQuestionAnswering"),
    "masked_lm": ("fill-mask", "AutoModelForMaskedLM"),
    "causal_lm": ("text-generation", "AutoModelForCausalLM"),
    "detection": ("object-detection", "AutoModelForObjectDetection"),
    Similarity.kind: ("sentence-similarity", ""),
}
"""The hub's name of the task and the class of transformers, by kind of head over texts."""
_OF_IMAGES = ("image-classification", "AutoModelForImageClassification")


def is_another(model: ModelState) -> bool:
    """Say whether a model is no longer what it came as: it has a head, or a run trained it."""
    return bool(model.heads) or model._loaded.last_run is not None


def write_card(
    model: ModelState, draft: Path, target: Path, place: str, head: str | None, known: bool
) -> None:
    """Write the card into the new folder `draft`, unless another one has its place.

    Parameters
    ----------
    model : ModelState
        What was written there.
    draft, target : Path
        The new folder, and the one that it takes the place of.
    place : str
        How the card calls the folder.
    head : str or None
        The head, where the folder is a task model.
    known : bool
        Whether the model is as its last run left it.
    """
    earlier = target / CARD
    if os.path.lexists(earlier) and not _ours(earlier):
        return
    if (draft / CARD).exists():  # the model as it came, with the card that it came with
        return
    facts = card_facts(model, place, head, known, (draft / "modules.json").is_file())
    write_synced(draft / CARD, card_text(facts).encode("utf-8"))


def _ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    try:
        return written_here(read_file(path, CheckpointError, _LARGEST))
    except (CheckpointError, OSError):  # what cannot be read is not replaced either
        return False


def card_facts(
    model: ModelState, place: str, head: str | None, known: bool, for_sentences: bool
) -> CardFacts:
    """Return what a card says of a model; the parameters are those of `write_card`."""
    family, loaded = model.index.family, model._loaded
    run = loaded.last_run if known else None
    names = list(model.heads) if head is None else [head]
    base, commit = base_name(model)
    cards = [loaded.extra_files.get(name, b"") for name in (CARD, BASE_CARD)]
    licenses = [found for found in map(license_of, cards) if found]
    steps = "" if run is None else counted(run.n_steps, "step")
    if run is not None and run.n_steps < run.n_planned:
        steps = f"{run.n_steps} of {counted(run.n_planned, 'planned step')}"
    return CardFacts(
        place=place,
        family=family.model_type,
        reads=family.reads,
        base=base,
        commit=commit,
        license=licenses[0] if licenses else "",
        heads=[_head_facts(model, name, known) for name in names],
        task_model=head is not None,
        with_head=head is None and only_head(model) is not None,
        for_sentences=for_sentences,
        for_transformers=bool(family.class_stem) and "model_type" in model.config,
        adapter="" if model.adapter is None else model.adapter.kind,
        state=frozen_line(model),
        phases=() if run is None else run.phases,
        verdict="" if run is None else run.verdict,
        steps=steps,
    )


def base_name(model: ModelState) -> tuple[str, str]:
    """Return the name on the hub that a model began as, and the commit, as far as is known."""
    if model.base is not None:
        return model.base.name, model.base.commit
    return model._loaded.origin, ""


def _head_facts(model: ModelState, name: str, known: bool) -> HeadFacts:
    head, run = model.heads[name], model._loaded.last_run if known else None
    task = None if run is None else run.tasks.get(name)
    pipeline, auto_class = _task(model, head.spec)
    return HeadFacts(
        name,
        head.spec.kind,
        tuple(map(str, head.spec.labels)),
        head.trained,
        pipeline,
        auto_class,
        _form(model, name),
        None if task is None else task.train,
        None if task is None else task.eval,
        {} if task is None else task.metrics,
    )


def _task(model: ModelState, spec: HeadSpec) -> tuple[str, str]:
    if model.index.family.reads == IMAGES and spec.kind != "detection":
        return _OF_IMAGES
    return _TASKS.get(spec.kind, ("", ""))


def _form(model: ModelState, name: str) -> str:
    """Return the class of transformers that a head can be saved as; ``""``: there is none."""
    if model.adapter is not None:
        return ""
    try:
        check_task_model(model, name)
    except ConfigError:
        return ""
    return class_name(model, name)
