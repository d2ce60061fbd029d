# SPDX-License-Identifier: Apache-2.0
"""`MultiTaskModel`: one pre-trained backbone, many heads, and which of their weights train.

This is the user's view. Its methods come from the rooms that do the work: what a model holds
(`model.state`), freezing, heads, computing (`model`), stepping (`steps`), exporting; here are
making, saving and showing. Each method hands on to the file that does the work. The weights live in
the core; arrays handed out are read-only views of them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from . import _core
from .checks import check_path, typed
from .errors import ConfigError
from .exporting.exporting_methods import ExportingMethods
from .model.adapter_methods import AdapterMethods
from .model.computing_methods import ComputingMethods
from .model.freezing_methods import FreezingMethods
from .model.head_methods import HeadMethods
from .model.state import reads
from .steps.stepping_methods import SteppingMethods

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .pictures.writing import Ax, PicturePath
    from .pricing.summary import Summary

__all__ = ["MultiTaskModel"]


class MultiTaskModel(
    FreezingMethods,
    HeadMethods,
    AdapterMethods,
    ComputingMethods,
    SteppingMethods,
    ExportingMethods,
):
    """A pre-trained backbone with task heads, any part of which can be frozen.

    Make one with `from_pretrained`. One thread at a time may use a model; give each thread its own
    `copy`.

    Attributes
    ----------
    name : str
        What it was loaded from.
    config : dict
        The backbone's ``config.json``.
    heads : mapping of str to Head
        By name, in the order in which they were added; change it with `add_head`, `remove_head`.
    encoder : TextEncoder
        The tokenizer, with the model's maximum length.
    unused : dict of str to RawTensor
        Tensors of the folder that the computation does not use (a pooler under mean pooling):
        present, never trained, saved back unchanged.
    index : ModelIndex
        Names and positions of units and parameters.
    tasks : dict
        Notes on tasks that were saved with the model.

    Examples
    --------
    >>> import mtfreeze as mtf
    >>> model = mtf.MultiTaskModel.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")
    >>> model.encode(["good", "bad"]).shape
    (2, 384)
    """

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        pooling: str | None = None,
        normalize: bool | None = None,
        max_length: int | None = None,
        ignore_config: Collection[str] = (),
        revision: str | None = None,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        interpolate_positions: bool | None = None,
        batch_norm: str | None = None,
    ) -> MultiTaskModel:
        """Load a model from a folder, the Hugging Face cache, an installed package, or the hub.

        Parameters
        ----------
        name_or_path : str or path
            Looked for in that order; a path is never looked up online.
        pooling : str, optional
            From token vectors to one vector a text: "mean", "cls", "max", "mean_sqrt_len_tokens",
            "weightedmean", "lasttoken", several side by side ("cls+mean"), or "pooler"; by default
            what the folder says, else "mean".
        normalize : bool, optional
            Whether embeddings are divided by their length; by default what the folder says.
            Acts on `encode` and on heads with ``features="embedding"``.
        max_length : int, optional
            Tokens of a text, special ones included; by default what the folder says.
        ignore_config : collection of str
            Keys of config.json that mtfreeze does not know and you know to be harmless.
        revision : str, optional
            Branch, tag or commit of a model on the hub, instead of the newest state. Which commit
            was loaded is in `base`, in `summary`, and in the folders that the model is saved to.
        prompts : mapping of str to str, optional
            What may be put before a text, by name, beside the folder's own.
        default_prompt_name : str, optional
            The one that stands before every text that the model reads, in training, evaluation and
            prediction, unless `encode` is told another; ``""`` for none. By default the folder's.
        interpolate_positions : bool, optional
            Whether a model of images takes those of other sizes than it was trained on, its
            positions interpolated; by default what the folder was saved with, else only DINOv2
            does.
        batch_norm : {"stored", "batch"}, optional
            What batch norms of units that train go by: the statistics of the file, which stand, or
            each step's whole batch, which moves them. By default as it was saved, else "stored".

        Returns
        -------
        MultiTaskModel
            With the heads, freeze state and pins that were saved with it, if any.

        Raises
        ------
        CheckpointError
            If nothing is found, or files are missing, damaged or do not fit one another.
        ConfigError
            If the model needs a computation that is not supported, or `revision` does not go with
            a path.

        Examples
        --------
        >>> model = mtf.MultiTaskModel.from_pretrained("all-MiniLM-L6-v2", max_length=128)
        >>> model.pooling, model.normalize, model.max_length
        ('mean', True, 128)
        """
        from .files.still_folder import read_still
        from .model.hub import find_model_folder
        from .model.loading import fill_head, load_folder, restore_freezing

        found = find_model_folder(name_or_path, revision)

        def read() -> MultiTaskModel:
            loaded = load_folder(
                found,
                pooling=pooling,
                normalize=normalize,
                max_length=max_length,
                ignore_config=ignore_config,
                prompts=prompts,
                default_prompt_name=default_prompt_name,
                interpolate_positions=interpolate_positions,
                batch_norm=batch_norm,
            )
            model = cls(loaded, os.fsdecode(name_or_path))
            if loaded.adapter is not None:
                model._attach_adapter(loaded.adapter.adapter, 0, loaded.adapter.values())
            for saved in loaded.heads:
                model.add_head(saved.name, saved.spec)
                fill_head(model._core, saved)
                model.mark_trained([saved.name], trained=saved.trained)
            restore_freezing(model, loaded.freeze, model.name)
            return model

        return read_still(found.parent if found.is_file() else found, read)

    @reads
    def copy(self) -> MultiTaskModel:
        """Return an independent model: the same bits, heads, freeze state and pins.

        Optimizer state is not copied: the copy's moments start at zero. ``copy.copy``,
        ``copy.deepcopy``, ``pickle`` and ``sklearn.base.clone`` give such a copy too.

        Examples
        --------
        >>> twin = model.copy().freeze("backbone")
        >>> twin.trainable("backbone"), model.trainable("backbone")
        (False, True)
        """
        core = _core.Model(self._loaded.build_config)
        twin = type(self)(replace(self._loaded, core=core), self.name)
        twin.tasks = dict(self.tasks)
        if self.adapter is not None:
            twin._attach_adapter(self.adapter, 0, {})
        for name, head in self.heads.items():
            twin.add_head(name, head.spec)
            twin.mark_trained([name], trained=head.trained)
        for key, values in self.parameters().items():
            core.set_param(twin.index.key_index[key], values)
        twin.set_freeze_state(self.freeze_state())
        return twin

    def __copy__(self) -> MultiTaskModel:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> MultiTaskModel:
        return self.copy()

    def __sklearn_clone__(self) -> MultiTaskModel:
        return self.copy()

    @reads
    def __reduce__(self) -> tuple[Any, ...]:
        from .model.pickling import folder_files

        return _from_files, (folder_files(self), self.name)

    @reads
    def save_pretrained(
        self,
        path: str | os.PathLike[str],
        *,
        tasks: Mapping[str, Any] | None = None,
        head: str | None = None,
    ) -> Path:
        """Write the model as a Hugging Face and sentence-transformers folder.

        Parameters
        ----------
        path : str or path
            The folder; an earlier model in it is replaced as a whole, once the new one is on the
            disk. The folder that the model was loaded from is fine.
        tasks : mapping, optional
            Notes on the tasks (JSON values), kept in ``mtfreeze.json`` and in ``model.tasks``.
        head : str, optional
            Write this head with the backbone as a task model of transformers instead, such as
            ``BertForSequenceClassification``: no other head, no freeze state. The folder of a model
            whose only head is of that form is one as it is.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OSError
            If the disk is full or fails; an earlier folder is then untouched.
        ConfigError
            If the path holds something that is not a model, or `head` is not what the family's
            class computes.

        Examples
        --------
        >>> folder = model.save_pretrained("two-tasks")
        >>> list(mtf.MultiTaskModel.from_pretrained(folder).heads)
        ['classifier', 'ner_head']
        """
        from .model.saving import save_model

        place = check_path("path", path)
        if tasks is not None:
            if not isinstance(tasks, Mapping):
                raise TypeError(
                    f"tasks must be notes by name; found {typed(tasks)}; give a mapping, or None"
                )
            if head is not None:
                raise ConfigError(
                    "expected tasks= or head=; found both; a task model has no place for notes: "
                    "leave one of them out"
                )
            self.tasks = dict(tasks)
        return save_model(self, place, head)

    @reads
    def summary(self) -> Summary:
        """Return the table of units: parameters, what is frozen, and what that saves.

        Examples
        --------
        >>> model.freeze("backbone[:5]").summary()
        MultiTaskModel('sentence-transformers/all-MiniLM-L6-v2')
        unit                 parameters  state                  freezing saves
        ----------------------------------------------------------------------
        backbone.embeddings      11.9 M  frozen, prefix                 156 MB
        backbone.layers[0]       1.77 M  frozen, prefix                 122 MB
        ...
        backbone.layers[4]       1.77 M  frozen, prefix                 116 MB
        backbone.layers[5]       1.77 M  trains                              0
        classifier                  770  trains, never trained               0
        ner_head                    5 k  trains, never trained               0
        ----------------------------------------------------------------------
        22.6 M parameters: 20.8 M frozen, 1.78 M train; ...
        """
        from .pricing.summary import summarize

        return summarize(self)

    @reads
    def explain(self) -> str:
        """Say in words what the present freeze choice saves, and what it does not.

        Examples
        --------
        >>> print(model.freeze("backbone[:5]").explain())
        Frozen: embeddings, layers 0-4 (20.8 M of 22.6 M parameters). Trains: layer 5, ...
        """
        from .pricing.explain import explain

        return explain(self)

    @overload
    def plot_trainability(self, path: None = None) -> Figure: ...
    @overload
    def plot_trainability(self, path: PicturePath) -> Path: ...
    @overload
    def plot_trainability(self, path: None = None, *, ax: Ax) -> Ax: ...
    def plot_trainability(
        self, path: str | os.PathLike[str] | None = None, *, ax: Any = None
    ) -> Any:
        """Draw which parts are frozen and which train.

        Parameters
        ----------
        path : str or path, optional
            The picture; the ending (.png, .svg, .pdf) says the format. Folders are made.
        ax : Axes, optional
            To draw in; it is handed back.

        Returns
        -------
        Figure, Path or Axes
            A figure, which a notebook shows; with a path the file: without matplotlib (extra
            ``viz``) a .txt with the same facts, and a PictureWarning.

        Examples
        --------
        >>> model.freeze("backbone[:5]").plot_trainability("trainability.svg").name
        'trainability.svg'
        """
        from .pictures.trainability import trainability_figure, trainability_text
        from .pictures.writing import give_picture

        table, words = self.reading().run(lambda: (self.summary(), self.explain()))
        text = partial(trainability_text, table, words)
        return give_picture(lambda ax: trainability_figure(table, ax=ax), text, path, ax)

    def __repr__(self) -> str:
        return repr(self.summary())

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


def _from_files(files: Mapping[str, bytes], name: str) -> MultiTaskModel:
    """Return the model that was pickled as the files of its folder."""
    from .model.pickling import write_files

    with tempfile.TemporaryDirectory(prefix="mtfreeze-pickle-") as folder:
        write_files(files, Path(folder))
        model = MultiTaskModel.from_pretrained(folder)
    model.name = name
    return model
