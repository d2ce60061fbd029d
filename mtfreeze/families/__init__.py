# SPDX-License-Identifier: Apache-2.0
"""Families: what each backbone does unlike another, as facts that everybody else reads.

Called by selectors, loading, saving and summaries; calls nothing but words and errors. A family is
one file here and one in ``csrc/families``; `FAMILIES` lists them. Heads are also taken from
checkpoints of families whose backbones are not built: `HEAD_LAYOUTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..closest import did_you_mean, name_list
from ..errors import ConfigError
from ..quoting import quoted
from .bert import BERT
from .config_keys import core_config
from .distilbert import DISTILBERT_HEADS
from .family import Family, HeadLayout
from .gguf_layout import GgufLayout
from .llama import LLAMA, LLAMA_GGUF, QWEN2, QWEN2_GGUF, QWEN3, QWEN3_GGUF
from .roberta import ROBERTA_HEADS

__all__ = ["FAMILIES", "GGUF_LAYOUTS", "HEAD_LAYOUTS", "Family", "GgufLayout", "HeadLayout", "core_config", "family_of"]

FAMILIES: dict[str, Family] = {family.model_type: family for family in (BERT, LLAMA, QWEN2, QWEN3)}
"""Families by the ``model_type`` of ``config.json``."""

HEAD_LAYOUTS: dict[str, Mapping[str, HeadLayout]] = {
    **{name: family.head_layouts for name, family in FAMILIES.items()},
    "roberta": ROBERTA_HEADS,
    "xlm-roberta": ROBERTA_HEADS,
    "distilbert": DISTILBERT_HEADS,
}
"""Where checkpoints keep heads, by ``model_type`` and the end of the architecture's name."""


GGUF_LAYOUTS: dict[str, GgufLayout] = {
    layout.model_type: layout for layout in (LLAMA_GGUF, QWEN2_GGUF, QWEN3_GGUF)
}
"""How GGUF files call what a family has, by ``general.architecture``."""


def family_of(config: Mapping[str, Any], where: str) -> Family:
    """Return the family of a configuration.

    Raises
    ------
    ConfigError
        If ``model_type`` is missing or none of ours.
    """
    model_type = config.get("model_type")
    if isinstance(model_type, str) and model_type in FAMILIES:
        return FAMILIES[model_type]
    hint = did_you_mean(model_type, FAMILIES) if isinstance(model_type, str) else ""
    raise ConfigError(
        f"{where}: expected 'model_type' to be one of {name_list(FAMILIES)}; found "
        f"{quoted(model_type)}; "
        f"{hint or 'choose a model of a supported family'}"
    )
