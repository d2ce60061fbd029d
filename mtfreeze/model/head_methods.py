# SPDX-License-Identifier: Apache-2.0
"""The head methods of a model: heads added, new or from a checkpoint, and removed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from .._core import Bracket
from ..checks import check_choice, check_seed
from ..errors import ConfigError, SelectorError
from ..freezing.facts import publish
from ..freezing.model_index import ModelIndex
from ..heads.backbone_facts import BackboneFacts
from ..heads.head import Head, check_head_name
from ..heads.kind import HeadSpec
from ..heads.registry import descriptions
from ..quoting import quoted
from .state import Float32, ModelState, exclusive

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

__all__ = ["HeadMethods"]


class HeadMethods(ModelState):
    """Methods of `MultiTaskModel` that change which heads it has."""

    @exclusive
    def add_head(
        self,
        name: str,
        spec: HeadSpec | None = None,
        seed: int = 0,
        *,
        from_pretrained: str | os.PathLike[str] | None = None,
        head: str | None = None,
    ) -> Self:
        """Add a head: a new one, its weights drawn from (seed, name), or one that already works.

        Parameters
        ----------
        name : str
            New, not reserved; the name of its output, its parameters and its task.
        spec : SequenceClassification, TokenClassification, Detection ...
            What it predicts. With `from_pretrained` it may be left out; given, it must fit, and
            its dropout counts (and its labels, where the checkpoint has no names for them).
        seed : int
            At least 0.
        from_pretrained : str or path, optional
            Take the head of this model, a folder or a hub name: a ``...ForSequenceClassification``
            (of the kind that its ``problem_type`` says), ``...ForTokenClassification``,
            ``...ForQuestionAnswering`` or ``DetrForObjectDetection`` checkpoint of Hugging Face (of
            a supported family; safetensors only), or a folder that mtfreeze saved. Labels and
            dropout come with it, and it counts as trained.
        head : str, optional
            Which head of a saved folder, if it has several.

        Returns
        -------
        MultiTaskModel
            This model.

        Raises
        ------
        TypeError, ConfigError
            If name or description cannot be used, or the head does not fit this model.
        CheckpointError
            If the folder is not found, or its files are missing or damaged.

        Warns
        -----
        OtherBackboneWarning
            If the head was trained over other backbone weights than this model's.

        Examples
        --------
        >>> list(model.add_head("topic", mtf.SequenceClassification(["film", "food"])).heads)
        ['classifier', 'ner_head', 'topic']
        >>> folder = model.save_pretrained("two-tasks")
        >>> list(model.add_head("again", from_pretrained=folder, head="classifier").heads)
        ['classifier', 'ner_head', 'topic', 'again']
        """
        check_head_name(name, list(self.heads))
        if from_pretrained is not None:
            return self._add_pretrained_head(name, spec, from_pretrained, head)
        if head is not None:
            raise ConfigError(
                f"head= chooses one of the heads of from_pretrained=; found {quoted(head)} alone; "
                "pass from_pretrained=folder too, or leave it out"
            )
        if not isinstance(spec, HeadSpec):
            raise TypeError(
                f"head {quoted(name)}: expected {descriptions()}; found {type(spec).__name__}"
            )
        number = check_seed("seed", seed)
        self._attach(Head(name, spec, trained=not spec.has_parameters), number, {})
        return self

    def _add_pretrained_head(
        self,
        name: str,
        spec: HeadSpec | None,
        source: str | os.PathLike[str],
        head: str | None,
    ) -> Self:
        """Read and check all of it, then add the head."""
        from .pretrained_heads import read_pretrained_head, warn_of_another_backbone

        if spec is not None and not isinstance(spec, HeadSpec):
            raise TypeError(
                f"head {quoted(name)}: expected {descriptions('None')}, to make it from "
                f"the checkpoint; found {type(spec).__name__}"
            )
        found = read_pretrained_head(self, spec, source, head)
        self._attach(Head(name, found.spec, found.trained), 0, found.weights)
        warn_of_another_backbone(name, found)
        return self

    def _attach(self, head: Head, seed: int, weights: Mapping[str, Float32]) -> None:
        """Make a head in the core and fill it; once that is done, the model has it."""
        core, before, name = self._core, self._facts, head.name
        head = replace(head, spec=head.spec.bound(self._backbone_facts()))

        def make() -> None:
            core.add_head(name, head.spec.core_config(), seed)
            index = ModelIndex(core.params(), core.units(), before.index.family)
            for part, values in weights.items():
                core.set_param(index.key_index[f"{name}.{part}"], values)
            publish(self, before.with_heads([*before.heads.values(), head], index))

        def undo() -> None:
            if name not in self.heads and any(unit.path == name for unit in core.units()):
                core.remove_head(name)

        Bracket(None, undo).run(make)

    def _backbone_facts(self) -> BackboneFacts:
        """Return what a kind of head may ask about this model."""
        core, vocabulary = self._core, self.encoder.vocabulary
        return BackboneFacts.of(core, self.index.family, self.config, self.token_width, vocabulary)

    @exclusive
    def remove_head(self, name: str) -> Self:
        """Remove a head with its weights; SelectorError with the closest name if there is none.

        Examples
        --------
        >>> list(model.remove_head("ner_head").heads)
        ['classifier']
        """
        check_choice("head", name, self.heads, error=SelectorError)
        rest = [head for head in self.heads.values() if head.name != name]
        facts = self._facts.with_heads(rest, self.index.without_unit(name))
        publish(self, facts, partial(self._core.remove_head, name))
        return self
