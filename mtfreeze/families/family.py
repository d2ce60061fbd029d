# SPDX-License-Identifier: Apache-2.0
"""What Python knows of a backbone family: everything that one family does unlike another.

Selectors, words for parameters, loading and heads from the hub read these facts of the model's
family and know no family themselves. How its units are called is stated by the family's file in
``csrc/families``: ``backbone.layers[i]`` for what is repeated, from the input upward, any other
``backbone.<name>`` for what stands below and above it. A family may have modules of its own beside
the backbone, as DETR has an encoder and a decoder: ``encoder.layers[i]``, ``queries``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from .module_names import ModuleNames

__all__ = ["BACKBONE", "IMAGES", "SIZES", "SPANS", "TEXTS", "Family", "HeadLayout"]

BACKBONE = "backbone."
"""What keys of backbone parameters begin with, before the hub's names."""

Shape = tuple[int, ...]

TEXTS, IMAGES = "texts", "images"
"""What a family may read."""

SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)
"""Keys of the sizes that a core needs, as most families call them."""


@dataclass(frozen=True)
class HeadLayout:
    """Where checkpoints of transformers keep a head of one kind.

    Attributes
    ----------
    logits : str
        Plain name of the linear layer that makes the logits.
    dropout : tuple of str
        Keys of ``config.json`` for the rate before it; the first that is set counts.
    default_dropout : float
        The rate where none is set.
    hidden, activation : str
        Name of the linear layer below it and what follows that; ``""`` where there is none.
    norm : str
        Name of the layer norm after that; ``""`` where there is none.
    options : mapping of str to tuple
        Arguments of the head's description that a configuration decides: key and default by name.
        Keys that the backbone reads as well are the same for both.
    logits_bias : bool
        Whether the layer of the logits has a bias in transformers.
    pooling : str
        What a head over texts reads, unless `options` say it.
    prefix : str
        What the class puts before the backbone's names, where that is not the family's own.
    """

    logits: str
    dropout: tuple[str, ...]
    default_dropout: float = 0.1
    hidden: str = ""
    activation: str = "none"
    norm: str = ""
    options: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    logits_bias: bool = True
    pooling: str = "cls"
    prefix: str = ""


SPANS = HeadLayout("qa_outputs", (), default_dropout=0.0)
"""Of heads that answer questions, as most families have them."""


