# SPDX-License-Identifier: Apache-2.0
"""Write a model folder, all or nothing.

The folder is written under another name beside its place, every file synced, and then swapped in,
so that whatever fails, the earlier folder is still whole. It is a Hugging Face and
sentence-transformers folder; beside their files lie mtfreeze's own: ``mtfreeze.json`` (heads,
freeze state, tasks), ``heads/<name>.safetensors``, ``freeze_report.json`` (what was frozen, and a
digest of every tensor). The only head of a model lies in the main files too, if it is what a class
of transformers computes (`only_head`).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError, ConfigError
from ..files.folder_swap import new_folder, take_over
from ..files.inner_names import inner_path
from ..files.json_files import to_json
from ..files.tensor_files import RawTensor, n_not_finite, write_tensors
from ..files.user_paths import user_path
from ..files.whole_file import explained, make_folder, write_synced
from ..freezing.digests import digest_model, snapshot, unused_keys
from ..freezing.unit_states import unit_states
from ..inputs.tokenizer_files import TOKENIZER_FILES
from ..quoting import quoted
from ..sharing.card import BASE_CARD, CARD
from .batch_norms import BATCH, BATCH_NORM, as_in_files
from .card_facts import is_another, write_card
from .dense_modules import DENSE, own_tensors
from .kept_files import TEMPLATES, WEIGHTS
from .last_run import LAST_RUN, LastRun, fingerprint
from .loading import FORMAT, INTERPOLATES, ORIGIN
from .only_head import only_head, written_for_class
from .only_head_files import ONLY_HEAD, UNUSED
from .replaced_heads import replaced, without_head
from .saved_adapter import ADAPTER_FILE, own_keys
from .sentence_files import WRITTEN, dense_folder, settings_files
from .task_models import check_task_model, write_task_model

if TYPE_CHECKING:
    from .state import ModelState

__all__ = ["CHECKPOINTS", "check_target", "save_model", "write_model"]

CHECKPOINTS = "checkpoints"
"""Folder beside a model's files with the checkpoints of a run that trains it."""

_REPLACED = (*WRITTEN, *TOKENIZER_FILES, *TEMPLATES, "heads", "onnx", "openvino", "trainer")
"""What an earlier folder may hold that the new model replaces, or makes untrue."""

_MODULE = re.compile(r"\d+_[A-Z]\w*")
"""Folders of modules of sentence-transformers, which the new ``modules.json`` does not name."""


def save_model(
    model: ModelState, path: Path, head: str | None = None, place: str | None = None
) -> Path:
    """Write `model`, or one head as a task model, to `path`; see `save_pretrained`.

    Its card calls the folder `place`, by default ``"."``, so that it depends on the model alone.
    """
    if head is not None:
        _check_plain(model)
        check_task_model(model, head)
    target = user_path(path).resolve()
    check_target(target, path)
    begin = f"cannot save the model to {quoted(str(path))}"
    untouched = "what was there before is untouched; free space or choose another place"
    with explained(begin, untouched):
        make_folder(target.parent)
    with new_folder(target, begin, untouched) as draft:
        if head is None:
            only, family = only_head(model), model.index.family
            gone = replaced(family, () if only else model.heads.values(), model.unused)
            known = write_model(model, draft, target, only, gone)
        else:
            _check_finite(model.parameters())
            known = _as_left(model, digest_model(model)) is not None
            write_task_model(model, head, draft, _kept(model, target))
        write_card(model, draft, target, "." if place is None else place, head, known)
        if target.is_dir():
            _carry_over(target, draft)
    return path


def _check_plain(model: ModelState) -> None:
    """Refuse to write a model with an adapter as one of transformers, which would lose it."""
    if model.adapter is not None:
        raise ConfigError(
            "expected a model without an adapter to write as a task model; found "
            f"{quoted(model.adapter.kind)}; merge_lora() or remove_adapter() first, or "
            "save_adapter(folder) for PEFT"
        )


