# SPDX-License-Identifier: Apache-2.0
"""Which models advice is about: none with an adapter; which a probe can read: those that heads
read straight, with nothing between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..closest import name_list
from ..errors import ConfigError
from ..model.state import check_model

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["check_plain", "check_read_straight"]


def check_read_straight(model: MultiTaskModel) -> None:
    """Check that heads read the backbone, as the probes by which backbones are ranked do.

    Raises
    ------
    ConfigError
        If there are modules between.
    """
    if model.index.modules:
        raise ConfigError(
            "models= ranks backbones by what a linear probe reads off them; found a model with "
            f"{name_list(model.index.modules)} between backbone and heads, through which none "
            "reads; ask about one model: recommend(model, tasks), or with try_out=True"
        )


def check_plain(model: MultiTaskModel) -> None:
    """Check that advice can be given about a model.

    Raises
    ------
    TypeError
        If it is no model.
    ConfigError
        If it has an adapter.
    """
    check_model(model)
    if model.adapter is not None:
        raise ConfigError(
            "recommend says what to freeze of a plain model; found one with an adapter "
            f"({model.adapter.kind}); remove_adapter() or merge_lora() first, or compare both ways"
        )
