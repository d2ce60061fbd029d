# SPDX-License-Identifier: Apache-2.0
"""Heads: what the user writes (`SequenceClassification`, `TokenClassification`) and what is there.

A head is dropout, optional hidden layers, and one linear layer to the labels' logits. A sequence
head reads one vector a text, a token head one vector a token.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from ..checks import as_number
from ..closest import name_list, unknown
from ..errors import ConfigError

__all__ = [
    "KINDS",
    "RESERVED",
    "Head",
    "HeadSpec",
    "SequenceClassification",
    "TokenClassification",
    "check_head_name",
    "spec_from_dict",
]

RESERVED = ("backbone", "heads", "all", "none", "embeddings", "layers", "pooler", "lora")
"""Names that selectors use."""

_OUTPUTS = ("hidden", "pooled", "embedding", "hidden_states", "offsets")
"""Names that `forward` returns things under."""

_ACTIVATIONS = ("gelu", "gelu_new", "relu", "tanh", "silu", "none")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class HeadSpec:
    """Common to both kinds of head.

    Parameters
    ----------
    labels : sequence of str
        Two or more different names; their order is the order of the logits.
    hidden : sequence of int
        Widths of hidden layers between the features and the logits.
    dropout : float
        Rate before every linear layer of the head, 0 <= rate < 1.
    activation : str
        After every hidden layer: gelu, gelu_new, relu, tanh, silu, none.

    Raises
    ------
    TypeError, ConfigError
        If an argument cannot be used; the message says what was expected.
    """

    kind: ClassVar[str] = ""
    space: ClassVar[str] = ""

    labels: tuple[str, ...]
    hidden: tuple[int, ...] = ()
    dropout: float = 0.1
    activation: str = "gelu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", _check_labels(self.labels))
        object.__setattr__(self, "hidden", _check_hidden(self.hidden))
        object.__setattr__(self, "dropout", _check_dropout(self.dropout))
        if self.activation not in _ACTIVATIONS:
            raise ConfigError(unknown("activation", str(self.activation), _ACTIVATIONS))

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments and the kind, as JSON holds them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        return {"kind": self.kind, **plain}

    def core_config(self) -> dict[str, Any]:
        """Return what the core needs to build the head."""
        config: dict[str, Any] = {
            "kind": self.kind,
            "n_labels": len(self.labels),
            "dropout": self.dropout,
            "activation": self.activation,
        }
        if self.hidden:
            config["hidden"] = list(self.hidden)
        return config


@dataclass(frozen=True)
class SequenceClassification(HeadSpec):
    """One label for each text.

    Parameters
    ----------
    labels, hidden, dropout, activation
        See `HeadSpec`.
    features : {"pooled", "embedding"}
        The pooled vector, or the same after the model's L2 normalisation.
    pooling : {"mean", "cls"}, optional
        A pooling of this head's own instead of the model's.

    Examples
    --------
    >>> SequenceClassification(["negative", "positive"], hidden=(64,)).labels
    ('negative', 'positive')
    """

    kind: ClassVar[str] = "sequence_classification"
    space: ClassVar[str] = "sequences"

    features: str = "pooled"
    pooling: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features not in ("pooled", "embedding"):
            raise ConfigError(unknown("features", str(self.features), ("pooled", "embedding")))
        if self.pooling not in (None, "mean", "cls"):
            raise ConfigError(unknown("pooling of a head", str(self.pooling), ("mean", "cls")))
        if self.pooling is not None and self.features == "embedding":
            raise ConfigError(
                "features='embedding' reads the model's own pooling; found "
                f"pooling={self.pooling!r} as well; leave one of them out"
            )

    def core_config(self) -> dict[str, Any]:
        """Return what the core needs to build the head."""
        config = {**super().core_config(), "features": self.features}
        if self.pooling is not None:
            config["pooling"] = self.pooling
        return config


@dataclass(frozen=True)
class TokenClassification(HeadSpec):
    """One label for each word, read at the word's first sub-word.

    Parameters
    ----------
    labels, hidden, dropout, activation
        See `HeadSpec`. For entities: ``O`` and ``B-``/``I-`` tags.

    Examples
    --------
    >>> TokenClassification(["O", "B-person", "I-person"]).space
    'tokens'
    """

    kind: ClassVar[str] = "token_classification"
    space: ClassVar[str] = "tokens"


KINDS: dict[str, type[HeadSpec]] = {
    cls.kind: cls for cls in (SequenceClassification, TokenClassification)
}
"""Head classes by the kind that files and YAML name."""


@dataclass
class Head:
    """A head of a model.

    Attributes
    ----------
    name : str
        As given to ``add_head``.
    spec : HeadSpec
        Its description.
    trained : bool
        Whether a step ever changed it; False means that its predictions are random.
    frozen : bool
        Whether it is frozen as a whole; kept up to date by the model.
    """

    name: str
    spec: HeadSpec
    trained: bool = False
    frozen: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the logits."""
        return self.spec.labels

    @property
    def kind(self) -> str:
        """``"sequence_classification"`` or ``"token_classification"``."""
        return self.spec.kind

    @property
    def space(self) -> str:
        """``"sequences"`` (one row of logits a text) or ``"tokens"``."""
        return self.spec.space


