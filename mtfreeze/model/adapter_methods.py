# SPDX-License-Identifier: Apache-2.0
"""The adapter methods of a model: LoRA and IA3 added, removed, merged, saved and loaded."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .._core import Bracket
from ..adapters.adapter import LORA_UNIT, UNITS, Adapter
from ..adapters.descriptions import IA3, Lora, make_adapter
from ..checks import check_path, check_seed
from ..errors import ConfigError, TrainingError
from ..freezing.facts import publish
from ..freezing.model_index import ModelIndex
from ..freezing.state import FreezeState, get_state, state_changes
from ..quoting import quoted
from .linear_layers import linear_paths
from .merging import Merged, merge, unmerge
from .state import Float32, ModelState, exclusive, reads

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

__all__ = ["AdapterMethods"]


class AdapterMethods(ModelState):
    """Methods of `MultiTaskModel` that add few parameters beside frozen weights."""

    @exclusive
    def add_lora(
        self,
        rank: int = 8,
        alpha: float = 16.0,
        dropout: float = 0.0,
        targets: str | Collection[str] | None = None,
        layers: Collection[int] | None = None,
        *,
        seed: int = 0,
    ) -> Self:
        """Add LoRA: chosen linear layers give W x + b + (alpha / rank) B A drop(x).

        A is drawn, (rank, inputs), and B begins at zero, (outputs, rank), so the model gives what
        it gave, bit for bit, until a step trains them. They are the unit ``"lora"``: not part of
        ``"backbone"``, so that ``freeze("backbone")``, before or after, leaves them trainable.
        What lies below the lowest of them is in the frozen prefix.

        Parameters
        ----------
        rank, alpha, dropout, targets, layers
            See `Lora`.
        seed : int
            Of A.

        Returns
        -------
        MultiTaskModel
            This model.

        Raises
        ------
        ConfigError, TypeError
            If an argument does not hold, a target fits no linear layer (the message lists them),
            the family has no usual targets, or the model has an adapter already.

        Examples
        --------
        >>> adapted = model.copy().freeze("backbone").add_lora(rank=4)
        >>> adapted.trainable("lora"), adapted.trainable("backbone")
        (True, False)
        """
        way = Lora(rank, alpha, dropout, targets, layers)
        return self._add(way, check_seed("seed", seed))

    @exclusive
    def add_ia3(
        self,
        targets: str | Collection[str] | None = None,
        layers: Collection[int] | None = None,
    ) -> Self:
        """Add IA3: outputs of some linear layers, and inputs of others, times trained vectors.

        They begin at one, so the model gives what it gave, bit for bit; they are the unit
        ``"ia3"``.

        Parameters
        ----------
        targets, layers
            See `IA3`.

        Returns
        -------
        MultiTaskModel
            This model.

        Raises
        ------
        ConfigError, TypeError
            As in `add_lora`.

        Examples
        --------
        >>> model.copy().add_ia3().adapter.kind
        'ia3'
        """
        return self._add(IA3(targets, layers), 0)

    def _add(self, way: Lora | IA3, seed: int) -> Self:
        index = self.index
        adapter = make_adapter(way, linear_paths(self), index.family.model_type)
        self._attach_adapter(adapter, seed, {})
        return self

    def _check_may_change(self) -> None:
        if self._lock.in_run:
            raise TrainingError(
                "a run is training this model, whose parameters must stay the same; change its "
                "adapter after fit, or that of a copy, model.copy()"
            )

    def _attach_adapter(
        self,
        adapter: Adapter,
        seed: int,
        values: Mapping[str, Float32],
        state: FreezeState | None = None,
        weights: Mapping[str, Float32] | None = None,
    ) -> None:
        """Make an adapter in the core and fill it; once that is done, the model has it.

        In the same moment `state` becomes the freeze state of its parameters, which train without
        one, and `weights` replace others of the model.
        """
        core, before = self._core, self._facts
        if before.adapter is not None:
            raise ConfigError(
                f"a model has one adapter at a time; found {quoted(before.adapter.kind)} on this "
                "one; call remove_adapter() or merge_lora() first"
            )
        self._check_may_change()

        def make() -> None:
            core.set_adapter(adapter.core_config(), seed)
            index = ModelIndex(core.params(), core.units(), before.index.family)
            for key, array in values.items():
                core.set_param(index.key_index[key], array)
            facts = before.with_adapter(adapter, index).with_merged(None)
            whole = get_state(self).joined(state or FreezeState())
            facts, changes = state_changes(core, facts, whole)
            for key, array in (weights or {}).items():
                changes.append(partial(core.set_param, index.key_index[key], array))
            publish(self, facts, *changes)

        def undo() -> None:
            attached = any(unit.path in UNITS for unit in core.units())
            if self._facts.adapter is not adapter and attached:
                core.set_adapter(None)

        Bracket(None, undo).run(make)

    @exclusive
    def remove_adapter(self) -> Self:
        """Take the adapter off: the model gives what its base gives, bit for bit.

        Raises
        ------
        ConfigError
            If there is none.

        Examples
        --------
        >>> model.copy().add_lora().remove_adapter().adapter is None
        True
        """
        self._detach_adapter()
        return self

    def _detach_adapter(self, merged: Merged | None = None) -> None:
        adapter = self._own_adapter("remove_adapter")
        self._check_may_change()
        facts = self._facts.with_adapter(None, self.index.without_unit(adapter.kind))
        publish(self, facts.with_merged(merged), partial(self._core.set_adapter, None))

    def _own_adapter(self, what: str) -> Adapter:
        if self._facts.adapter is None:
            raise ConfigError(
                f"{what} needs an adapter; this model has none; call add_lora or add_ia3 first"
            )
        return self._facts.adapter

    @exclusive
    def merge_lora(self) -> Self:
        """Add B A to the weights that LoRA stands at, and take the adapter off.

        The model computes the same with the base's speed, to rounding, and is a plain model for
        whoever loads it. What the weights were, and A and B, are kept for `unmerge_lora`.

        Raises
        ------
        ConfigError
            If there is no LoRA.

        Examples
        --------
        >>> plain = model.copy().add_lora().merge_lora()
        >>> plain.adapter is None, plain.unmerge_lora().adapter.kind
        (True, 'lora')
        """
        adapter = self._own_adapter("merge_lora")
        self._check_may_change()
        if adapter.kind != LORA_UNIT:
            raise ConfigError(
                f"merge_lora merges LoRA; found an adapter of kind {quoted(adapter.kind)}; "
                "remove_adapter() takes it off"
            )
        merge(self, adapter, self._detach_adapter)
        return self

    @exclusive
    def unmerge_lora(self) -> Self:
        """Undo `merge_lora`: the base's weights and the adapter as they were, bit for bit.

        What of the adapter was frozen or pinned is so again; of the rest of the model that stays
        which has been set since.

        Raises
        ------
        ConfigError
            If nothing was merged, the model has got another adapter, or the merged weights have
            changed since, so that taking B A off would not give the base back.
        """
        unmerge(self, self._facts.merged, self._attach_adapter)
        return self

    @reads
    def save_adapter(self, folder: str | os.PathLike[str]) -> Path:
        """Write the adapter, and the heads, as PEFT does; a callback may call it in a run.

        The folder gets ``adapter_config.json`` and ``adapter_model.safetensors``, which
        ``peft.PeftModel.from_pretrained(base, folder)`` reads. Heads lie beside the adapter's
        tensors under ``modules_to_save``'s names.

        Parameters
        ----------
        folder : str or path
            It is made; files of those names in it are replaced.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        ConfigError
            If there is no adapter.
        OSError
            If the disk is full or fails.
        """
        from .peft_folders import save_adapter

        return save_adapter(self, self._own_adapter("save_adapter"), check_path("folder", folder))

    @exclusive
    def load_adapter(self, folder: str | os.PathLike[str]) -> Self:
        """Add the adapter of a folder that PEFT or `save_adapter` wrote.

        Parameters
        ----------
        folder : str or path
            With ``adapter_config.json`` and ``adapter_model.safetensors``. Heads in it fill the
            heads of the same names and shapes that the model has.

        Returns
        -------
        MultiTaskModel
            This model.

        Raises
        ------
        CheckpointError
            If files are missing or damaged, or belong to another base.
        ConfigError
            If the adapter asks for what is not supported (DoRA, biases, replicated layers, trained
            tokens), or the model has an adapter already.
        """
        from .peft_folders import load_adapter

        load_adapter(self, check_path("folder", folder), self._attach_adapter)
        return self
