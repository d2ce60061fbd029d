# SPDX-License-Identifier: Apache-2.0
"""Described losses out of what files hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..checks import typed
from ..closest import unknown
from ..errors import ConfigError
from .cross_entropy import CrossEntropy
from .described import DescribedLoss
from .distillation import Distillation

__all__ = ["loss_from_dict"]

_KINDS: dict[str, type[CrossEntropy] | type[Distillation]] = {
    one.kind: one for one in (CrossEntropy, Distillation)
}


def loss_from_dict(values: object, where: str) -> DescribedLoss:
    """Build a loss from what `DescribedLoss.to_dict` returned, or from what YAML holds.

    Raises
    ------
    ConfigError
        If the kind or a key is unknown (with the closest), or a value cannot be used; the message
        begins with `where`.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"{where} must be a section of keys and values; found {typed(values)}; write "
            "{kind: cross_entropy, label_smoothing: 0.1}"
        )
    kind = values.get("kind", CrossEntropy.kind)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ConfigError(f"{where}: {unknown('kind of loss', str(kind), _KINDS)}")
    known = [one.name for one in fields(_KINDS[kind])]
    arguments: dict[str, Any] = {str(k): v for k, v in values.items() if k != "kind"}
    for key in arguments:
        if key not in known:
            raise ConfigError(f"{where}: {unknown(f'key of a {kind} loss', key, known)}")
    try:
        return _KINDS[kind](**arguments)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{where}: {error}") from None