def check_head_name(name: object, taken: Collection[str]) -> str:
    """Return `name` if a head may be called so.

    Raises
    ------
    TypeError
        If it is no str.
    ConfigError
        If it is taken, reserved, or holds characters that selectors and files cannot.
    """
    if not isinstance(name, str):
        raise TypeError(f"a head's name must be a str; found {type(name).__name__} {name!r}")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "a head's name must be 1 to 64 letters, digits, '_' or '-', beginning with a letter; "
            f"found {name!r}; use e.g. 'classifier'"
        )
    if name.casefold() in RESERVED:
        raise ConfigError(
            f"{name!r} is reserved: selectors use {name_list(RESERVED)}; choose another name, "
            f"e.g. '{name}_head'"
        )
    if name.casefold() in _OUTPUTS:
        raise ConfigError(
            f"{name!r} is the name of an output of the backbone; choose another name for the head, "
            f"e.g. '{name}_head'"
        )
    for other in taken:
        if other.casefold() == name.casefold():
            raise ConfigError(
                f"expected a new name for the head; found {name!r}, but the model has a head "
                f"{other!r}; call remove_head({other!r}) first or choose another name"
            )
    return name


def spec_from_dict(values: Mapping[str, Any], where: str) -> HeadSpec:
    """Build a head's description from what `HeadSpec.to_dict` returned.

    Raises
    ------
    ConfigError
        If the kind or a key is unknown (with the closest name), or a value cannot be used.
    """
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"{where}: {unknown('kind of head', str(kind), KINDS)}")
    known = {field.name for field in fields(KINDS[kind])}
    arguments = {key: value for key, value in values.items() if key != "kind"}
    for key in arguments:
        if key not in known:
            raise ConfigError(f"{where}: {unknown(f'key of a {kind} head', key, sorted(known))}")
    if "labels" not in arguments:
        raise ConfigError(f"{where}: expected the key 'labels'; found {name_list(arguments)}")
    return KINDS[kind](**arguments)


def _check_labels(labels: object) -> tuple[str, ...]:
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise TypeError(
            "labels must be a list of names; found "
            f"{type(labels).__name__} {labels!r}; use e.g. ['negative', 'positive']"
        )
    names = tuple(labels)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(
                f"labels must be names (str); found {type(name).__name__} {name!r}; "
                f"write {str(name)!r}"
            )
        if not name:
            raise ConfigError("labels must not be empty texts; found ''; give it a name")
    if len(names) < 2:
        raise ConfigError(
            f"a head needs at least two labels; found {name_list(names)}; with one label every "
            "prediction would be that label"
        )
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ConfigError(
            f"labels must differ; found {name_list(twice)} more than once; remove the repetition"
        )
    return names


def _check_hidden(hidden: object) -> tuple[int, ...]:
    try:
        if isinstance(hidden, str | bytes):
            raise TypeError
        widths = tuple(operator.index(width) for width in hidden)  # type: ignore[attr-defined]
    except TypeError:
        raise TypeError(
            f"hidden must be a list of widths (int); found {type(hidden).__name__} {hidden!r}; "
            "use e.g. (64,), or () for none"
        ) from None
    if any(width < 1 for width in widths):
        raise ConfigError(f"widths in hidden must be at least 1; found {widths}")
    return widths


def _check_dropout(dropout: object) -> float:
    rate = as_number(dropout)
    if rate is None:
        raise TypeError(f"dropout must be a number; found {type(dropout).__name__} {dropout!r}")
    if not 0 <= rate < 1:
        raise ConfigError(f"dropout must be at least 0 and below 1; found {dropout}; 0.1 is usual")
    return rate
