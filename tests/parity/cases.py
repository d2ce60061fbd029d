# SPDX-License-Identifier: Apache-2.0
"""The models and batches that parity is checked on: configurations, seeded weights, seeded batches.

Weights come from NumPy's seeded generator and are rounded to float16, so that a golden file holds
them exactly in half the space. Needs neither torch nor mtfreeze.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HEAD_LABELS = {"classifier": 3, "ner_head": 5}
TASK_WEIGHTS = {"classifier": 1.0, "ner_head": 0.7}
RATES = {"backbone": 1e-3, "heads": 5e-3}
IGNORE = -100

BASE: dict[str, Any] = {
    "model_type": "bert",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "pad_token_id": 0,
    "normalize": True,
}

GOLDEN: dict[str, dict[str, Any]] = {
    "gelu": {
        **BASE,
        "hidden_act": "gelu",
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "vocab_size": 97,
        "max_position_embeddings": 40,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "pooling": "mean",
    },
    "gelu_new": {
        **BASE,
        "hidden_act": "gelu_new",
        "hidden_size": 36,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 52,
        "vocab_size": 61,
        "max_position_embeddings": 33,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "pooling": "mean",
    },
    "relu": {
        **BASE,
        "hidden_act": "relu",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "intermediate_size": 64,
        "vocab_size": 61,
        "max_position_embeddings": 33,
        "type_vocab_size": 3,
        "layer_norm_eps": 1e-6,
        "pooling": "cls",
    },
}
"""Small models of the golden files; `head_hidden` says which heads have a hidden layer."""

BERT_BASE: dict[str, Any] = {
    **BASE,
    "hidden_act": "gelu",
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "vocab_size": 3000,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pooling": "mean",
}
"""BERT-base's layers; the vocabulary is cut down, since rows never looked up prove nothing."""


class Head(NamedTuple):
    """A head: its kind, labels and hidden widths (activation gelu)."""

    kind: str
    n_labels: int
    hidden: tuple[int, ...] = ()


class Packed(NamedTuple):
    """A packed batch with labels: ids (T,), offsets (B+1,), token types (T,) or None."""

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    token_types: NDArray[np.int32] | None
    labels: dict[str, NDArray[np.int32]]


def head_hidden(case: str) -> dict[str, tuple[int, ...]]:
    """Return the widths of each head's hidden layers in a case."""
    return {"classifier": (24,) if case == "gelu_new" else (), "ner_head": ()}


def parameter_shapes(
    config: Mapping[str, Any], hidden: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Return key -> shape of backbone and heads, written out from the published BERT layout."""
    width, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, n_out: int, n_in: int) -> None:
        shapes[f"{name}.weight"] = (n_out, n_in)
        shapes[f"{name}.bias"] = (n_out,)

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    for name, size in (
        ("word", config["vocab_size"]),
        ("position", config["max_position_embeddings"]),
        ("token_type", config["type_vocab_size"]),
    ):
        shapes[f"backbone.embeddings.{name}_embeddings.weight"] = (int(size), width)
    norm("backbone.embeddings.LayerNorm")
    for layer in range(int(config["num_hidden_layers"])):
        prefix = f"backbone.encoder.layer.{layer}."
        for part in ("query", "key", "value"):
            linear(f"{prefix}attention.self.{part}", width, width)
        linear(f"{prefix}attention.output.dense", width, width)
        norm(f"{prefix}attention.output.LayerNorm")
        linear(f"{prefix}intermediate.dense", inner, width)
        linear(f"{prefix}output.dense", width, inner)
        norm(f"{prefix}output.LayerNorm")
    for head, n_labels in HEAD_LABELS.items():
        before = width
        for at, size in enumerate(hidden.get(head, ())):
            linear(f"{head}.hidden.{at}", size, before)
            before = size
        linear(head, n_labels, before)
    return shapes


def seeded_weights(
    shapes: Mapping[str, tuple[int, ...]], seed: int, scale: float
) -> dict[str, NDArray[np.float32]]:
    """Return normal values of deviation `scale` (around 1 for norms' weights), float16-exact."""
    rng = np.random.default_rng(seed)
    weights = {}
    for key, shape in shapes.items():
        values = scale * rng.standard_normal(shape)
        if "LayerNorm.weight" in key:
            values += 1.0
        weights[key] = values.astype(np.float16).astype(np.float32)
    return weights


def seeded_batch(
    config: Mapping[str, Any], seed: int, lengths: tuple[int, ...]
) -> tuple[
    NDArray[np.int32], NDArray[np.int64], NDArray[np.int32] | None, dict[str, NDArray[np.int32]]
]:
    """Return ids (T,), offsets (B+1,), token types (T,) or None, and labels of both heads.

    About every third token carries no label, and neither does the first sequence for the
    classifier, so that ignored labels are part of every comparison. Id 0, the padding, never
    occurs: torch gives its row no gradient, and here nothing is padded.
    """
    rng = np.random.default_rng(seed)
    n_tokens = sum(lengths)
    ids = rng.integers(1, int(config["vocab_size"]), n_tokens).astype(np.int32)
    types = None
    if int(config["type_vocab_size"]) > 1:
        types = rng.integers(0, int(config["type_vocab_size"]), n_tokens).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    classes = rng.integers(0, HEAD_LABELS["classifier"], len(lengths)).astype(np.int32)
    classes[0] = IGNORE
    tags = rng.integers(0, HEAD_LABELS["ner_head"], n_tokens).astype(np.int32)
    tags[rng.random(n_tokens) < 1 / 3] = IGNORE
    return ids, offsets, types, {"classifier": classes, "ner_head": tags}


LENGTHS = (7, 1, 12, 33, 3)
"""Sequence lengths of the golden batches: one token alone, and up to the longest allowed."""
