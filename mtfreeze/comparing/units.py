# SPDX-License-Identifier: Apache-2.0
"""The units of a model and how much of each is frozen: `mtfreeze.unit_states`."""

from __future__ import annotations

from ..unit_states import unit_states

__all__ = ["unit_states"]
