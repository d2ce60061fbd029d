# SPDX-License-Identifier: Apache-2.0
"""Folders as timm and torchvision write them, against the same numbers under transformers' names.

The weights are those of tiny models of transformers, renamed; timm itself is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_reference import vgg
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from mtfreeze.images import Processor

SIDE = 20
CLOSE = 1e-5
CFG = {
    "input_size": [3, SIDE, SIDE],
    "interpolation": "bicubic",
    "crop_pct": 0.9,
    "crop_mode": "center",
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.3, 0.2],
    "num_classes": 3,
}
VIT: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": SIDE,
    "patch_size": 4,
    "layer_norm_eps": 1e-6,
    "num_labels": 3,
}
Tensors = dict[str, NDArray[np.float32]]


def write(
    folder: Path, architecture: str, tensors: Tensors, pool: str | None = None, **changes: Any
) -> Path:
    """Write a folder as timm does; `changes` are keys of ``pretrained_cfg``."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architecture": architecture,
        "num_classes": 3,
        "num_features": 24,
        "pretrained_cfg": {**CFG, **changes},
    }
    if pool is not None:
        config |= {"global_pool": pool, "model_args": {"global_pool": pool}}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(
        {k: np.ascontiguousarray(v) for k, v in tensors.items()}, folder / "model.safetensors"
    )
    return folder


def moved(model: Any, torch: Any) -> Any:
    """Return a model none of whose tensors is as it was made."""
    with torch.no_grad():
        for name, values in [*model.named_buffers(), *model.named_parameters()]:
            if name.endswith("running_var"):
                values.uniform_(0.5, 1.5)
            elif values.is_floating_point():
                values.add_(torch.randn_like(values) * 0.1)
    return model


def saved(model: Any, folder: Path) -> Tensors:
    """Return a model's tensors as files of the hub name them."""
    model.save_pretrained(folder)
    return load_file(folder / "model.safetensors")


def in_blocks(tensors: Mapping[str, Any], layer: Mapping[str, str]) -> Tensors:
    """Return the layers of a vision transformer under timm's names, q, k and v stacked."""
    found: Tensors = {}
    begin = "encoder.layer."
    values = {}
    for name, value in tensors.items():
        first, _, rest = name.partition(".")
        values[rest if first in PREFIXES else name] = value
    numbers = sorted({int(name.split(".")[2]) for name in values if name.startswith(begin)})
    for n in numbers:
        for kind in ("weight", "bias"):
            own = [
                values[f"{begin}{n}.attention.attention.{one}.{kind}"]
                for one in ("query", "key", "value")
            ]
            found[f"blocks.{n}.attn.qkv.{kind}"] = np.concatenate(own)
            for ours, theirs in layer.items():
                found[f"blocks.{n}.{theirs}.{kind}"] = values[f"{begin}{n}.{ours}.{kind}"]
        for one in ("1", "2"):
            scale = f"{begin}{n}.layer_scale{one}.lambda1"
            if scale in values:
                found[f"blocks.{n}.ls{one}.gamma"] = values[scale]
    embeddings = {
        "patch_embeddings.projection.weight": "patch_embed.proj.weight",
        "patch_embeddings.projection.bias": "patch_embed.proj.bias",
        "cls_token": "cls_token",
        "distillation_token": "dist_token",
        "register_tokens": "reg_token",
        "position_embeddings": "pos_embed",
    }
    for ours, theirs in embeddings.items():
        if f"embeddings.{ours}" in values:
            found[theirs] = values[f"embeddings.{ours}"]
    for kind in ("weight", "bias"):
        found[f"norm.{kind}"] = values[f"layernorm.{kind}"]
    return found


PREFIXES = ("vit", "deit", "dinov2", "dinov2_with_registers")
OF_VIT = {
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "attention.output.dense": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}
OF_DINOV2 = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attention.output.dense": "attn.proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def pictures() -> list[Any]:
    """Return two images."""
    random = np.random.default_rng(5)
    return [random.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((30, 41), (22, 22))]


def prepared(torch: Any, model: Any) -> Any:
    """Return the pictures as timm prepares them, (2, 3, H, W)."""
    processor = Processor.from_json(
        {
            "image_processor_type": "BitImageProcessor",
            "size": {"shortest_edge": int(SIDE / 0.9)},
            "crop_size": SIDE,
            "resample": 3,
            "image_mean": CFG["mean"],
            "image_std": CFG["std"],
        }
    )
    assert model._encoder.processor == processor
    values = [processor.floats(processor.uint8(one)).transpose(2, 0, 1) for one in pictures()]
    return torch.from_numpy(np.ascontiguousarray(np.stack(values)))


def difference(found: NDArray[Any], wanted: Any) -> float:
    values = wanted.detach().numpy()
    assert found.shape == values.shape
    return float(np.abs(found - values).max() / np.abs(values).max())


