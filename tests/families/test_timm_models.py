# SPDX-License-Identifier: Apache-2.0
"""Configurations of timm: what they become, what is refused and with which reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import mtfreeze as mtf
from mtfreeze.errors import CheckpointError, ConfigError
from mtfreeze.families import FAMILIES, is_timm, read_timm

CFG: dict[str, Any] = {"input_size": [3, 224, 224], "crop_pct": 0.9, "interpolation": "bicubic"}
VIT = {
    "patch_embed.proj.weight": (192, 3, 16, 16),
    "blocks.0.mlp.fc1.weight": (768, 192),
    "blocks.0.attn.qkv.bias": (576,),
    "blocks.1.norm1.weight": (192,),
    "pos_embed": (1, 197, 192),
}
RESNET = {
    "conv1.weight": (64, 3, 7, 7),
    **{f"layer{s}.0.conv2.weight": (64 * 2**s, 64, 3, 3) for s in (1, 2, 3, 4)},
    "layer2.1.conv2.weight": (256, 256, 3, 3),
}


def read(name: str, shapes: dict[str, Any], **changes: Any) -> Any:
    """Return what a configuration says; `changes` are keys of it."""
    config = {"architecture": name, "pretrained_cfg": CFG, **changes}
    assert is_timm(config)
    return read_timm(config, shapes, "config.json")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet50d", "a deep stem, or shortcuts that are pooled"),
        ("resnet34d", "a deep stem"),
        ("resnext50_32x4d", "convolutions in groups"),
        ("wide_resnet50_2", "blocks that are wider inside"),
        ("seresnet50", "attention over channels"),
        ("ecaresnet50t", "attention over channels"),
        ("resnet50_gn", "another norm"),
        ("resnetv2_50x1_bit", "another norm"),
        ("vit_base_patch16_clip_224", "a norm before the blocks"),
        ("vit_base_patch16_gap_224", "another pooling"),
        ("vit_giant_patch14_dinov2", "found 'vit_giant_patch14_dinov2'; that is not"),
        ("swin_tiny_patch4_window7_224", "found 'swin_tiny_patch4_window7_224'; that is not"),
        ("mobilenetv2_120d", "more blocks a stage"),
        ("resnet50\nd", "that is not carried out"),
    ],
)
def test_architectures_that_are_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(name, VIT)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"global_pool": "map"}, ConfigError, "global_pool as 'token' or 'avg'"),
        ({"model_args": {"global_pool": "avgmax"}}, ConfigError, "global_pool as 'token' or 'avg'"),
        ({"model_args": {"qk_norm": True}}, ConfigError, "'qk_norm' = True"),
        ({"model_args": [1]}, CheckpointError, "'model_args' to map"),
        ({"pretrained_cfg": 3}, CheckpointError, "'pretrained_cfg' to map"),
        ({"pretrained_cfg": {**CFG, "crop_mode": "border"}}, ConfigError, "found 'border'"),
        ({"pretrained_cfg": {**CFG, "crop_pct": 0}}, ConfigError, "crop_pct as a number"),
        ({"pretrained_cfg": {**CFG, "interpolation": "random"}}, ConfigError, "found 'random'"),
        ({"pretrained_cfg": {"input_size": 224}}, ConfigError, "input_size as"),
        ({"pretrained_cfg": {"input_size": [3, 224, 160]}}, ConfigError, "square images"),
        ({"pretrained_cfg": {"input_size": [1, 224, 224]}}, ConfigError, "square images"),
    ],
)
def test_settings_that_are_refused(
    changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        read("vit_tiny_patch16_224", VIT, **changes)


@pytest.mark.parametrize(
    ("name", "shapes", "error", "said"),
    [
        ("vit_tiny_patch16_224", {}, CheckpointError, "'patch_embed.proj.weight'"),
        ("resnet18", VIT, CheckpointError, "'conv1.weight' of 4 sizes above 0; found none"),
        (
            "vit_tiny_patch16_224",
            {**VIT, "patch_embed.proj.weight": (192, 3, 0, 0)},
            CheckpointError,
            "of 4 sizes above 0",
        ),
        (
            "vit_small_patch14_reg4_dinov2",
            {**VIT, "blocks.0.ls1.gamma": (192,), "reg_token": (4,)},
            CheckpointError,
            "'reg_token' of 3 sizes",
        ),
        (
            "vit_small_patch14_reg4_dinov2",
            {**VIT, "blocks.0.ls1.gamma": (192,), "blocks.0.mlp.fc1.weight": (500, 192)},
            ConfigError,
            "a multiple of 192; found 500",
        ),
        ("vgg11", VIT, CheckpointError, "'features.0.weight'"),
        (
            "vit_tiny_patch16_224",
            {**VIT, "pos_embed": (1, 151, 192)},
            CheckpointError,
            "found 151 of them",
        ),
        (
            "vit_tiny_patch16_224",
            {**VIT, "patch_embed.proj.weight": (192, 3, 16, 8)},
            ConfigError,
            "square patches",
        ),
    ],
)
def test_tensors_of_another_model(
    name: str, shapes: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        read(name, shapes)


def test_what_a_vit_becomes() -> None:
    found = read("vit_tiny_patch16_224", VIT, num_classes=2, label_names=["cat", "dog"])
    assert found.config["model_type"] == "vit" and found.config["num_attention_heads"] == 3
    assert found.config["image_size"] == [224, 224] and found.config["num_hidden_layers"] == 2
    assert found.config["qkv_bias"] is True and found.config["intermediate_size"] == 768
    assert found.config["id2label"] == {"0": "cat", "1": "dog"}
    assert found.processor["size"] == {"shortest_edge": 248}  # floor(224 / 0.9)
    bare = read("vit_tiny_patch16_224", VIT, num_classes=0)
    assert "architectures" not in bare.config
    larger = read("vit_tiny_patch16_384", {**VIT, "pos_embed": (1, 577, 192)})
    assert larger.config["image_size"] == [384, 384]  # of the table, whatever input_size says
    squashed = read("vit_tiny_patch16_224", VIT, pretrained_cfg={**CFG, "crop_mode": "squash"})
    assert squashed.processor["size"] == {"height": 248, "width": 248}


def test_what_a_vit_pooled_by_the_mean_becomes() -> None:
    rows = read("vit_tiny_patch16_224", VIT, global_pool="avg", num_classes=2)
    assert (rows.config["model_type"], rows.pooling) == ("vit", "mean")
    assert "architectures" not in rows.config  # transformers' class reads the class token
    normed = {**VIT, "fc_norm.weight": (192,)}
    distilled = {"dist_token": (1, 1, 192), "pos_embed": (1, 198, 192)}
    mean = read("vit_tiny_patch16_224", normed, global_pool="avg", num_classes=2)
    assert (mean.config["model_type"], mean.pooling) == ("vit_fc_norm", "")
    assert mean.config["architectures"] == ["ViTForImageClassification"]
    for changes, more in (
        ({}, {}),
        ({"global_pool": "avg"}, distilled),
        ({"global_pool": "avg"}, {"blocks.0.ls1.gamma": (192,)}),
    ):
        with pytest.raises(ConfigError, match="'fc_norm', in a plain ViT with global_pool='avg'"):
            read("vit_tiny_patch16_224", normed | more, **changes)
    with pytest.raises(ConfigError, match="a token of distillation; found 'avg'"):
        read("vit_tiny_patch16_224", VIT | distilled, global_pool="avg")


def test_what_a_resnet_becomes() -> None:
    config = {"architecture": "resnet18", "num_classes": 5, **CFG}  # of old timm, all in one
    found = read_timm(config, RESNET, "config.json")
    assert found.config["depths"] == [1, 2, 1, 1] and found.config["layer_type"] == "basic"
    assert found.config["hidden_sizes"] == [128, 256, 512, 1024]
    assert len(found.config["id2label"]) == 5


def test_a_folder_with_a_tensor_more(tmp_path: Path) -> None:
    tensors = {name: np.zeros(shape, np.float32) for name, shape in VIT.items()}
    save_file(
        tensors | {"norm_pre.weight": np.ones(192, np.float32)}, tmp_path / "model.safetensors"
    )
    config = {"architecture": "vit_tiny_patch16_224", "pretrained_cfg": CFG}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"found also 'norm_pre\.weight'"):
        mtf.MultiTaskModel.from_pretrained(tmp_path)


def test_parts_of_tensors() -> None:
    unpack = FAMILIES["vit"].unpack
    assert unpack is not None
    begin = "encoder.layer.0.attention.attention."
    assert unpack(f"{begin}qkv.weight", (6, 4)) == {
        f"{begin}{one}.weight": (2, 4) for one in ("query", "key", "value")
    }
    assert unpack(f"{begin}qkv.weight", (7, 4)) is None  # which loading then refuses
    assert unpack("embeddings.position_embeddings", (1, 9, 2)) is None
