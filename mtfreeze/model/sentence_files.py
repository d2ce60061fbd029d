# SPDX-License-Identifier: Apache-2.0
"""The sentence-transformers files of a model folder: pooling, normalisation, maximum length.

Both spellings are read (2.x to 5.x, and 6.x); written are the old ones, which all of them load. A
folder without these files is a plain Hugging Face model: mean pooling, no normalisation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checks import as_number
from ..closest import name_list
from ..errors import CheckpointError, ConfigError
from ..files.inner_names import inner_path
from ..files.json_files import read_json, read_object, to_json
from ..quoting import quoted

__all__ = ["POOLINGS", "SentenceSettings", "read_settings", "settings_files"]

POOLINGS = ("mean", "cls", "pooler")
"""Ways from token vectors to one vector a text."""

_OLD_MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_PACKAGE = "sentence_transformers."
_OLD_TYPES = _PACKAGE + "models."


@dataclass(frozen=True)
class SentenceSettings:
    """What these files say.

    Attributes
    ----------
    pooling : str
        One of `POOLINGS`.
    normalize : bool
        Whether embeddings are divided by their length.
    max_length : int or None
        Tokens of a text; None where the folder does not say.
    do_lower_case : bool
        Whether texts are lower-cased before the tokenizer sees them.
    has_modules : bool
        Whether the folder has ``modules.json``, so that it was made for sentences.
    include_prompt : bool
        Whether sentence-transformers pools the tokens of a prompt too; kept for it.
    """

    pooling: str = "mean"
    normalize: bool = False
    max_length: int | None = None
    do_lower_case: bool = False
    has_modules: bool = False
    include_prompt: bool = True


def read_settings(folder: Path, pooling: str | None = None) -> SentenceSettings:
    """Read the settings of a model folder.

    Parameters
    ----------
    folder : Path
        The model.
    pooling : str, optional
        The caller's choice; then a pooling of the folder that is not supported is no error.

    Raises
    ------
    ConfigError
        If a module or pooling is not supported.
    CheckpointError
        If a file is damaged.
    """
    max_length, lower = _read_transformer(folder)
    path = folder / "modules.json"
    if not path.is_file():
        return SentenceSettings(pooling or "mean", False, max_length, lower)
    modules = read_json(path)
    if not isinstance(modules, list) or not all(isinstance(m, dict) for m in modules):
        raise CheckpointError(f"{path}: expected a list of modules; found {str(modules)[:60]}")
    found, normalize, with_prompt = "mean", False, True
    for module in modules:
        named = str(module.get("type", ""))
        if not named.startswith(_PACKAGE):
            raise ConfigError(
                f"{path}: expected modules of sentence-transformers; found {quoted(named[:80])}, "
                "whose "
                "code comes with the model and is never run; choose a model without it"
            )
        kind = named.rpartition(".")[2]
        inner = module.get("path", f"1_{kind}")
        inner_path(folder, inner, str(path))
        if kind == "Pooling":
            file = inner_path(folder, f"{inner}/config.json", str(path))
            found = _read_pooling(file) if pooling is None else pooling
            with_prompt = not file.is_file() or read_object(file).get("include_prompt") is not False
        elif kind == "Normalize":
            normalize = True
        elif kind != "Transformer":
            raise ConfigError(
                f"{path}: expected the modules Transformer, Pooling and Normalize; found "
                f"{quoted(kind)}, "
                "which changes the embeddings and is not supported; choose a model without it"
            )
    _check_prompts(folder)
    return SentenceSettings(pooling or found, normalize, max_length, lower, True, with_prompt)


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
        modes = [name for key, name in _OLD_MODES.items() if config.get(key) is True]
    else:
        modes = [str(one) for one in mode] if isinstance(mode, list) else [str(mode)]
    if len(modes) != 1 or modes[0] not in ("mean", "cls"):
        raise ConfigError(
            f"{path}: expected the pooling 'mean' or 'cls'; found {name_list(modes)}; pass "
            "from_pretrained(..., pooling='mean') to use the weights with another pooling"
        )
    return modes[0]


def _check_prompts(folder: Path) -> None:
    """Refuse a folder whose texts get a prompt before them unless the caller says otherwise."""
    path = folder / "config_sentence_transformers.json"
    if not path.is_file():
        return
    config = read_object(path)
    prompts, name = config.get("prompts"), config.get("default_prompt_name")
    if name is not None and isinstance(prompts, dict) and prompts.get(name):
        raise ConfigError(
            f"{path}: expected no default prompt; found {quoted(name)} = {quoted(prompts[name])}, "
            "which would "
            "be put before every text; remove default_prompt_name and write prompts into the texts"
        )


def settings_files(settings: SentenceSettings, width: int) -> dict[str, bytes]:
    """Return the files to write, by path inside the folder.

    Parameters
    ----------
    settings : SentenceSettings
        With a maximum length.
    width : int
        Of the pooled vector.

    Returns
    -------
    dict of str to bytes
        Empty for ``pooling="pooler"``, which sentence-transformers has no module for.
    """
    if settings.pooling not in ("mean", "cls"):
        return {}
    kinds = ["Transformer", "Pooling"] + (["Normalize"] if settings.normalize else [])
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": f"{index}_{kind}" if index else "",
            "type": _OLD_TYPES + kind,
        }
        for index, kind in enumerate(kinds)
    ]
    pooling: dict[str, Any] = {"word_embedding_dimension": width}
    for key, name in _OLD_MODES.items():
        pooling[key] = name == settings.pooling
    pooling["include_prompt"] = settings.include_prompt
    lengths = {"max_seq_length": settings.max_length, "do_lower_case": settings.do_lower_case}
    return {
        "modules.json": to_json(modules),
        "1_Pooling/config.json": to_json(pooling),
        "sentence_bert_config.json": to_json(lengths),
    }