def vit(torch: Any, transformers: Any, place: Path) -> tuple[Any, Any]:
    """Return a seeded ViT with its head, and its tensors by the names that timm has for them."""
    torch.manual_seed(1)
    config = transformers.ViTConfig(**VIT, intermediate_size=40)
    made = moved(transformers.ViTForImageClassification(config), torch).eval()
    theirs = saved(made, place / "theirs")
    tensors = in_blocks(theirs, OF_VIT)
    tensors |= {f"head.{kind}": theirs[f"classifier.{kind}"] for kind in ("weight", "bias")}
    return made, tensors


def test_vit(torch: Any, transformers: Any, tmp_path: Path) -> None:
    made, tensors = vit(torch, transformers, tmp_path)
    folder = write(tmp_path / "timm", "vit_tiny_patch4_20", tensors)
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("animal", from_pretrained=folder)
    found = model.forward(pictures(), ["pooled", "animal"])
    with torch.no_grad():
        wanted = made(prepared(torch, model), output_hidden_states=True)
        state = made.vit(prepared(torch, model)).last_hidden_state[:, 0]
    assert difference(found["pooled"], state) < CLOSE
    assert difference(found["animal"], wanted.logits) < CLOSE
    model.save_pretrained(tmp_path / "ours", head="animal")
    auto = transformers.AutoModelForImageClassification
    again, info = auto.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "mismatched_keys", "unexpected_keys"))
    with torch.no_grad():
        assert torch.equal(again(prepared(torch, model)).logits, wanted.logits)


@pytest.mark.parametrize("normed", ["the mean", "rows"])
def test_a_vit_that_is_pooled_by_the_mean(
    torch: Any, transformers: Any, tmp_path: Path, normed: str
) -> None:
    """timm norms the mean of the patches, ``fc_norm``, or with ``fc_norm=False`` the rows."""
    made, tensors = vit(torch, transformers, tmp_path)
    norm, made.vit.layernorm = made.vit.layernorm, torch.nn.Identity()
    if normed == "the mean":
        for kind in ("weight", "bias"):
            tensors[f"fc_norm.{kind}"] = tensors.pop(f"norm.{kind}")
    folder = write(tmp_path / "timm", "vit_tiny_patch4_20", tensors, "avg")
    model = mtf.MultiTaskModel.from_pretrained(folder)

    def pooled() -> Any:
        rows = made.vit(prepared(torch, model)).last_hidden_state
        return norm(rows[:, 1:].mean(1)) if normed == "the mean" else norm(rows)[:, 1:].mean(1)

    labels = [0, 2]
    wanted = pooled()
    assert difference(model.encode(pictures()), wanted) < CLOSE
    if normed == "rows":
        assert model.pooling == "mean" and model.index.family.model_type == "vit"
        saved_as = model.save_pretrained(tmp_path / "ours")
        assert mtf.MultiTaskModel.from_pretrained(saved_as).pooling == "mean"
        with pytest.raises(mtf.ConfigError, match=r"found architectures = \[\]"):
            model.add_head("animal", from_pretrained=saved_as)  # nothing there says what it reads
    model.add_head("animal", from_pretrained=folder)
    logits = made.classifier(wanted)
    assert difference(model.forward(pictures(), ["animal"])["animal"], logits) < CLOSE
    if normed == "rows":
        with pytest.raises(mtf.ConfigError, match="is not what ViTForImageClassification computes"):
            model.save_pretrained(tmp_path / "out", head="animal")
        whole = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "whole"))
        found = whole.forward(pictures(), ["animal"])["animal"]
        np.testing.assert_array_equal(found, model.forward(pictures(), ["animal"])["animal"])
        by_token = mtf.MultiTaskModel.from_pretrained(folder, pooling="cls")
        by_token.add_head("animal", from_pretrained=folder)  # reads the mean all the same
        np.testing.assert_array_equal(by_token.forward(pictures(), ["animal"])["animal"], found)
        return
    torch.nn.functional.cross_entropy(logits, torch.tensor(labels)).backward()
    names = list(model.heads["animal"].spec.labels)
    rows = [(picture, names[k]) for picture, k in zip(pictures(), labels, strict=True)]
    gradients = model.gradients({"animal": rows})
    made.vit.layernorm = norm
    with torch.no_grad():  # by the names of files, which are not those of modules
        for parameter in made.parameters():
            parameter.copy_(parameter.grad)
    whole = saved(made, tmp_path / "gradients")
    for name, value in whole.items():
        key = name.replace("vit.", "backbone.").replace("layernorm.", "fc_norm.")
        found = np.asarray(gradients.pop(key.replace("classifier.", "animal.")))
        assert np.abs(found - value).max() < CLOSE * max(1, np.abs(value).max()), key
    assert not gradients
    again = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "ours"))
    np.testing.assert_array_equal(again.encode(pictures()), model.encode(pictures()))
    with pytest.raises(mtf.ConfigError, match="vit_fc_norm models of transformers"):
        model.save_pretrained(tmp_path / "out", head="animal")


