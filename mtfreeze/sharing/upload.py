# SPDX-License-Identifier: Apache-2.0
"""A folder onto the Hugging Face hub, as one commit, by the package ``huggingface_hub``.

Nobody's words are overwritten there either: a card on the hub that `card_text` did not write, or
that was changed since, stays. Weights of an earlier model that the new one does not replace go.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from ..checks import check_optional_flag, typed
from ..errors import ConfigError
from ..quoting import cut, quoted
from .card import CARD, written_here
from .hub_library import hub_library

__all__ = ["check_online", "check_repo", "check_token", "push_folder"]

_REPO = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.A)
_OUTDATED = ["heads/*", "*.safetensors", "*.bin", "*.gguf", "onnx/*", "openvino/*"]
"""What the hub's folder may hold of an earlier model; what is pushed anew is not deleted first."""
_REFUSED = range(400, 500)


def check_repo(repo: object) -> str:
    """Return the name of a model on the hub, ``user/name``; TypeError or ConfigError otherwise.

    Examples
    --------
    >>> check_repo("someone/two-tasks")
    'someone/two-tasks'
    """
    if not isinstance(repo, str):
        raise TypeError(f"repo must be the name of a model on the hub (str); found {typed(repo)}")
    if not _REPO.fullmatch(repo):
        raise ConfigError(
            f"repo must be the name of a model on the hub, 'user/name'; found {quoted(repo, 80)}; "
            "write it with the user or the organisation that it belongs to"
        )
    return repo


def check_token(token: object) -> str | None:
    """Return the token, which no message repeats; TypeError or ConfigError if it is none."""
    advice = "leave it out for the one that `hf auth login` stored"
    if token is None:
        return None
    if not isinstance(token, str):
        found = type(token).__name__
        raise TypeError(f"token must be a token of the hub (str); found {found}; {advice}")
    if not (token.isascii() and token.isprintable()) or not token or " " in token:
        raise ConfigError(
            f"token must be a token of the hub; found one of {len(token)} characters with some "
            f"that no token has, such as spaces; copy it again, or {advice}"
        )
    return token


def check_online(repo: str) -> None:
    """Check that the hub is not switched off; ConfigError otherwise. Nothing is asked of it."""
    hub_library()
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise ConfigError(
            f"expected a hub to push {quoted(repo)} to; found that it is switched off "
            "(HF_HUB_OFFLINE); unset that, or save with save_pretrained(folder)"
        )


def push_folder(
    folder: Path,
    repo: str,
    *,
    private: object = None,
    token: str | None = None,
    endpoint: str | None = None,
    message: str = "Add a model of mtfreeze",
) -> str:
    """Put the files of `folder` into the model `repo`, which is made if it is not there.

    Parameters
    ----------
    folder : Path
        What to push.
    repo : str
        From `check_repo`.
    private : bool, optional
        Whether a new model is private; by default as the user's settings on the hub say.
    token, endpoint : str, optional
        By default what ``huggingface_hub`` finds.
    message : str
        Of the commit.

    Returns
    -------
    str
        Where the commit is to be seen.

    Raises
    ------
    ConfigError
        If the hub is switched off, or refuses the request.
    ConnectionError
        If it cannot be reached, or fails.
    """
    hidden = check_optional_flag("private", private)
    check_online(repo)
    api = hub_library().HfApi(endpoint=endpoint, token=token)
    try:
        api.create_repo(repo, private=hidden, exist_ok=True)
        kept = [CARD] if _has_another_card(api, repo) else None
        done = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            commit_message=message,
            ignore_patterns=kept,
            delete_patterns=_OUTDATED,
        )
    except Exception as error:  # of many kinds: names, rights, network, the hub itself
        raise _explained(repo, error) from None
    return str(getattr(done, "commit_url", done))


def _has_another_card(api: Any, repo: str) -> bool:
    """Say whether the model on the hub has a card that is not ours to replace."""
    from huggingface_hub.errors import EntryNotFoundError

    with tempfile.TemporaryDirectory(prefix="mtfreeze-card-") as place:
        try:
            found = api.hf_hub_download(repo, CARD, local_dir=place)
        except EntryNotFoundError:
            return False
        return not written_here(Path(found).read_bytes())


def _explained(repo: str, error: Exception) -> Exception:
    """Return what to raise for an error of the library, in words."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    reason = cut((str(error).strip().splitlines() or [""])[0], 160)
    found = f"found {type(error).__name__}: {reason}"
    if status in _REFUSED:
        return ConfigError(
            f"expected that the hub takes {quoted(repo)}; {found}; pass token= of somebody who may "
            "write there, or log in with `hf auth login`"
        )
    return ConnectionError(
        f"expected that the hub takes {quoted(repo)}; {found}; try again, or save with "
        "save_pretrained(folder)"
    )
