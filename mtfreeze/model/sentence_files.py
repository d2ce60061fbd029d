# SPDX-License-Identifier: Apache-2.0
"""The sentence-transformers files of a model folder: modules, maximum length, prompts.

Both spellings are read (2.x to 5.x, and 6.x); written are the old ones, which all of them load. A
folder without these files is a plain Hugging Face model: mean pooling, no normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checks import as_number
from ..closest import name_list
from ..errors import CheckpointError, ConfigError
from ..files.inner_names import inner_path
from ..files.json_files import read_json, read_object, to_json
from ..heads.kind import POOLINGS, check_poolings
from ..quoting import quoted
from .dense_modules import DenseModule, dense_config, read_dense
from .prompts import PROMPTS_FILE, Prompts, read_prompts

__all__ = [
    "POOLER",
    "WRITTEN",
    "SentenceSettings",
    "check_pooling",
    "dense_folder",
    "read_settings",
    "settings_files",
]

WRITTEN = (
    "config.json",
    "mtfreeze.json",
    "freeze_report.json",
    "modules.json",
    "sentence_bert_config.json",
    PROMPTS_FILE,
)
"""Files at the top of a saved folder that are made anew, beside the tokenizer's and the weights."""

POOLER = "pooler"
"""The pooling that is a layer of the backbone; sentence-transformers has no module for it."""

