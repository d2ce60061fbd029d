# SPDX-License-Identifier: Apache-2.0
"""A narrow ResNet with random weights, as a folder: what `mtfreeze demo --images` begins with.

Convolutions are drawn with variance 2 / fan-in (He et al. 2015, https://arxiv.org/abs/1502.01852).
Norms begin as they are: statistics of mean 0 and variance 1, which training leaves alone.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["write_random_resnet"]

CONFIG: dict[str, Any] = {
    "architectures": ["ResNetModel"],
    "model_type": "resnet",
    "embedding_size": 24,
    "hidden_sizes": [24, 48, 96],
    "depths": [1, 1, 1],
    "layer_type": "basic",
}

_PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 32, "width": 32},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def write_random_resnet(folder: Path, seed: int = 0) -> Path:
    """Write configuration, weights and what is done to pixels; return the folder.

    Parameters
    ----------
    folder : Path
        Made if it is not there; files of these names are replaced.
    seed : int
        Of the weights.
    """
    from .. import _core
    from ..families import FAMILIES, core_config
    from ..files.tensor_files import write_tensors
    from ..runtime import threads

    threads.initialize()
    core = _core.Model(core_config(FAMILIES["resnet"], CONFIG, "config.json"))
    random = np.random.default_rng(seed)
    tensors = {}
    for index, info in enumerate(core.params()):
        name = info.key.removeprefix("backbone.")
        values = np.array(core.view(index))
        if name.endswith("convolution.weight"):
            spread = math.sqrt(2 / math.prod(info.shape[1:]))
            values = (spread * random.standard_normal(info.shape)).astype(np.float32)
        tensors[name] = values
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.safetensors", tensors)
    for name, found in (("config.json", CONFIG), ("preprocessor_config.json", _PROCESSOR)):
        (folder / name).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return folder
