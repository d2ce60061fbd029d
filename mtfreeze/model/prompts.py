# SPDX-License-Identifier: Apache-2.0
"""Prompts: what is put before a text, such as ``"query: "``, by name.

A model keeps them in ``config_sentence_transformers.json``. One of them may be the default: it
stands before every text that the model reads, in training as in prediction, so that both see the
same. Rows of words have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checks import check_text, typed
from ..closest import name_list, unknown
from ..errors import CheckpointError, ConfigError
from ..files.json_files import read_object, to_json
from ..files.reading import read_file
from ..quoting import quoted

__all__ = ["PROMPTS_FILE", "Prompts", "check_prompts", "read_prompts"]

PROMPTS_FILE = "config_sentence_transformers.json"


@dataclass(frozen=True)
class Prompts:
    """The prompts of a model.

    Attributes
    ----------
    texts : dict of str to str
        By name; ``""`` is one, too.
    default : str or None
        Name of the one that stands before every text unless the caller chooses another.
    file : dict
        The whole of the file that they were read from; empty without one.
    raw : bytes
        The same as it lies there.
    """

    texts: dict[str, str] = field(default_factory=dict)
    default: str | None = None
    file: dict[str, Any] = field(default_factory=dict)
    raw: bytes = b""

    @property
    def default_text(self) -> str:
        """The text of the default prompt; ``""`` without one."""
        return "" if self.default is None else self.texts[self.default]

    def choose(self, prompt: object = None, name: object = None) -> str:
        """Return what to put before texts.

        Parameters
        ----------
        prompt : str, optional
            The text itself; ``""`` for none, also where there is a default.
        name : str, optional
            Name of one of the model's prompts.

        Raises
        ------
        TypeError
            If one of them is no text.
        ConfigError
            If both are given, or there is no prompt of that name.
        """
        if prompt is not None and name is not None:
            raise ConfigError(
                f"expected prompt or prompt_name; found both, {quoted(prompt)} and "
                f"{quoted(name)}; leave one of them out"
            )
        if prompt is not None:
            return check_text("prompt", prompt)
        if name is None:
            return self.default_text
        wanted = check_text("prompt_name", name)
        if wanted not in self.texts:
            raise ConfigError(
                unknown("prompt_name", wanted, self.texts)
                if self.texts
                else f"unknown prompt_name {quoted(wanted)}: this model has no prompts; pass "
                "prompt= with the text itself, or from_pretrained(..., prompts={...})"
            )
        return self.texts[wanted]

    def with_changes(self, texts: Mapping[str, str] | None, default: str | None) -> Prompts:
        """Return these prompts with a caller's in their place.

        Parameters
        ----------
        texts : mapping of str to str, optional
            Added to what there is; takes the place of prompts of the same name.
        default : str, optional
            Name of the default; ``""`` for none.

        Raises
        ------
        TypeError, ConfigError
            If they are no texts, or there is no prompt of that name.
        """
        merged = {**self.texts, **check_prompts(texts)}
        name = self.default
        if default is not None:
            name = check_text("default_prompt_name", default) or None
            if name is not None and name not in merged:
                raise ConfigError(
                    f"expected default_prompt_name to be one of {name_list(merged)}; found "
                    f"{quoted(name)}; pass it in prompts={{...}} too"
                    if merged
                    else f"expected prompts with the default_prompt_name {quoted(name)}; found "
                    "none; pass prompts={...} too"
                )
        return Prompts(merged, name, self.file, self.raw)

    def to_file(self) -> bytes | None:
        """Return the file that keeps them; None where there is nothing to keep."""
        if not self.texts and not self.raw:
            return None
        if (self.texts, self.default) == _named(self.file):
            return self.raw
        return to_json({**self.file, "prompts": self.texts, "default_prompt_name": self.default})


def check_prompts(texts: object) -> dict[str, str]:
    """Return prompts by name as a dict; TypeError if they are something else."""
    if texts is None:
        return {}
    if not isinstance(texts, Mapping):
        raise TypeError(
            f"prompts must be texts by name; found {typed(texts)}; give a mapping such as "
            "{'query': 'query: '}"
        )
    return {check_text("a prompt's name", k): check_text("prompt", v) for k, v in texts.items()}


def read_prompts(folder: Path) -> Prompts:
    """Read the prompts of a model folder.

    Raises
    ------
    CheckpointError
        If the file is damaged, or names a default that it does not have.
    """
    path = folder / PROMPTS_FILE
    if not path.is_file():
        return Prompts()
    raw = read_file(path, CheckpointError)
    config = read_object(path)
    texts, default = _named(config)
    if not isinstance(texts, dict) or not all(isinstance(one, str) for one in texts.values()):
        raise CheckpointError(
            f"{path}: expected 'prompts' to map names to texts; found {quoted(texts)}; correct it"
        )
    if default is not None and (not isinstance(default, str) or default not in texts):
        raise CheckpointError(
            f"{path}: expected 'default_prompt_name' to be null or one of "
            f"{name_list(texts) if texts else 'its prompts, of which there are none'}; found "
            f"{quoted(default)}; correct it"
        )
    return Prompts(texts, default, config, raw)


def _named(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return what a file says of prompts and of the default's name."""
    return config.get("prompts") or {}, config.get("default_prompt_name")