_OLD_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""In the order in which several of them stand side by side."""

_PACKAGE = "sentence_transformers."
_KINDS = ("Transformer", "Pooling", "Dense", "Normalize")
_TYPES = {
    f"{_PACKAGE}{place}": kind
    for kind in _KINDS
    for place in (
        f"models.{kind}",
        f"models.{kind}.{kind}",
        f"base.modules.{kind}",
        f"base.modules.{kind.lower()}.{kind}",
        f"sentence_transformer.modules.{kind}",
        f"sentence_transformer.modules.{kind.lower()}.{kind}",
    )
}
"""Modules by the whole of their names, which the versions write in different ways."""


@dataclass(frozen=True)
class SentenceSettings:
    """What these files say.

    Attributes
    ----------
    pooling : str
        One or several of `POOLINGS`, with ``+`` between them; or `POOLER`.
    normalize : bool
        Whether embeddings are divided by their length.
    max_length : int or None
        Tokens of a text; None where the folder does not say.
    do_lower_case : bool
        Whether texts are lower-cased before the tokenizer sees them.
    has_modules : bool
        Whether the folder has ``modules.json``, so that it was made for sentences.
    include_prompt : bool
        Whether the tokens of a prompt are pooled too.
    dense : tuple of DenseModule
        Between pooling and normalisation.
    prompts : Prompts
        What may stand before a text.
    """

    pooling: str = "mean"
    normalize: bool = False
    max_length: int | None = None
    do_lower_case: bool = False
    has_modules: bool = False
    include_prompt: bool = True
    dense: tuple[DenseModule, ...] = ()
    prompts: Prompts = field(default_factory=Prompts)


def check_pooling(pooling: object) -> str:
    """Return a pooling of a model as text: the names of a list with ``+`` between them.

    Raises
    ------
    TypeError, ConfigError
        If it is none, with the closest.
    """
    if isinstance(pooling, str) and pooling == POOLER:
        return POOLER
    return check_poolings("pooling", pooling, [POOLER])


def read_settings(
    folder: Path, pooling: str | None = None, usual: str = "mean"
) -> SentenceSettings:
    """Read the settings of a model folder.

    Parameters
    ----------
    folder : Path
        The model.
    pooling : str, optional
        The caller's choice; then a pooling of the folder that is not supported is no error.
    usual : str
        Where the folder was not made for sentences.

    Raises
    ------
    ConfigError
        If a module or pooling is not supported.
    CheckpointError
        If a file is damaged.
    """
    max_length, lower = _read_transformer(folder)
    prompts = read_prompts(folder)
    path = folder / "modules.json"
    if not path.is_file():
        return SentenceSettings(pooling or usual, False, max_length, lower, prompts=prompts)
    found, with_prompt = "mean", True
    dense: list[DenseModule] = []
    modules = _read_modules(folder, path)
    for kind, inner in modules:
        if kind == "Pooling":
            file = inner_path(folder, f"{inner}/config.json", str(path))
            found = _read_pooling(file) if pooling is None else pooling
            with_prompt = not file.is_file() or read_object(file).get("include_prompt") is not False
        elif kind == "Dense":
            dense.append(read_dense(folder, inner, str(path)))
    normalize = any(kind == "Normalize" for kind, _ in modules)
    chosen = pooling or found
    return SentenceSettings(
        chosen, normalize, max_length, lower, True, with_prompt, tuple(dense), prompts
    )


def _read_modules(folder: Path, path: Path) -> list[tuple[str, str]]:
    """Return kind and folder of each module of ``modules.json``, in an order that is computed."""
    modules = read_json(path)
    if not isinstance(modules, list) or not all(isinstance(m, dict) for m in modules):
        raise CheckpointError(f"{path}: expected a list of modules; found {str(modules)[:60]}")
    found: list[tuple[str, str]] = []
    for module in modules:
        named = str(module.get("type", ""))
        if not named.startswith(_PACKAGE):
            raise ConfigError(
                f"{path}: expected modules of sentence-transformers; found {quoted(named[:80])}, "
                "whose code comes with the model and is never run; choose a model without it"
            )
        kind = _TYPES.get(named)
        if kind is None:
            raise ConfigError(
                f"{path}: expected the modules {name_list(_KINDS)}; found {quoted(named[:80])}, "
                "which changes the embeddings and is not supported; choose a model without it"
            )
        inner = module.get("path", f"{len(found)}_{kind}")
        inner_path(folder, inner, str(path))
        found.append((kind, inner))
    kinds = [kind for kind, _ in found]
    places = [_KINDS.index(kind) for kind in kinds]
    if places != sorted(places) or any(kinds.count(one) > 1 for one in kinds if one != "Dense"):
        raise ConfigError(
            f"{path}: expected Transformer, Pooling, any number of Dense, and Normalize, in this "
            f"order; found {name_list(kinds, 8)}; choose a model with modules in this order"
        )
    return found


def _read_transformer(folder: Path) -> tuple[int | None, bool]:
    """Return the maximum length and whether texts are lower-cased."""
    lower = False
    length: object = None
    path = folder / "sentence_bert_config.json"
    if path.is_file():
        settings = read_object(path)
        length, lower = settings.get("max_seq_length"), settings.get("do_lower_case") is True
    if length is None and (folder / "tokenizer_config.json").is_file():
        path = folder / "tokenizer_config.json"
        named = read_object(path)
        length = named.get("model_max_length", named.get("max_len"))
        if isinstance(length, float) and length > 1e9:  # "no limit", as transformers writes it
            length = None
    if length is None:
        return None, lower
    number = as_number(length)
    if number is None or not 3 <= number < math.inf:
        raise CheckpointError(
            f"{path}: expected a maximum length of at least 3 tokens; found {quoted(length)}; "
            "correct it"
        )
    return int(number), lower


def _read_pooling(path: Path) -> str:
    """Return the pooling that ``1_Pooling/config.json`` asks for."""
    config = read_object(path)
    mode = config.get("pooling_mode")
    if mode is None:
        old = any(key in config for key in _OLD_MODES)
        modes = [name for key, name in _OLD_MODES.items() if config.get(key) is True]
        modes = modes if modes or old else ["mean"]
    else:
        modes = [str(one) for one in mode] if isinstance(mode, list) else [str(mode)]
    if not modes or not set(modes) <= set(POOLINGS):
        raise ConfigError(
            f"{path}: expected one or several of the poolings {name_list(POOLINGS, 6)}; found "
            f"{name_list(modes)}; pass from_pretrained(..., pooling='mean') to use the weights "
            "with another pooling"
        )
    return "+".join(modes)


def settings_files(settings: SentenceSettings, width: int) -> dict[str, bytes]:
    """Return the files to write, by path inside the folder.

    Parameters
    ----------
    settings : SentenceSettings
        With a maximum length; without one there are no texts, and nothing to say of them.
    width : int
        Of the token vectors.

    Returns
    -------
    dict of str to bytes
        For `POOLER` the prompts alone, since sentence-transformers has no module for it. The
        weights of Dense modules go beside their ``config.json``, in the folder `dense_folder`.
    """
    if settings.max_length is None:
        return {}
    prompts = settings.prompts.to_file()
    files = {} if prompts is None else {PROMPTS_FILE: prompts}
    if settings.pooling == POOLER:
        return files
    kinds = ["Transformer", "Pooling"] + ["Dense"] * len(settings.dense)
    kinds += ["Normalize"] if settings.normalize else []
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": f"{index}_{kind}" if index else "",
            "type": f"{_PACKAGE}models.{kind}",
        }
        for index, kind in enumerate(kinds)
    ]
    lengths = {"max_seq_length": settings.max_length, "do_lower_case": settings.do_lower_case}
    pooling = _pooling_config(settings.pooling.split("+"), width)
    pooling["include_prompt"] = settings.include_prompt
    files |= {
        "modules.json": to_json(modules),
        "1_Pooling/config.json": to_json(pooling),
        "sentence_bert_config.json": to_json(lengths),
    }
    for number, one in enumerate(settings.dense):
        files[f"{dense_folder(number)}/config.json"] = dense_config(one)
    return files


def dense_folder(number: int) -> str:
    """Return the folder of Dense module `number` in what `settings_files` describes."""
    return f"{number + 2}_Dense"


def _pooling_config(modes: Sequence[str], width: int) -> dict[str, Any]:
    """Return the config of a Pooling module, in the old spelling where that can say it."""
    listed = [name for name in _OLD_MODES.values() if name in modes]
    if listed != list(modes):
        return {"embedding_dimension": width, "pooling_mode": list(modes)}
    config: dict[str, Any] = {"word_embedding_dimension": width}
    return config | {key: name in modes for key, name in _OLD_MODES.items()}
