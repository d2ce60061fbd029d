# SPDX-License-Identifier: Apache-2.0
"""The package ``huggingface_hub``, imported when the hub is really needed."""

from __future__ import annotations

from types import ModuleType

__all__ = ["hub_library"]


def hub_library() -> ModuleType:
    """Import huggingface_hub, without tqdm's advice to install widgets in notebooks.

    Raises
    ------
    ImportError
        If it is missing: whoever works with folders alone may leave it out.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        try:
            import huggingface_hub
            import huggingface_hub.utils.tqdm  # where the advice comes from
        except ImportError as error:
            raise ImportError(
                "a model on the Hugging Face hub needs the package huggingface-hub, which is not "
                f"installed or not whole ({error}): run `pip install huggingface-hub`, or work "
                "with the path of a folder, which needs nothing of it"
            ) from None
    return huggingface_hub