@dataclass(frozen=True)
class Family:
    """One backbone family. Plain names of tensors are those of `plain_name`.

    Attributes
    ----------
    model_type : str
        As in ``config.json``.
    required : tuple of str
        Keys that must be there.
    computed : tuple of str
        Keys that the core reads.
    training_only : tuple of str
        Those of them that change what a training step computes, and nothing else.
    fixed : mapping of str to tuple
        Keys that change the computation, with the values under which it is the one we have.
    harmless : frozenset of str
        Keys of its own that change nothing that mtfreeze computes.
    prefixes : tuple of str
        Prefixes that task models put before the backbone's tensor names.
    renamed : mapping of str to str
        Ends of tensor names in old checkpoints, and how they are called now.
    buffers : frozenset of str
        Tensors that are no parameters and are computed anew; ``*`` stands for any part of a name.
    backbone_stems : tuple of str
        Beginnings of names that only backbone tensors have: an unknown one is an error.
    layer_stem, layer_key : str
        What layers' tensor names begin with, before the number; config key of how many there are.
    sizes : mapping of str to tuple of str
        Tensors whose shape shows the main sizes, and the config keys of these sizes: compared
        before a model of those sizes is built.
    part_kinds : mapping of str to str
        Ends of parameter keys without ``.weight``, and what such a parameter is for, in a word or
        two; the longest end that fits counts.
    spellings : mapping of str to str
        What people call parts of it elsewhere, in lower case, and the selector that they mean.
    head_layouts : mapping of str to HeadLayout
        By the end of the architecture's name in ``config.json``, e.g. ``ForTokenClassification``.
    class_stem : str
        What its classes in transformers begin with, e.g. ``Bert`` of ``BertModel``.
    tokenizer_class : str
        Class of its tokenizers in transformers, where no file of a folder names one.
    encloses : bool
        Whether its tokenizers put special tokens around every text.
    pooling : str
        How token vectors become one where a folder was not made for sentences.
    pooler : str
        What the tensor names of its own pooler begin with; ``""``: it has none.
    pooler_of : str
        The pooling that stands for its own pooler where a layer below the top is read.
    causal : bool
        Whether tokens see what stands before them only.
    reads : {"texts", "images"}
        What a sequence of it is.
    norms_key : str
        Config key of whether its models have batch norms at all; ``""``: none says so.
    cells : bool
        Whether what is pooled are cells of a grid, of which none stands for the whole image.
    detection : mapping of str to str
        What names of a head that finds boxes begin with in its class of transformers, by
        ``"labels"`` and ``"boxes"``; empty: there is no such class.
    module_names : ModuleNames, optional
        What transformers calls layers in memory, where its files call them otherwise.
    whole_names : tuple of str
        Beginnings of plain names that are parameter keys as they stand, of modules beside the
        backbone too; the keys of all other tensors are their plain names behind ``backbone.``.
    rename : callable, optional
        Takes a tensor's name without prefix and returns the hub's present one, where other
        programs write the same tensors under names of their own.
    written : callable, optional
        Takes a plain name and the whole ``config.json``; returns what transformers calls the tensor
        in a file beside that configuration, where that is not the plain name.
    unpack : callable, optional
        Takes the plain name and the shape of a tensor of a file and returns what lies in it, one
        after another, by plain name and shape, where other programs store several tensors as one or
        in another shape; what the file has too little is zeros in front. None: the tensor itself.
    flat : callable, optional
        Takes the whole ``config.json`` and the file's name for messages; returns what the core
        needs and the file says in another form, such as a value inside of a nested key. Raises
        ConfigError if that asks for a computation that is not supported.
    """

    model_type: str
    required: tuple[str, ...]
    computed: tuple[str, ...]
    training_only: tuple[str, ...]
    fixed: Mapping[str, tuple[Any, ...]]
    harmless: frozenset[str]
    prefixes: tuple[str, ...]
    renamed: Mapping[str, str]
    buffers: frozenset[str]
    backbone_stems: tuple[str, ...]
    layer_stem: str
    layer_key: str
    sizes: Mapping[str, tuple[str, ...]]
    part_kinds: Mapping[str, str]
    spellings: Mapping[str, str]
    head_layouts: Mapping[str, HeadLayout]
    class_stem: str = ""
    tokenizer_class: str = ""
    encloses: bool = True
    pooling: str = "mean"
    pooler: str = ""
    pooler_of: str = "cls"
    causal: bool = False
    reads: str = TEXTS
    norms_key: str = ""
    cells: bool = False
    detection: Mapping[str, str] = field(default_factory=dict)
    module_names: ModuleNames | None = None
    whole_names: tuple[str, ...] = ()
    rename: Callable[[str], str] | None = None
    written: Callable[[str, Mapping[str, Any]], str] | None = None
    unpack: Callable[[str, Shape], Mapping[str, Shape] | None] | None = None
    flat: Callable[[Mapping[str, Any], str], dict[str, Any]] | None = None

    def core_values(self, config: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return what the core reads of a configuration whose keys were checked.

        Parameters
        ----------
        config : mapping
            The whole of ``config.json``.
        where : str
            The file, for messages.

        Raises
        ------
        ConfigError
            If a value asks for a computation that is not supported.
        """
        read = {key: config[key] for key in self.computed if config.get(key) is not None}
        return {**read, **self.flat(config, where)} if self.flat else read

    def task_prefix(self, layout: HeadLayout | None = None) -> str:
        """Return what a task model with a head of this layout puts before the backbone's names.

        Examples
        --------
        >>> from mtfreeze.families import FAMILIES
        >>> llama = FAMILIES["llama"]
        >>> llama.task_prefix(llama.head_layouts["ForQuestionAnswering"]), llama.task_prefix()
        ('transformer.', 'model.')
        """
        if layout is not None and layout.prefix:
            return layout.prefix
        return self.prefixes[0] if self.prefixes else ""

    def key_of(self, name: str) -> str:
        """Return the parameter key of the tensor of this plain name.

        Examples
        --------
        >>> from mtfreeze.families import FAMILIES
        >>> FAMILIES["bert"].key_of("pooler.dense.bias")
        'backbone.pooler.dense.bias'
        >>> FAMILIES["detr"].key_of("decoder.layernorm.bias")
        'decoder.layernorm.bias'
        """
        return name if name.startswith(self.whole_names) else BACKBONE + name

    def name_of(self, key: str) -> str:
        """Return the plain name of the tensor of this parameter key; the inverse of `key_of`."""
        return key if key.startswith(self.whole_names) else key.removeprefix(BACKBONE)

    def owns(self, key: str) -> bool:
        """Return whether this key is of the family's own parameters, not of a head or an adapter.

        Examples
        --------
        >>> from mtfreeze.families import FAMILIES
        >>> [FAMILIES[name].owns("decoder.layernorm.bias") for name in ("detr", "bert")]
        [True, False]
        """
        return key.startswith((BACKBONE, *self.whole_names))

    def written_name(self, name: str, config: Mapping[str, Any]) -> str:
        """Return what the tensor of this plain name is called in a file beside `config`."""
        return self.written(name, config) if self.written else name

    def is_buffer(self, name: str) -> bool:
        """Return whether the tensor of this plain name is no parameter.

        Examples
        --------
        >>> from mtfreeze.families import FAMILIES
        >>> FAMILIES["gpt2"].is_buffer("h.3.attn.bias"), FAMILIES["gpt2"].is_buffer("ln_f.bias")
        (True, False)
        """
        return any(fnmatchcase(name, pattern) for pattern in self.buffers)

    def plain_name(self, name: str) -> str:
        """Return the hub's present name of a tensor: no task model's prefix, no old ending.

        Examples
        --------
        >>> from mtfreeze.families import FAMILIES
        >>> FAMILIES["bert"].plain_name("bert.embeddings.LayerNorm.gamma")
        'embeddings.LayerNorm.weight'
        """
        for prefix in self.prefixes:
            name = name.removeprefix(prefix)
        for old, new in self.renamed.items():
            if name.endswith(old):
                return name.removesuffix(old) + new
        return self.rename(name) if self.rename else name