def test_a_distilled_deit(torch: Any, transformers: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = transformers.DeiTConfig(**VIT, intermediate_size=40)
    made = moved(transformers.DeiTModel(config, add_pooling_layer=False), torch).eval()
    tensors = in_blocks(saved(made, tmp_path / "theirs"), OF_VIT)
    tensors |= {"head.weight": np.ones((3, 24), np.float32), "head.bias": np.ones(3, np.float32)}
    tensors |= {f"head_dist.{k}": tensors[f"head.{k}"] for k in ("weight", "bias")}
    folder = write(tmp_path / "timm", "deit_tiny_distilled_patch4_20", tensors)
    model = mtf.MultiTaskModel.from_pretrained(folder)
    with torch.no_grad():
        state = made(prepared(torch, model)).last_hidden_state[:, 0]
    assert difference(model.encode(pictures()), state) < CLOSE
    with pytest.raises(mtf.ConfigError, match="the mean of two"):
        model.add_head("animal", from_pretrained=folder)


@pytest.mark.parametrize("registers", [0, 2])
def test_dinov2(torch: Any, transformers: Any, tmp_path: Path, registers: int) -> None:
    """With registers timm's table of positions has no row of the class token."""
    torch.manual_seed(1)
    sizes = {**VIT, "num_attention_heads": 6}
    if registers:
        config = transformers.Dinov2WithRegistersConfig(
            **sizes, mlp_ratio=2, num_register_tokens=registers
        )
        made = transformers.Dinov2WithRegistersModel(config)
    else:
        config = transformers.Dinov2Config(**sizes, mlp_ratio=2)
        made = transformers.Dinov2Model(config)
    made = moved(made, torch).eval()
    if registers:
        with torch.no_grad():
            made.embeddings.position_embeddings[:, 0] = 0
    tensors = in_blocks(saved(made, tmp_path / "theirs"), OF_DINOV2)
    name = "vit_small_patch14_dinov2"
    if registers:
        tensors["pos_embed"] = tensors["pos_embed"][:, 1:]
        name = "vit_small_patch14_reg4_dinov2"
    model = mtf.MultiTaskModel.from_pretrained(write(tmp_path / "timm", name, tensors))
    with torch.no_grad():
        state = made(prepared(torch, model)).last_hidden_state[:, 0]
    assert difference(model.encode(pictures()), state) < CLOSE
    model.save_pretrained(tmp_path / "ours")
    again, info = transformers.AutoModel.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not any(info[key] for key in ("mismatched_keys", "unexpected_keys"))
    assert not info["missing_keys"] - {"embeddings.mask_token"}
    with torch.no_grad():
        assert torch.equal(again(prepared(torch, model)).last_hidden_state[:, 0], state)
    head = torch.nn.Linear(24, 3)
    tensors |= {f"head.{kind}": getattr(head, kind).detach().numpy() for kind in ("weight", "bias")}
    folder = write(tmp_path / "with head", name, tensors)
    model.add_head("animal", from_pretrained=folder)  # it reads the class token alone
    assert difference(model.forward(pictures(), ["animal"])["animal"], head(state)) < CLOSE
    with pytest.raises(mtf.ConfigError, match=r"is not what Dinov2\w*ForImageClassification"):
        model.save_pretrained(tmp_path / "out", head="animal")


def resnet_names(tensors: Mapping[str, Any]) -> Tensors:
    """Return the tensors of a ResNet under timm's names."""
    part = {"convolution": ("conv", "0"), "normalization": ("bn", "1")}
    found: Tensors = {}
    for name, values in tensors.items():
        words = name.removeprefix("resnet.").split(".")
        if words[0] == "classifier":
            found[f"fc.{words[2]}"] = values
        elif words[0] == "embedder":
            found[f"{part[words[2]][0]}1.{words[3]}"] = values
        elif words[5] == "shortcut":
            stage = f"layer{int(words[2]) + 1}.{words[4]}"
            found[f"{stage}.downsample.{part[words[6]][1]}.{words[7]}"] = values
        else:
            stage = f"layer{int(words[2]) + 1}.{words[4]}"
            found[f"{stage}.{part[words[7]][0]}{int(words[6]) + 1}.{words[8]}"] = values
    return found


@pytest.mark.parametrize(
    ("name", "layer_type"), [("resnet18", "basic"), ("resnet50", "bottleneck")]
)
def test_resnet(torch: Any, transformers: Any, tmp_path: Path, name: str, layer_type: str) -> None:
    torch.manual_seed(1)
    config = transformers.ResNetConfig(
        embedding_size=6,
        hidden_sizes=[8, 12, 16, 20],
        depths=[1, 2, 1, 1],
        layer_type=layer_type,
        num_labels=3,
    )
    made = moved(transformers.ResNetForImageClassification(config), torch).eval()
    tensors = resnet_names(saved(made, tmp_path / "theirs"))
    folder = write(tmp_path / "timm", name, tensors)
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("animal", from_pretrained=folder)
    with torch.no_grad():
        wanted = made(prepared(torch, model)).logits
    assert difference(model.forward(pictures(), ["animal"])["animal"], wanted) < CLOSE
    again = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "again"))
    assert again.encode(pictures()).tobytes() == model.encode(pictures()).tobytes()
    assert again.config["model_type"] == "resnet"