def check_target(target: Path, path: Path) -> None:
    """Refuse a place that holds something else than a model."""
    if target.exists() and not target.is_dir():
        raise ConfigError(
            f"expected a folder to save to; found the file {quoted(str(path))}; choose one"
        )
    held = {item.name for item in target.iterdir()} if target.is_dir() else set()
    if held - {CHECKPOINTS} and "config.json" not in held:
        raise ConfigError(
            f"expected a new or empty folder, or an earlier model; found {quoted(str(path))} with "
            "other "
            "files in it; choose a folder of its own for the model"
        )


def write_model(
    model: ModelState,
    folder: Path,
    keep: Path | None = None,
    only: str | None = None,
    without: frozenset[str] = frozenset(),
) -> bool:
    """Write all files of a model into the new folder `folder`, each synced, names not yet.

    What the folder `keep` has of the files that nobody here reads is not written, nor are the
    unused tensors `without`, those of a task model's head. `only` is the head that stands in the
    main files for a class of transformers. Returns whether the model is as its last run left it.

    Raises
    ------
    CheckpointError
        If a weight is infinite or NaN; nothing is written then.
    """
    params = model.parameters()
    _check_finite(params)
    heads = {
        name: {key: array for key, array in params.items() if key.startswith(name + ".")}
        for name in model.heads
    }
    family = model.index.family
    backbone = {family.name_of(key): array for key, array in params.items() if family.owns(key)}
    report = _report(model, without)
    digests = {key: str(one["blake2b"]) for key, one in report["tensors"].items()}
    run = _as_left(model, digests)
    settings, own = model._loaded.settings, _own_file(model, run)
    main = {key: array for key, array in backbone.items() if not key.startswith(DENSE)}
    config, tensors = _config(model, without), _written(model, main, without)
    unused: dict[str, RawTensor] = {}
    if only is not None:
        config, tensors, unused, own[ONLY_HEAD] = written_for_class(model, only, main)
    files = {
        "config.json": to_json(config),
        "mtfreeze.json": to_json(own),
        "freeze_report.json": to_json(report),
        **settings_files(settings, model.token_width),
        **model.encoder.files,
        **_kept(model, keep),
    }
    saved_as = _digest(files)
    files["mtfreeze.json"] = to_json({**own, "saved_as": saved_as})
    write_tensors(folder / "model.safetensors", as_in_files(tensors), saved_as)
    if unused:
        write_tensors(folder / UNUSED, unused, saved_as)
    for number in range(len(settings.dense)):
        place = folder / dense_folder(number)
        place.mkdir()
        write_tensors(place / "model.safetensors", own_tensors(number, backbone), saved_as)
    adapter = {key: params[key] for key in own_keys(model.adapter)}
    if adapter:
        write_tensors(folder / ADAPTER_FILE, adapter, saved_as)
    (folder / "heads").mkdir()
    for name, arrays in heads.items():
        file = inner_path(folder, f"heads/{name}.safetensors", f"head {quoted(name)}")
        write_tensors(file, arrays, saved_as)
    for name, data in files.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        write_synced(file, data)
    if settings.normalize and "modules.json" in files:
        (folder / f"{len(settings.dense) + 2}_Normalize").mkdir()
    return run is not None


def _as_left(model: ModelState, digests: Mapping[str, str]) -> LastRun | None:
    """Return the last run if nothing has changed since; `digests` are those of the tensors."""
    run = model._loaded.last_run
    return run if run is not None and run.fingerprint == fingerprint(model, digests) else None


def _written(
    model: ModelState, tensors: Mapping[str, NDArray[np.float32]], without: frozenset[str]
) -> dict[str, NDArray[np.float32] | RawTensor]:
    """Return the model's own tensors and those that it keeps by the names of its file."""
    family, config = model.index.family, model.config
    unused = {name: raw for name, raw in model.unused.items() if name not in without}
    both: dict[str, NDArray[np.float32] | RawTensor] = {**tensors, **unused}
    return {family.written_name(name, config): tensor for name, tensor in both.items()}


def _kept(model: ModelState, place: Path | None) -> dict[str, bytes]:
    """Return the small files that the model was loaded with, but for those that lie in `place`.

    The card of a model that is now another one is no longer the card.
    """
    files = dict(model._loaded.extra_files)
    if CARD in files and is_another(model):
        files = {BASE_CARD: files.pop(CARD), **files}
    return {
        name: data
        for name, data in files.items()
        if name in TEMPLATES or place is None or not os.path.lexists(place / name)
    }


