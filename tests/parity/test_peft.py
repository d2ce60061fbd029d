# SPDX-License-Identifier: Apache-2.0
"""Adapters against PEFT: the same files, read both ways, give the same outputs; the same draws of
weights give the same gradients. Skipped where PEFT is not installed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from support.vision_folders import coloured, write_vision_folder

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:peft")
"""PEFT meets newer ways of transformers."""

TEXTS = ["a good film", "bad", "the food was not good at all", "we like it"]
TOLERANCE = 2e-6
"""Of embeddings of size 1: end to end in float32, as for plain models."""


def _randomised(model: mtf.MultiTaskModel, seed: int = 3) -> mtf.MultiTaskModel:
    """Give an adapter values as if it were trained."""
    rng = np.random.default_rng(seed)
    for key in model.param_keys:
        if key.startswith(("lora.", "ia3.")):
            shape = model.parameters()[key].shape
            start = 1 if key.startswith("ia3.") else 0
            model.set_parameter(key, start + 0.2 * rng.standard_normal(shape))
    return model


def _hidden(model: Any, own: mtf.MultiTaskModel) -> list[np.ndarray]:
    """Return what a model of transformers gives for each text, without padding."""
    found = []
    model.eval()
    for text in TEXTS:
        ids = torch.tensor([own.encoder.encode_texts([text]).inputs["ids"].tolist()])
        with torch.no_grad():
            found.append(model(input_ids=ids).last_hidden_state[0].numpy())
    return found


def _own_hidden(model: mtf.MultiTaskModel) -> list[np.ndarray]:
    found = model.forward(TEXTS, outputs=["hidden"])
    offsets = found["offsets"]
    return [found["hidden"][a:b] for a, b in pairwise(offsets)]


WAYS: dict[str, Any] = {
    "lora": lambda m: m.add_lora(rank=3, alpha=7),
    "lora of everything": lambda m: m.add_lora(2, 1, targets=["dense", "key", "query", "value"]),
    "lora of the top": lambda m: m.add_lora(rank=2, layers=[2]),
    "ia3": lambda m: m.add_ia3(),
    "ia3 of one": lambda m: m.add_ia3(targets=["value", "intermediate.dense"]),
}


@pytest.mark.parametrize("way", WAYS)
def test_peft_reads_what_we_write(tiny_folder: Path, tmp_path: Path, way: str) -> None:
    own = mtf.MultiTaskModel.from_pretrained(tiny_folder)
    _randomised(WAYS[way](own)).save_adapter(tmp_path / "adapter")
    base = transformers.AutoModel.from_pretrained(tiny_folder, attn_implementation="eager")
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapter")
    for ours, other in zip(_own_hidden(own), _hidden(theirs, own), strict=True):
        assert np.abs(ours - other).max() < TOLERANCE * max(1, np.abs(other).max())
    plain = mtf.MultiTaskModel.from_pretrained(tiny_folder)
    assert np.abs(_own_hidden(plain)[0] - _own_hidden(own)[0]).max() > 1e-3


CONFIGS: dict[str, Any] = {
    "lora": lambda: peft.LoraConfig(r=4, lora_alpha=3, target_modules=["query", "value"]),
    "rslora": lambda: peft.LoraConfig(r=4, use_rslora=True, target_modules=["key"]),
    "patterns": lambda: peft.LoraConfig(
        r=4,
        target_modules=["query", "intermediate.dense"],
        rank_pattern={"layer.1.attention.self.query": 2},
        alpha_pattern={"intermediate.dense": 5},
    ),
    "some layers": lambda: peft.LoraConfig(
        r=2,
        target_modules=["query", "output.dense"],
        layers_to_transform=[1],
        layers_pattern="layer",
    ),
    "ia3": lambda: peft.IA3Config(
        target_modules=["key", "value", "output.dense"], feedforward_modules=["output.dense"]
    ),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_we_read_what_peft_writes(tiny_folder: Path, tmp_path: Path, kind: str) -> None:
    base = transformers.AutoModel.from_pretrained(tiny_folder, attn_implementation="eager")
    theirs = peft.get_peft_model(base, CONFIGS[kind]())
    torch.manual_seed(5)
    for name, value in theirs.named_parameters():
        if "lora_" in name or "ia3_" in name:
            value.data = float("ia3_" in name) + 0.2 * torch.randn_like(value)
    theirs.save_pretrained(tmp_path / "adapter")
    own = mtf.MultiTaskModel.from_pretrained(tiny_folder).load_adapter(tmp_path / "adapter")
    for ours, other in zip(_own_hidden(own), _hidden(theirs, own), strict=True):
        assert np.abs(ours - other).max() < TOLERANCE * max(1, np.abs(other).max())


def _task_model(folder: Path) -> Any:
    return transformers.BertForTokenClassification.from_pretrained(
        folder, num_labels=3, attn_implementation="eager"
    )


def test_a_head_is_not_lost(tiny_folder: Path, tmp_path: Path) -> None:
    own = mtf.MultiTaskModel.from_pretrained(tiny_folder)
    own.add_head("tags", mtf.TokenClassification(["O", "B-x", "I-x"]), seed=4)
    _randomised(own.add_lora(rank=2)).save_adapter(tmp_path / "adapter")
    base = _task_model(tiny_folder)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapter")
    theirs.eval()
    ours = own.forward(TEXTS[:1], outputs=["tags"])["tags"]
    ids = torch.tensor([own.encoder.encode_texts(TEXTS[:1]).inputs["ids"].tolist()])
    with torch.no_grad():
        logits = theirs(input_ids=ids).logits[0].numpy()
    assert np.abs(ours - logits).max() < TOLERANCE * max(1, np.abs(logits).max())


def test_a_head_of_peft_is_not_lost(tiny_folder: Path, tmp_path: Path) -> None:
    config = peft.LoraConfig(task_type="TOKEN_CLS", r=2, target_modules=["query"])
    theirs = peft.get_peft_model(_task_model(tiny_folder), config)
    torch.manual_seed(6)
    for value in theirs.parameters():
        if value.requires_grad:
            value.data = 0.1 * torch.randn_like(value)
    theirs.save_pretrained(tmp_path / "adapter")
    own = mtf.MultiTaskModel.from_pretrained(tiny_folder)
    with pytest.raises(mtf.CheckpointError, match="add_head"):
        own.copy().load_adapter(tmp_path / "adapter")
    own.add_head("tags", mtf.TokenClassification(["O", "B-x", "I-x"]))
    own.load_adapter(tmp_path / "adapter")
    assert own.heads["tags"].trained
    theirs.eval()
    ids = torch.tensor([own.encoder.encode_texts(TEXTS[:1]).inputs["ids"].tolist()])
    with torch.no_grad():
        logits = theirs(input_ids=ids).logits[0].numpy()
    ours = own.forward(TEXTS[:1], outputs=["tags"])["tags"]
    assert np.abs(ours - logits).max() < TOLERANCE * max(1, np.abs(logits).max())


IMAGES: dict[str, str] = {
    "vit": "ViTModel",
    "deit": "DeiTModel",
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
}


@pytest.mark.parametrize(
    ("name", "way"),
    [("vit", "lora"), ("deit", "ia3"), ("dinov2", "all"), ("dinov2_with_registers", "ia3")],
)
def test_adapters_of_images_are_called_as_in_memory(name: str, way: str, tmp_path: Path) -> None:
    """Files have other names of layers than models of transformers that are loaded from them."""
    folder = write_vision_folder(tmp_path / "model", name)
    own = mtf.MultiTaskModel.from_pretrained(folder)
    if way == "ia3":
        own.add_ia3()
    else:
        own.add_lora(rank=3, alpha=7, targets="all-linear" if way == "all" else None)
    _randomised(own).save_adapter(tmp_path / "adapter")
    pictures = [picture for picture, _ in coloured(2)]
    processor = own.encoder.processor  # type: ignore[attr-defined]
    pixels = np.stack([processor.floats(processor.uint8(one)) for one in pictures])
    base = getattr(transformers, IMAGES[name]).from_pretrained(folder)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.no_grad():
        states = theirs(torch.from_numpy(pixels.transpose(0, 3, 1, 2))).last_hidden_state
    ours = own.forward(pictures, ["hidden"])["hidden"]
    other = states.numpy().reshape(ours.shape)
    assert np.abs(ours - other).max() < TOLERANCE * max(1, np.abs(other).max())
    again = mtf.MultiTaskModel.from_pretrained(folder).load_adapter(tmp_path / "adapter")
    assert np.array_equal(again.forward(pictures, ["hidden"])["hidden"], ours)
    theirs.save_pretrained(tmp_path / "theirs")
    back = mtf.MultiTaskModel.from_pretrained(folder).load_adapter(tmp_path / "theirs")
    assert np.array_equal(back.forward(pictures, ["hidden"])["hidden"], ours)


def test_patterns_of_images_are_read_in_either_spelling(tmp_path: Path) -> None:
    folder = write_vision_folder(tmp_path / "model", "vit")
    base = transformers.ViTModel.from_pretrained(folder)
    config = peft.LoraConfig(
        r=2, lora_alpha=4, target_modules=["q_proj"], alpha_pattern={"layers.1.attention.q_proj": 9}
    )
    peft.get_peft_model(base, config).save_pretrained(tmp_path / "adapter")
    read = mtf.MultiTaskModel.from_pretrained(folder).load_adapter(tmp_path / "adapter").adapter
    assert read is not None
    alphas = {one.path: one.alpha for one in read.sites}
    stem = "encoder.layer.{}.attention.attention.query"
    assert alphas == {stem.format(0): 4.0, stem.format(1): 9.0}
    # As transformers 4 called them.
    from safetensors.numpy import load_file, save_file

    file = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = {
        name.replace("model.layers.", "model.encoder.layer.").replace(
            "attention.q_proj", "attention.attention.query"
        ): values
        for name, values in load_file(file).items()
    }
    save_file(tensors, file)
    settings = tmp_path / "adapter" / "adapter_config.json"
    text = settings.read_text("utf-8").replace("layers.1.attention.q_proj", stem.format(1))
    settings.write_text(text.replace("q_proj", "query"), "utf-8")
    older = mtf.MultiTaskModel.from_pretrained(folder).load_adapter(tmp_path / "adapter").adapter
    assert older is not None and older.sites == read.sites


def test_a_head_of_images_goes_with_its_adapter(tmp_path: Path) -> None:
    folder = write_vision_folder(tmp_path / "model", "vit")
    own = mtf.MultiTaskModel.from_pretrained(folder)
    own.add_head("colour", mtf.SequenceClassification(["a", "b", "c"], dropout=0.0))
    _randomised(own.add_lora(rank=2)).save_adapter(tmp_path / "adapter")
    base = transformers.ViTForImageClassification.from_pretrained(folder, num_labels=3)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    pictures = [picture for picture, _ in coloured(2)]
    processor = own.encoder.processor  # type: ignore[attr-defined]
    pixels = np.stack([processor.floats(processor.uint8(one)) for one in pictures])
    with torch.no_grad():
        logits = theirs(torch.from_numpy(pixels.transpose(0, 3, 1, 2))).logits.numpy()
    assert np.abs(own.forward(pictures, ["colour"])["colour"] - logits).max() < 1e-5
