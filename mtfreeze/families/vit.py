# SPDX-License-Identifier: Apache-2.0
"""ViT, DeiT, timm's ViT pooled by the mean: pre-norm encoders of patches, learned positions.

``csrc/families/vit.c`` builds them. DeiT has a second token, taught by another model; what it
learnt is read by a head of its own, which one class of transformers averages with the other. With
``global_pool="avg"`` timm's ViT has a norm of the mean of its patches, ``fc_norm``, and none of the
rows; no model of transformers is that, so the configuration is our own.
"""

from __future__ import annotations

from dataclasses import replace

from .family import IMAGES, Family, HeadLayout
from .module_names import OF_VIT
from .vision import (
    VISION_COMPUTED,
    VISION_FIXED,
    VISION_KINDS,
    VISION_RATES,
    VISION_SIZES,
    VISION_SPELLINGS,
    vision_sizes,
)
from .vision_names import from_timm_deit, from_timm_vit, unpack_vision

__all__ = ["DEIT", "VIT", "VIT_FC_NORM"]

VIT = Family(
    model_type="vit",
    required=(*VISION_SIZES, "intermediate_size"),
    computed=(
        *VISION_COMPUTED,
        "intermediate_size",
        "interpolate_positions",  # of mtfreeze, which loading says: other sizes are taken
        "pooler_act",
        "pooler_output_size",
    ),
    training_only=VISION_RATES,
    fixed=VISION_FIXED,
    harmless=frozenset({"encoder_stride"}),  # of what guesses patches
    encloses=False,
    pooling="cls",
    pooler="pooler.",
    reads=IMAGES,
    prefixes=("vit.",),
    renamed={},
    rename=from_timm_vit,
    unpack=unpack_vision,
    buffers=frozenset({"embeddings.mask_token"}),  # in place of patches that are to be guessed
    backbone_stems=("embeddings.", "encoder.", "layernorm."),
    layer_stem="encoder.layer.",
    layer_key="num_hidden_layers",
    sizes={
        "embeddings.patch_embeddings.projection.bias": ("hidden_size",),
        "encoder.layer.0.intermediate.dense.weight": ("intermediate_size", "hidden_size"),
    },
    part_kinds={
        **VISION_KINDS,
        "layernorm_before": "attention norm",
        "layernorm_after": "feed-forward norm",
        "intermediate.dense": "feed-forward in",
        "output.dense": "feed-forward out",
        "pooler.dense": "pooler",
    },
    spellings={"vit": "backbone", **VISION_SPELLINGS},
    class_stem="ViT",
    # W h of the class token's vector h
    head_layouts={"ForImageClassification": HeadLayout("classifier", (), default_dropout=0.0)},
    flat=vision_sizes,
    module_names=OF_VIT,
)

DEIT = replace(
    VIT,
    model_type="deit",
    prefixes=("deit.",),
    rename=from_timm_deit,
    part_kinds={**VIT.part_kinds, "distillation_token": "distillation token"},
    spellings={"deit": "backbone", **VISION_SPELLINGS},
    class_stem="DeiT",
)

VIT_FC_NORM = replace(
    VIT,
    model_type="vit_fc_norm",
    computed=tuple(key for key in VIT.computed if not key.startswith("pooler_")),
    pooling="pooler",
    pooler="fc_norm.",
    pooler_of="mean",
    prefixes=(),
    backbone_stems=("embeddings.", "encoder."),
    part_kinds={
        **{end: kind for end, kind in VIT.part_kinds.items() if end != "pooler.dense"},
        "fc_norm": "final norm",
    },
    spellings={**VIT.spellings, "fc_norm": "final_norm", "pooler": "final_norm"},
    class_stem="",
    # W times what the norm gives.
    head_layouts={
        "ForImageClassification": HeadLayout(
            "classifier", (), default_dropout=0.0, pooling="pooler"
        )
    },
    module_names=None,
)
