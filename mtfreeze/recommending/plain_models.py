# SPDX-License-Identifier: Apache-2.0
"""Which models advice is about: a backbone that heads read, and nothing beside or between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..closest import name_list
from ..errors import ConfigError
from ..model.state import check_model

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["check_plain"]


def check_plain(model: MultiTaskModel) -> None:
    """Check that advice can be given about a model.

    Raises
    ------
    TypeError
        If it is no model.
    ConfigError
        If it has an adapter, or modules between backbone and heads.
    """
    check_model(model)
    if model.adapter is not None:
        raise ConfigError(
            "recommend says what to freeze of a plain model; found one with an adapter "
            f"({model.adapter.kind}); remove_adapter() or merge_lora() first, or compare both ways"
        )
    if model.index.modules:
        raise ConfigError(
            "recommend says what to freeze of a backbone that heads read; found a model with "
            f"{name_list(model.index.modules)} between them; compare choices of them, e.g. "
            'modes=["backbone", ["backbone", "encoder"], "none"]'
        )
