# SPDX-License-Identifier: Apache-2.0
"""`ModelFacts`: all that Python knows of a model beside what the core holds.

It is one value that never changes. A verb makes the next one and puts it in the place of the
earlier together with the core's own change (`publish`), so that the two agree at every moment,
whatever interrupts the verb.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

from .._core import together
from ..adapters.adapter import Adapter
from ..heads.head import Head
from .model_index import ModelIndex

__all__ = ["HasFacts", "ModelFacts", "publish"]


@dataclass(frozen=True)
class ModelFacts:
    """What Python knows of a model.

    Attributes
    ----------
    index : ModelIndex
        Names and positions of units and parameters.
    heads : mapping of str to Head
        By name, in the order in which they were added.
    pinned, pinned_heads : frozenset of str
        See `FreezeState`.
    n_steps : int
        Steps made by hand; dropout depends on it.
    adapter : Adapter or None
        The adapter that the model has.
    merged : Merged or None
        What merging an adapter took away, so that it can be put back.
    """

    index: ModelIndex
    heads: Mapping[str, Head] = field(default_factory=lambda: MappingProxyType({}))
    pinned: frozenset[str] = frozenset()
    pinned_heads: frozenset[str] = frozenset()
    n_steps: int = 0
    adapter: Adapter | None = None
    merged: Any = None

    def with_heads(self, heads: Iterable[Head], index: ModelIndex) -> ModelFacts:
        """Return the same with these heads; pins of others are gone."""
        named = {head.name: head for head in heads}
        return replace(
            self,
            index=index,
            heads=MappingProxyType(named),
            pinned=self.pinned & frozenset(index.keys),
            pinned_heads=self.pinned_heads & frozenset(named),
        )

    def with_adapter(self, adapter: Adapter | None, index: ModelIndex) -> ModelFacts:
        """Return the same with this adapter, or none; pins of what is gone are gone."""
        pinned = self.pinned & frozenset(index.keys)
        return replace(self, index=index, adapter=adapter, pinned=pinned)

    def with_merged(self, merged: Any) -> ModelFacts:
        """Return the same with what merging took away."""
        return replace(self, merged=merged)

    def trained(self, names: Collection[str], *, trained: bool = True) -> ModelFacts:
        """Return the same where a step has trained these heads, or none has."""
        return self._with(lambda head: {"trained": trained} if head.name in names else {})

    def frozen(self, names: Collection[str]) -> ModelFacts:
        """Return the same where these heads are frozen and no others."""
        return self._with(lambda head: {"frozen": head.name in names})

    def _with(self, changes: Callable[[Head], Mapping[str, Any]]) -> ModelFacts:
        heads = {name: replace(head, **changes(head)) for name, head in self.heads.items()}
        return replace(self, heads=MappingProxyType(heads))


class HasFacts(Protocol):
    """A model, as far as this file goes."""

    _facts: ModelFacts


def publish(model: HasFacts, facts: ModelFacts, *changes: Callable[[], Any]) -> list[Any]:
    """Change the core and what Python knows of it, as one.

    Parameters
    ----------
    model : MultiTaskModel
    facts : ModelFacts
        What holds once the core is changed.
    *changes : callables without arguments
        Calls of the core, made with `functools.partial`. If one raises, the rest does not happen;
        so all but the first must be such that cannot fail.

    Returns
    -------
    list
        What each of the calls gave.
    """
    return together([*changes, partial(setattr, model, "_facts", facts)])[:-1]
