# SPDX-License-Identifier: Apache-2.0
"""The package ``huggingface_hub``, imported when the hub is really needed."""

from __future__ import annotations

from types import ModuleType

__all__ = ["hub_library"]


def hub_library() -> ModuleType:
    """Import huggingface_hub, without tqdm's advice to install widgets in notebooks."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        import huggingface_hub
        import huggingface_hub.utils.tqdm  # where the advice comes from
    return huggingface_hub
