# SPDX-License-Identifier: Apache-2.0
"""A head of a model: its name, its description, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from ..checks import typed
from ..closest import name_list
from ..errors import ConfigError
from ..files.inner_names import DEVICES
from ..quoting import quoted
from .kind import HeadSpec

__all__ = ["RESERVED", "Head", "check_head_name"]

RESERVED = (
    "backbone",
    "heads",
    "all",
    "none",
    "embeddings",
    "layers",
    "final_norm",
    "relative_bias",
    "pooler",
    "dense",
    "lora",
    "ia3",
    "stem",
    "stages",
    "blocks",
    "queries",
    "input_projection",
    "encoder",
    "decoder",
)
"""Names that selectors use."""

_OUTPUTS = ("hidden", "pooled", "embedding", "hidden_states", "offsets")
"""Names that `forward` returns things under."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Head:
    """A head of a model, as it is now; what becomes of it later, `model.heads` says.

    Attributes
    ----------
    name : str
        As given to ``add_head``.
    spec : HeadSpec
        Its description.
    trained : bool
        Whether a step ever changed it; False means that its predictions are random.
    frozen : bool
        Whether it is frozen as a whole.
    """

    name: str
    spec: HeadSpec
    trained: bool = False
    frozen: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the outputs."""
        return tuple(self.spec.labels)

    @property
    def kind(self) -> str:
        """What files call the kind of head, such as ``"sequence_classification"``."""
        return self.spec.kind

    @property
    def space(self) -> str:
        """``"sequences"`` (one row of outputs a text) or ``"tokens"``."""
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
        raise TypeError(f"a head's name must be a str; found {typed(name)}")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "a head's name must be 1 to 64 letters, digits, '_' or '-', beginning with a letter; "
            f"found {quoted(name)}; use e.g. 'classifier'"
        )
    if name.casefold() in RESERVED:
        raise ConfigError(
            f"{quoted(name)} is reserved: selectors use {name_list(RESERVED)}; choose another "
            "name, "
            f"e.g. '{name}_head'"
        )
    if name.casefold() in DEVICES:
        raise ConfigError(
            f"{quoted(name)} is a device on Windows, so no file of a saved model can be called so; "
            f"choose another name, e.g. '{name}_head'"
        )
    if name.casefold() in _OUTPUTS:
        raise ConfigError(
            f"{quoted(name)} is the name of an output of the backbone; choose another name for the "
            "head, "
            f"e.g. '{name}_head'"
        )
    for other in taken:
        if other.casefold() == name.casefold():
            raise ConfigError(
                f"expected a new name for the head; found {quoted(name)}, but the model has a head "
                f"{quoted(other)}; call remove_head({quoted(other)}) first or choose another name"
            )
    return name
