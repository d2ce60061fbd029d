# SPDX-License-Identifier: Apache-2.0
"""torchvision, timm and pycocotools for the tests, beside whatever build of torch.

torchvision's wheel on PyPI has operators in C++ that load beside torch's build for GPUs alone. Next
to a torch for the CPU `import torchvision` fails with "operator torchvision::nms does not exist",
and with it timm and every image processor of transformers. Networks and transforms are Python on
top of torch and need none of these operators: only the signatures of two are asked for at import.
So `make` lays the three packages into a folder of their own, where no other program finds them, and
the tests' processes look there last and give the signatures where the operators do not load.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

__all__ = ["FOLDER", "make_visible"]

FOLDER = Path(sys.prefix, "parity-vision")
"""Where the Makefile installs the extra of this name."""

_ASKED_FOR = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_kept: list[Any] = []
"""A library of torch is unregistered once nobody holds it."""


class _BeforeTorchvision(MetaPathFinder):
    """Finds nothing; sees that the operators are known by the time torchvision is imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name == "torchvision" and not _kept:
            spec = PathFinder.find_spec(name)
            if spec and spec.origin and PathFinder.find_spec("torch"):
                _kept.append(_operators(Path(spec.origin).parent))
        return None


def _operators(package: Path) -> Any:
    """Load torchvision's operators, or else tell torch what the ones that are asked for take."""
    torch = importlib.import_module("torch")
    for file in package.glob("_C*"):
        try:
            torch.ops.load_library(str(file))
        except OSError:
            continue
        return file
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _ASKED_FOR:
        library.define(name + _SIGNATURE)
    return library


def make_visible() -> None:
    """Let this process import the packages of the extra; call it before it imports transformers."""
    if FOLDER.is_dir() and str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    if not any(isinstance(one, _BeforeTorchvision) for one in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorchvision())
