# SPDX-License-Identifier: Apache-2.0
"""DINOv2, without and with registers: pre-norm encoders of image patches of any grid.

``csrc/families/dinov2.c`` builds both. Sums are scaled by column, feed-forward networks may be
gated, and positions are drawn over whatever grid an image has. There is no pooler.
"""

from __future__ import annotations

from dataclasses import replace

from .family import HeadLayout
from .module_names import OF_DINOV2
from .vision import (
    VISION_COMPUTED,
    VISION_FIXED,
    VISION_KINDS,
    VISION_SIZES,
    VISION_SPELLINGS,
)
from .vision_names import from_timm_dinov2
from .vit import VIT

__all__ = ["DINOV2", "DINOV2_WITH_REGISTERS"]

DINOV2 = replace(
    VIT,
    model_type="dinov2",
    required=VISION_SIZES,
    computed=(*VISION_COMPUTED, "mlp_ratio", "use_swiglu_ffn"),
    fixed={**VISION_FIXED, "drop_path_rate": (0, 0.0, None)},
    harmless=frozenset(
        {
            "layerscale_value",  # of new models
            "use_mask_token",
            # of models for dense predictions
            "apply_layernorm",
            "out_features",
            "out_indices",
            "reshape_hidden_states",
            "stage_names",
        }
    ),
    pooler="",
    prefixes=("dinov2.",),
    rename=from_timm_dinov2,
    sizes={"embeddings.patch_embeddings.projection.bias": ("hidden_size",)},
    part_kinds={
        **VISION_KINDS,
        "norm1": "attention norm",
        "norm2": "feed-forward norm",
        "layer_scale1.lambda1": "attention scale",
        "layer_scale2.lambda1": "feed-forward scale",
        "mlp.fc1": "feed-forward in",
        "mlp.fc2": "feed-forward out",
        "mlp.weights_in": "feed-forward in",
        "mlp.weights_out": "feed-forward out",
    },
    spellings={"dinov2": "backbone", **VISION_SPELLINGS},
    class_stem="Dinov2",
    # W [h, m] of the class token's vector h and the mean m over the patches
    head_layouts={
        "ForImageClassification": HeadLayout(
            "classifier", (), default_dropout=0.0, pooling="cls+mean"
        )
    },
    module_names=OF_DINOV2,
)

DINOV2_WITH_REGISTERS = replace(
    DINOV2,
    model_type="dinov2_with_registers",
    computed=(*DINOV2.computed, "num_register_tokens"),
    prefixes=("dinov2_with_registers.",),
    part_kinds={**DINOV2.part_kinds, "register_tokens": "registers"},
    spellings={**DINOV2.spellings, "dinov2_with_registers": "backbone"},
    class_stem="Dinov2WithRegisters",
)