def _check_finite(params: Mapping[str, NDArray[np.float32]]) -> None:
    for key, values in params.items():
        n = n_not_finite(values)
        if n:
            raise CheckpointError(
                f"expected finite weights to save; found {n} of {values.size} values of "
                f"{quoted(key)} "
                "infinite or NaN; load the model again, or set that parameter"
            )


def _config(model: ModelState, without: frozenset[str]) -> dict[str, Any]:
    """Return ``config.json`` for weights in float32, which is what they are loaded in elsewhere."""
    config = without_head(model.config, model.index.family) if without else model.config
    named = {key: "float32" for key in ("dtype", "torch_dtype") if config.get(key) is not None}
    return {**config, **named}


def _digest(files: Mapping[str, bytes]) -> str:
    """Return the digest of the files of a folder: of the tensors too, whose digests they hold.

    Every file with weights notes it, so that a reader finds a mix of two models.
    """
    state = hashlib.blake2b(digest_size=16)
    for name in sorted(files):
        state.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    return state.hexdigest()


def _own_file(model: ModelState, run: LastRun | None) -> dict[str, Any]:
    """Return ``mtfreeze.json``: what the other libraries' files have no place for."""
    from .._core import VERSION

    state = model.freeze_state()
    order = {key: i for i, key in enumerate(model.param_keys)}
    return {
        "format": FORMAT,
        "mtfreeze_version": VERSION,
        "pooling": model.pooling,
        "normalize": model.normalize,
        "heads": {
            name: {**head.spec.to_dict(), "trained": head.trained}
            for name, head in model.heads.items()
        },
        "freeze": {
            "frozen": sorted(state.frozen, key=order.__getitem__),
            "frozen_heads": sorted(state.frozen_heads),
            "pinned": sorted(state.pinned, key=order.__getitem__),
            "pinned_heads": sorted(state.pinned_heads),
            "precision": {
                name: sorted(keys, key=order.__getitem__) for name, keys in state.precisions.items()
            },
        },
        "tasks": model.tasks,
        **({"adapter": model.adapter.to_dict()} if model.adapter else {}),
        **({"base": model.base._asdict()} if model.base else {}),
        **({ORIGIN: model._loaded.origin} if model._loaded.origin and not model.base else {}),
        **({LAST_RUN: run.to_dict()} if run else {}),
        **({BATCH_NORM: BATCH} if model.batch_norm == BATCH else {}),
        **({INTERPOLATES: True} if model._loaded.build_config.get(INTERPOLATES) else {}),
    }


def _report(model: ModelState, without: frozenset[str]) -> dict[str, Any]:
    """Return ``freeze_report.json``: what is frozen, in which precision its products are computed
    if not in fp32, and the digest of every tensor."""
    noted, gone = snapshot(model), unused_keys(without)
    lower = {key: name for name, keys in model.freeze_state().precisions.items() for key in keys}
    units = unit_states(model)
    return {
        "digest": "blake2b, 16 bytes, over the tensor's bytes (float32, C order); above 4 MiB over "
        "the digests of its pieces of 4 MiB",
        "units": {
            unit.path: "partly trainable" if unit.state == "partly" else unit.state
            for unit in units
        },
        "n_values": sum(unit.n_values for unit in units),
        "n_values_frozen": sum(unit.n_frozen for unit in units),
        "tensors": {
            key: {"frozen": key in noted.frozen, "blake2b": value}
            | ({"precision": lower[key]} if key in lower else {})
            for key, value in noted.digests.items()
            if key not in gone
        },
    }


def _carry_over(old: Path, new: Path) -> None:
    """Take the user's own files (README.md, logs) of the earlier folder into the new one."""
    for item in old.iterdir():
        replaced = item.name in _REPLACED or item.name.endswith(WEIGHTS)
        if not (replaced or _MODULE.fullmatch(item.name) or os.path.lexists(new / item.name)):
            take_over(item, new / item.name)
