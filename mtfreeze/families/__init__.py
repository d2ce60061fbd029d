# SPDX-License-Identifier: Apache-2.0
"""Families: what each backbone does unlike another, as facts that everybody else reads.

Called by selectors, loading, saving and summaries; calls nothing but words and errors. A family is
one file here and one in ``csrc/families``; `FAMILIES` lists them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..closest import name_list
from ..errors import ConfigError
from ..quoting import quoted
from .albert import ALBERT
from .bert import BERT
from .config_keys import core_config
from .deberta_v2 import DEBERTA_V2
from .detr import DETR
from .dinov2 import DINOV2, DINOV2_WITH_REGISTERS
from .distilbert import DISTILBERT
from .electra import ELECTRA
from .family import IMAGES, Family, HeadLayout
from .gguf_layout import GgufLayout
from .gpt2 import GPT2
from .gte import GTE, NEW
from .llama import LLAMA, LLAMA_GGUF, QWEN2, QWEN2_GGUF, QWEN3, QWEN3_GGUF
from .mobilenet_v2 import MOBILENET_V2
from .modernbert import MODERNBERT
from .mpnet import MPNET
from .nomic_bert import NOMIC_BERT
from .resnet import RESNET
from .roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA
from .timm_models import TimmModel, is_timm, read_timm
from .vgg import VGG
from .vit import DEIT, VIT, VIT_FC_NORM

__all__ = [
    "FAMILIES",
    "GGUF_LAYOUTS",
    "HEAD_LAYOUTS",
    "IMAGES",
    "Family",
    "GgufLayout",
    "HeadLayout",
    "TimmModel",
    "core_config",
    "family_of",
    "is_timm",
    "read_timm",
    "unknown_family",
]

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        BERT,
        MPNET,
        ROBERTA,
        XLM_ROBERTA,
        CAMEMBERT,
        DISTILBERT,
        MODERNBERT,
        NOMIC_BERT,
        RESNET,
        GTE,
        NEW,
        ALBERT,
        ELECTRA,
        GPT2,
        LLAMA,
        QWEN2,
        QWEN3,
        DEBERTA_V2,
        DETR,
        VGG,
        MOBILENET_V2,
        VIT,
        VIT_FC_NORM,
        DEIT,
        DINOV2,
        DINOV2_WITH_REGISTERS,
    )
}
"""Families by the ``model_type`` of ``config.json``."""

HEAD_LAYOUTS: dict[str, Mapping[str, HeadLayout]] = {
    name: family.head_layouts for name, family in FAMILIES.items()
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
    raise ConfigError(unknown_family(model_type, where, FAMILIES))


def unknown_family(model_type: object, where: str, known: Collection[str]) -> str:
    """Say that a model is of none of the `known` families.

    None of them is proposed: programs write ``model_type``, so it is no slip of the pen, and a name
    that is nearly another's is another computation.
    """
    return (
        f"{where}: expected 'model_type' to be one of {name_list(known)}; found "
        f"{quoted(model_type)}; choose a model of a supported family"
    )