VGG: dict[str, Any] = {
    "depths": [1, 1, 2, 2, 2],
    "hidden_sizes": [4, 5, 6, 8, 8],
    "classifier_sizes": [10, 9],
    "pooled_size": 3,
}


@pytest.mark.parametrize("norms", [False, True])
def test_vgg(torch: Any, tmp_path: Path, norms: bool) -> None:
    """timm has the wide layers as convolutions, of 3 x 3 here."""
    torch.manual_seed(1)
    made = vgg(torch, {**VGG, "use_batch_norm": norms})
    made.classifier.append(torch.nn.Linear(9, 3))
    tensors = {name: values.numpy() for name, values in made.state_dict().items()}
    for ours, theirs in (("0", "pre_logits.fc1"), ("3", "pre_logits.fc2"), ("6", "head.fc")):
        for kind in ("weight", "bias"):
            tensors[f"{theirs}.{kind}"] = tensors.pop(f"classifier.{ours}.{kind}")
    wide = tensors["pre_logits.fc1.weight"].reshape(10, 8, 3, 3)
    second = tensors["pre_logits.fc2.weight"].reshape(9, 10, 1, 1)
    tensors |= {"pre_logits.fc1.weight": wide, "pre_logits.fc2.weight": second}
    name = "vgg11_bn" if norms else "vgg11"
    folder = write(tmp_path / "timm", name, tensors, input_size=[3, 70, 70], crop_pct=1.0)
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("animal", from_pretrained=folder)
    prepare = model._encoder.processor
    values = [prepare.floats(prepare.uint8(one)).transpose(2, 0, 1) for one in pictures()]
    with torch.no_grad():
        x = torch.from_numpy(np.ascontiguousarray(np.stack(values)))
        wanted = made.classifier(made.avgpool(made.features(x)).flatten(1))
    assert difference(model.forward(pictures(), ["animal"])["animal"], wanted) < CLOSE
    again = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "again"))
    assert again.encode(pictures()).tobytes() == model.encode(pictures()).tobytes()
    kept = load_file(tmp_path / "again" / "model.safetensors")
    made.load_state_dict({key: torch.from_numpy(value) for key, value in kept.items()})


def test_vit_under_the_names_of_torchvision(torch: Any, transformers: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = transformers.ViTConfig(**VIT, intermediate_size=40)
    made = moved(transformers.ViTForImageClassification(config), torch).eval()
    theirs = saved(made, tmp_path / "theirs")
    exchange = {
        "blocks.": "encoder.layers.encoder_layer_",
        "norm1": "ln_1",
        "norm2": "ln_2",
        "attn.qkv.": "self_attention.in_proj_",
        "attn.proj": "self_attention.out_proj",
        "mlp.fc1": "mlp.0",
        "mlp.fc2": "mlp.3",
        "patch_embed.proj": "conv_proj",
        "cls_token": "class_token",
        "pos_embed": "encoder.pos_embedding",
    }
    tensors: Tensors = {}
    for name, values in in_blocks(theirs, OF_VIT).items():
        for timm, torchvision in exchange.items():
            name = name.replace(timm, torchvision)
        tensors["encoder.ln." + name[5:] if name.startswith("norm.") else name] = values
    tensors |= {f"heads.head.{k}": theirs[f"classifier.{k}"] for k in ("weight", "bias")}
    folder = tmp_path / "torchvision"
    folder.mkdir()
    (folder / "config.json").write_text((tmp_path / "theirs" / "config.json").read_text())
    save_file(tensors, folder / "model.safetensors")
    with pytest.warns(mtf.ImageWarning):
        model = mtf.MultiTaskModel.from_pretrained(folder)
        model.add_head("animal", from_pretrained=folder)
    with torch.no_grad():
        pixels = [model._encoder.processor.uint8(one) for one in pictures()]
        x = np.stack([model._encoder.processor.floats(one) for one in pixels])
        wanted = made(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))).logits
    assert difference(model.forward(pictures(), ["animal"])["animal"], wanted) < CLOSE
