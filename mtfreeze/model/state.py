# SPDX-License-Identifier: Apache-2.0
"""What a model holds: the core with its weights, names of its parts, tokenizer, heads.

The methods that need no more than that are here; `MultiTaskModel` adds the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import wraps
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._core import Bracket
from ..checks import as_array, check_text, typed
from ..closest import did_you_mean
from ..errors import ConfigError, SelectorError, TrainingError
from ..families import IMAGES
from ..freezing import state as freezing
from ..freezing.facts import ModelFacts, publish
from ..freezing.model_index import ModelIndex
from ..freezing.selectors import Selector, resolve
from ..freezing.state import FreezeState
from ..inputs.row_layout import RowLayout
from ..quoting import quoted
from .batch_norms import BATCH_NORM, COUNTER
from .lock import ModelLock

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

    from ..adapters.adapter import Adapter
    from ..files.tensor_files import RawTensor
    from ..heads.head import Head
    from ..inputs.text import TextEncoder
    from .hub import Base
    from .loading import Loaded

__all__ = ["ModelState", "check_model", "exclusive", "reads"]

Float32 = NDArray[np.float32]
Rest = ParamSpec("Rest")
Result = TypeVar("Result")
Model = TypeVar("Model", bound="ModelState")


def exclusive(
    method: Callable[Concatenate[Model, Rest], Result],
) -> Callable[Concatenate[Model, Rest], Result]:
    """Let a method that works on a model keep other threads off; see `ModelState.alone`."""

    @wraps(method)
    def guarded(model: Model, /, *given: Rest.args, **named: Rest.kwargs) -> Result:
        return model.alone().run(method, model, *given, **named)

    return guarded


def reads(
    method: Callable[Concatenate[Model, Rest], Result],
) -> Callable[Concatenate[Model, Rest], Result]:
    """Let a method read a model that stands still meanwhile; see `ModelState.reading`."""

    @wraps(method)
    def guarded(model: Model, /, *given: Rest.args, **named: Rest.kwargs) -> Result:
        return model.reading().run(method, model, *given, **named)

    return guarded


def check_model(model: object) -> None:
    """Check that `model` is a model: functions that take one begin with it; TypeError otherwise."""
    if not isinstance(model, ModelState):
        raise TypeError(
            f"model must be a MultiTaskModel; found {typed(model)}; load one with "
            "MultiTaskModel.from_pretrained(...)"
        )


class ModelState:
    """The state of a model; see `MultiTaskModel`."""

    def __init__(self, loaded: Loaded, name: str) -> None:
        self._loaded = loaded
        self._core = loaded.core
        names = ModelIndex(self._core.params(), self._core.units(), loaded.family)
        self._facts = ModelFacts(names)
        self._lock = ModelLock()
        self.name = name
        self.config = loaded.config
        self._encoder = loaded.encoder
        self.unused: dict[str, RawTensor] = loaded.unused
        self.tasks: dict[str, Any] = dict(loaded.tasks)

    def alone(self) -> Bracket:
        """Keep other threads off the model for a block that trains or changes it.

        Use it with ``with``, or as ``model.alone().run(function, ...)``.

        Raises
        ------
        ConcurrencyError
            If another thread is in such a block. One that only reads is waited for.
        """
        return self._lock.working()

    def _check_no_run(self, what: str) -> None:
        """Raise TrainingError if `what` is called by a callback of a run of this model."""
        if self._lock.in_run:
            raise TrainingError(
                f"{what} trains a model that a run is training: expected a callback to read it; "
                f"found {what} within fit; train a copy, model.copy(), or call it after fit"
            )

    def reading(self) -> Bracket:
        """Have the model stand still for a block that reads it, and changes nothing.

        Use it as `alone`.

        Raises
        ------
        ConcurrencyError
            If another thread uses the model; a read never waits.
        """
        return self._lock.reading()

    @property
    def encoder(self) -> TextEncoder:
        """What turns rows of data into sequences: the tokenizer, or what prepares images."""
        # one reads what the other refuses, so that whoever has rows need not know which it is
        return cast("TextEncoder", self._encoder)

    @property
    def unused_shown(self) -> dict[str, RawTensor]:
        """`unused` without the counters of batch norms: they are many and say nothing."""
        return {name: raw for name, raw in self.unused.items() if not name.endswith(COUNTER)}

    @property
    def reads_images(self) -> bool:
        """Whether the backbone reads images, and no texts."""
        return self._loaded.family.reads == IMAGES

    @property
    def batch_norm(self) -> str | None:
        """What batch norms of units that train go by: statistics that are ``"stored"``, or those of
        the ``"batch"``; None: the model has none."""
        return cast("str | None", self._loaded.build_config.get(BATCH_NORM))

    @property
    def noun(self) -> str:
        """What a sequence is to a user: ``"text"`` or ``"image"``."""
        return "image" if self.reads_images else "text"

    @property
    def row_word(self) -> str:
        """What lengths of sequences count: ``"token"``, or ``"pixel"`` of what convolves images."""
        return RowLayout.of(self._core).row_word

    @property
    def heads(self) -> Mapping[str, Head]:
        """The heads by name, in the order in which they were added."""
        return self._facts.heads

    @property
    def index(self) -> ModelIndex:
        """Names and positions of units and parameters."""
        return self._facts.index

    @property
    def adapter(self) -> Adapter | None:
        """The adapter: its kind, where it stands, its dropout; None: the model has none."""
        return self._facts.adapter

    @property
    def pooling(self) -> str:
        """How one vector a text is made: ``"mean"``, ``"cls"``, ``"pooler"``, ``"cls+mean"`` ..."""
        return self._loaded.settings.pooling

    @property
    def normalize(self) -> bool:
        """Whether embeddings are divided by their length."""
        return self._loaded.settings.normalize

    @property
    def prompts(self) -> Mapping[str, str]:
        """What may stand before a text, such as ``"query: "``, by name."""
        return MappingProxyType(self._loaded.settings.prompts.texts)

    @property
    def default_prompt_name(self) -> str | None:
        """Name of the prompt that stands before every text unless a call says otherwise."""
        return self._loaded.settings.prompts.default

    @property
    def base(self) -> Base | None:
        """Name and commit of the model on the hub that this one began as; None: not known.

        It is kept in saved folders. Packages that carry a model do not say its commit.
        """
        return self._loaded.base

    @property
    def width(self) -> int:
        """Width of the pooled vector."""
        return next(info.width for info in self._core.outputs() if info.name == "pooled")

    @property
    def token_width(self) -> int:
        """Width of a token's vector."""
        return next(info.width for info in self._core.outputs() if info.name == "hidden")

    @property
    def max_length(self) -> int:
        """Tokens of a text, special ones included, before it is truncated."""
        return self.encoder.max_length

    @property
    def usual_length(self) -> int:
        """The length of a sequence that stands for all where a freeze choice is priced."""
        return self.encoder.usual_length

    @property
    def param_keys(self) -> tuple[str, ...]:
        """Keys of all parameters, in the core's order."""
        return self.index.keys

    @property
    def unit_index(self) -> dict[str, int]:
        """Position of every unit by its path."""
        return self.index.unit_index

    @reads
    def parameters(self) -> dict[str, Float32]:
        """Return read-only views of all parameters by key; they show every later change.

        Examples
        --------
        >>> model.parameters()["classifier.weight"].shape
        (2, 384)
        """
        return {key: self._core.view(i) for i, key in enumerate(self.index.keys)}

    @reads
    def trainable_parameters(self) -> dict[str, Float32]:
        """Return read-only views of the parameters that are not frozen.

        Examples
        --------
        >>> sorted(model.freeze("backbone").trainable_parameters())
        ['classifier.bias', 'classifier.weight', 'ner_head.bias', 'ner_head.weight']
        """
        infos = self._core.params()
        trained = [n for n, one in enumerate(infos) if not (one.frozen or one.is_buffer)]
        return {infos[n].key: self._core.view(n) for n in trained}

    @exclusive
    def set_parameter(self, key: str, values: ArrayLike) -> Self:
        """Write a parameter, frozen or not.

        Parameters
        ----------
        key : str
            A key of `parameters`; tied tensors answer to each of theirs.
        values : array_like
            Numbers of the parameter's shape; converted to float32.

        Raises
        ------
        SelectorError
            If there is no such key, with the closest.
        TypeError, ConfigError
            If the values are no real numbers, or of another shape.

        Examples
        --------
        >>> model.set_parameter("classifier.bias", [0.5, -0.5]).parameters()["classifier.bias"]
        array([ 0.5, -0.5], dtype=float32)
        """
        position = self.index.key_index.get(check_text("key", key))
        if position is None:
            hint = did_you_mean(key, self.index.key_index)
            raise SelectorError(
                f"unknown parameter {quoted(key)}; {hint or 'model.parameters() lists the keys'}"
            )
        array = as_array(key, values)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{key}: expected real numbers; found an array of {array.dtype}")
        shape = self._core.view(position).shape
        if array.shape != shape:
            raise ConfigError(f"{key}: expected an array of shape {shape}; found {array.shape}")
        self._core.set_param(position, array.astype(np.float32, copy=False))
        return self

    @exclusive
    def mark_trained(self, names: Collection[str], *, trained: bool = True) -> None:
        """Note that a step has trained these heads, or that none has."""
        publish(self, self._facts.trained(names, trained=trained))

    def select(self, *what: Selector) -> NDArray[np.bool_]:
        """Return the mask, (n_params,) bool, of the parameters that selectors choose.

        Examples
        --------
        >>> int(model.select("backbone.layers[5]").sum()), model.select("all").shape
        (16, (105,))
        """
        return resolve(self.index, what).params

    @reads
    def trainable(self, what: Selector) -> bool | Literal["partial"]:
        """Return True if everything selected trains, False if nothing, else ``"partial"``.

        Examples
        --------
        >>> model = model.freeze("backbone[:3]")
        >>> model.trainable("heads"), model.trainable("backbone[:3]"), model.trainable("backbone")
        (True, False, 'partial')
        """
        return freezing.trainable(self, what)

    @reads
    def freeze_state(self) -> FreezeState:
        """Return what is frozen and pinned, and in which precision, by name.

        Examples
        --------
        >>> model.freeze("backbone.embeddings", pin=False).freeze_state()
        FreezeState(frozen: backbone.embeddings (5 tensors), pinned: none)
        """
        return freezing.get_state(self)

    @exclusive
    def set_freeze_state(self, state: FreezeState) -> None:
        """Replace the freeze state, pins and precisions included.

        Examples
        --------
        >>> before = model.freeze_state()
        >>> model.freeze("backbone").set_freeze_state(before)
        >>> model.trainable("backbone")
        True
        """
        if not isinstance(state, FreezeState):
            raise TypeError(
                f"state must be a FreezeState; found {typed(state)}; give what "
                "model.freeze_state() returned"
            )
        freezing.set_state(self, state)
