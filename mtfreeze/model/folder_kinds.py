# SPDX-License-Identifier: Apache-2.0
"""Folders of another kind of model, of which an encoder could be taken: said, never passed over.

A cross-encoder (a reranker) reads two texts at once and gives one number for them; its encoder
alone gives vectors that nobody trained. Classifiers, and folders that say in ``problem_type`` what
their one number is, are no case of this: their heads are taken by ``add_head(from_pretrained=)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..families import Family
from ..files.json_files import read_object
from ..files.tensor_files import TensorEntry
from ..notices import OtherKindWarning, warn
from ..quoting import quoted

__all__ = ["check_same_family", "warn_of_another_kind"]

_CROSS_ENCODER = ("sentence_transformers", "sentence_ce_default_activation_function")
"""Keys that sentence-transformers writes into config.json of cross-encoders alone."""

_OWN_KIND = "SentenceTransformer"
_SENTENCE_FILE = "config_sentence_transformers.json"


def check_same_family(family: Family, config: Mapping[str, Any], folder: Path, what: str) -> None:
    """Refuse the head of a folder whose backbone is of another family than the model.

    Parameters
    ----------
    family : Family
        Of the model that the head is added to.
    config : mapping
        The folder's ``config.json``.
    folder : Path
        For messages.
    what : str
        What such folders are called: ``"language model"``.

    Raises
    ------
    ConfigError
        If it is.
    """
    ours, theirs = family.model_type, config.get("model_type")
    if ours != theirs:
        raise ConfigError(
            f"{folder}: expected a {what} of the family {quoted(ours)}; found {quoted(theirs)}; "
            "load that folder as the model"
        )


def warn_of_another_kind(
    folder: Path, config: Mapping[str, Any], entries: Mapping[str, TensorEntry]
) -> None:
    """Warn if a folder that another program saved holds more than an encoder of texts.

    Parameters
    ----------
    folder : Path
        The model.
    config : mapping
        Its ``config.json``.
    entries : mapping of str to TensorEntry
        Its tensors by their plain names.

    Warns
    -----
    OtherKindWarning
        If it is a cross-encoder, or says that it is another kind of model.
    """
    kind = _kind(folder, config, entries)
    if kind is not None:
        warn(
            f"expected a model that gives a vector for a text in {folder}; found {kind}, of which "
            "the encoder alone was loaded: its vectors were trained for something else; train "
            "them, or choose a sentence or base model",
            OtherKindWarning,
        )


def _kind(
    folder: Path, config: Mapping[str, Any], entries: Mapping[str, TensorEntry]
) -> str | None:
    """Say what a folder holds if it is no encoder of texts."""
    path = folder / _SENTENCE_FILE
    named = read_object(path).get("model_type") if path.is_file() else None
    if named not in (None, _OWN_KIND):
        return f"a {quoted(str(named)[:80])}"
    if any(config.get(key) for key in _CROSS_ENCODER):
        return "a cross-encoder, which scores pairs of texts"
    logits = entries.get("classifier.weight")
    named = config.get("architectures")
    classes = named if isinstance(named, list) else []
    scores = any(str(one).endswith("ForSequenceClassification") for one in classes)
    told = config.get("problem_type") is not None  # which cross-encoders do not say
    if scores and not told and logits is not None and logits.shape[:1] == (1,):
        return "a model that gives one number for texts, as cross-encoders do"
    return None
