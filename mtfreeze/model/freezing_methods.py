# SPDX-License-Identifier: Apache-2.0
"""The freezing methods of a model: freeze, unfreeze, freeze_to, frozen; see `freezing`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from .._core import Bracket
from ..freezing import state as freezing
from ..freezing.selectors import Selector
from .state import ModelState, exclusive

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

__all__ = ["FreezingMethods"]


class FreezingMethods(ModelState):
    """Methods of `MultiTaskModel` that choose what trains."""

    @exclusive
    def freeze(
        self,
        *what: Selector,
        pin: bool = True,
        strict: bool = True,
        precision: str | None = None,
    ) -> Self:
        """Freeze parts of the model; without argument everything.

        A frozen part gets no gradient, no optimizer state and no weight decay, and its dropout is
        off; what lies below everything that trains is not even run backward.

        Parameters
        ----------
        *what : selectors
            ``"backbone"``, ``"backbone[:3]"``, ``"backbone.layers[2:5]"``, a head, ``"heads"``,
            ``"all"``, parts of units (``"layers[0].attention"``), globs and ``re:`` on parameter
            keys, lists of them. ``"!classifier"`` excludes: all of the others but it, and alone
            everything but it.
        pin : bool
            Keep schedules from unfreezing it.
        strict : bool
            False: a selector that matches nothing is passed over.
        precision : {"fp32", "bf16", "int8"}, optional
            What its linear products are computed in, in every use of the model, until it is
            unfrozen. The float32 weights stay as they are: they are what is saved and proven, and
            unfreezing gives the earlier results back, bit for bit. By default what was frozen
            already keeps its precision, and the rest is computed in fp32.

        Returns
        -------
        MultiTaskModel
            This model.

        Raises
        ------
        SelectorError
            If a selector matches nothing, with the closest names, or exclusions leave nothing;
            nothing is frozen then.
        TypeError, ConfigError
            If there is no such precision, with the closest name; nothing is frozen then.

        Warns
        -----
        UntrainedHeadWarning
            If a head is frozen that was never trained.
        NoPrefixWarning
            If layers are frozen above something that trains.
        PrecisionWarning
            If everything frozen is too small for a precision below fp32.

        Examples
        --------
        >>> model.freeze("backbone[:3]").freeze_state()
        FreezeState(frozen: backbone[:3] (53 tensors), pinned: backbone[:3] (53 tensors))
        >>> model.unfreeze().freeze("!heads", "!layers[5].attention").freeze_state()
        FreezeState(frozen: backbone[:5], backbone.layers[5] (partly) (91 tensors), ...)
        >>> model.freeze("bakbone")
        Traceback (most recent call last):
            ...
        mtfreeze.errors.SelectorError: selector 'bakbone' matches nothing; ...
        """
        freezing.freeze(self, what or "all", pin=pin, strict=strict, precision=precision)
        return self

    @exclusive
    def unfreeze(self, *what: Selector, strict: bool = True) -> Self:
        """Make parts trainable, in fp32, and take their pins off; without argument everything.

        Examples
        --------
        >>> model.freeze("backbone").unfreeze("backbone.layers[4:]").freeze_state()
        FreezeState(frozen: backbone[:4] (69 tensors), pinned: backbone[:4] (69 tensors))
        """
        freezing.unfreeze(self, what or "all", strict=strict)
        return self

    @exclusive
    def freeze_to(self, k: int, *, pin: bool = True, precision: str | None = None) -> Self:
        """Freeze ``backbone[:k]`` and unfreeze the rest of the backbone; heads stay as they are.

        Negative `k` counts from the top: ``freeze_to(-1)`` leaves one layer trainable. `precision`
        is that of `freeze`.

        Examples
        --------
        >>> model.freeze_to(-1).trainable("backbone.layers[5]")
        True
        """
        freezing.freeze_to(self, k, pin=pin, precision=precision)
        return self

    def frozen(self, *what: Selector, precision: str | None = None) -> AbstractContextManager[Self]:
        """Freeze for the length of a ``with`` block, then restore the exact earlier state.

        The arguments are those of `freeze`; precisions are restored too.

        Examples
        --------
        >>> with model.frozen("backbone"):
        ...     print(model.trainable("backbone"))
        False
        >>> model.trainable("backbone")
        True
        """

        block = freezing.FrozenBlock(self, what or "all", precision)

        def begin() -> FreezingMethods:
            self.alone().run(block.begin)
            return self

        return Bracket(begin, lambda: self.alone().run(block.end))
