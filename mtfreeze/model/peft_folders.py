# SPDX-License-Identifier: Apache-2.0
"""An adapter as a folder of PEFT, written and read.

PEFT's two files hold the adapter, and one head where it is that of a task model of transformers,
which PEFT then wraps. mtfreeze's own file beside them holds what PEFT has no place for: all heads
with their descriptions, and the digest of the base, so that no other base is taken for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..adapters.adapter import LORA_UNIT, Adapter
from ..adapters.peft_config import (
    CONFIG_FILE,
    TENSOR_FILE,
    peft_adapter,
    peft_config,
    read_peft_kind,
)
from ..closest import name_list
from ..errors import CheckpointError, ConfigError
from ..families import Family
from ..families.adapter_targets import IN_OUT_WEIGHTS
from ..files.json_files import read_object, to_json
from ..files.tensor_files import TensorEntry, read_entries, write_tensors_to
from ..files.user_paths import user_path
from ..files.whole_file import explained, make_folder, whole_file, write_whole
from ..freezing.digests import snapshot
from ..quoting import quoted
from .linear_layers import linear_paths
from .problem_types import PROBLEMS, core_kind
from .task_models import check_task_model, head_names

if TYPE_CHECKING:
    from .state import Float32, ModelState

__all__ = ["load_adapter", "save_adapter"]

_STEM = "base_model.model."
_OWN = "mtfreeze_adapter.json"
_HEADS = "mtfreeze_heads.safetensors"
_TASKS = {**dict.fromkeys(PROBLEMS, "SEQ_CLS"), "token_classification": "TOKEN_CLS"}
_FEATURES = "FEATURE_EXTRACTION"
_ENDS = (".lora_A.weight", ".lora_B.weight", ".ia3_l")


def _base_digest(model: ModelState) -> str:
    """Return one digest of all weights of the backbone."""
    state = hashlib.blake2b(digest_size=16)
    for key, value in snapshot(model).digests.items():
        if model.index.family.owns(key):
            state.update(f"{key}\0{value}\0".encode())
    return state.hexdigest()


def _task_head(model: ModelState) -> str | None:
    """Return the only head, if a task model of transformers has it."""
    if len(model.heads) != 1:
        return None
    name = next(iter(model.heads))
    try:
        check_task_model(model, name)
    except ConfigError:
        return None
    return name if core_kind(model.heads[name].spec) in _TASKS else None


def save_adapter(model: ModelState, adapter: Adapter, path: Path) -> Path:
    """Write the adapter of a model; see `AdapterMethods.save_adapter`."""
    family, head = model.index.family, _task_head(model)
    prefix = family.task_prefix()
    stem = _STEM + (prefix if head is not None else "")
    tensors: dict[str, Float32] = {}
    for site in adapter.sites:
        for key in adapter.keys(site):
            values = np.array(model._core.view(model.index.key_index[key]))
            if adapter.kind != LORA_UNIT:  # PEFT has a column or, of inputs, a row
                values = values[None, :] if site.input else values[:, None]
            part = key.partition(".")[2].removeprefix(site.path)
            tensors[stem + _in_memory(family, site.path) + part] = values
    of_task = {} if head is None else head_names(model, head)
    params = model.parameters()
    tensors |= {_STEM + theirs: params[ours] for theirs, ours in of_task.items()}
    modules = list(dict.fromkeys(n.removeprefix(prefix).partition(".")[0] for n in of_task))
    unused = [n.removesuffix(".weight") for n, raw in model.unused.items() if len(raw.shape) == 2]
    named = [replace(one, path=_in_memory(family, one.path)) for one in adapter.sites]
    config = peft_config(
        replace(adapter, sites=tuple(named)),
        [_in_memory(family, path) for path in (*linear_paths(model), *unused)],
        family=family.model_type,
        base=model.name,
        task_type=_task_type(model, head),
        modules_to_save=modules,
    )
    own = {
        "base": _base_digest(model),
        "heads": {
            name: {**one.spec.to_dict(), "trained": one.trained}
            for name, one in model.heads.items()
        },
    }
    heads = {
        key: values
        for key, values in params.items()
        if not (family.owns(key) or key.startswith(f"{adapter.kind}."))
    }
    folder = user_path(path).resolve()
    begin = f"cannot save the adapter to {quoted(str(path))}"
    with explained(begin, "free space or choose another place"):
        make_folder(folder)
        for file, content in ((TENSOR_FILE, tensors), (_HEADS, heads)):
            with whole_file(folder / file) as stream:
                write_tensors_to(stream, content)
        write_whole(folder / CONFIG_FILE, to_json(config))
        write_whole(folder / _OWN, to_json(own))
    return path


def _task_type(model: ModelState, head: str | None) -> str | None:
    """Return PEFT's name of what the base is wrapped for; of images there is none."""
    if model.reads_images:
        return None
    return _FEATURES if head is None else _TASKS[core_kind(model.heads[head].spec)]


def _in_memory(family: Family, path: str) -> str:
    return path if family.module_names is None else family.module_names.in_memory(path)


def _called(family: Family, entries: Iterable[str], paths: Iterable[str]) -> dict[str, str]:
    """Return paths by what the folder calls them: as in memory, or as older ones do as in files.

    Patterns of ranks and alphas in its configuration are of these names.
    """
    names = family.module_names
    plain = (family.plain_name(one.removeprefix(_STEM)) for one in entries)
    if names is None or all(names.in_file(one) == one for one in plain):
        return {path: path for path in paths}
    return {names.in_memory(path): path for path in paths}


def load_adapter(
    model: ModelState, path: Path, attach: Callable[[Adapter, int, Mapping[str, Float32]], None]
) -> None:
    """Add the adapter of a folder to a model; see `AdapterMethods.load_adapter`."""
    folder = user_path(path)
    config = read_object(folder / CONFIG_FILE)
    where = str(folder / CONFIG_FILE)
    kind = read_peft_kind(config, where)
    entries = read_entries(folder / TENSOR_FILE)
    own = read_object(folder / _OWN) if (folder / _OWN).is_file() else {}
    if own.get("base") not in (None, _base_digest(model)):
        raise CheckpointError(
            f"{folder}: expected an adapter for this base; found one that was trained over other "
            f"weights than those of {quoted(model.name)}; load it over the base that it was "
            f"trained with, {quoted(config.get('base_model_name_or_path'))}"
        )
    parts, rest = _sorted_out(model, entries, where)
    called = _called(model.index.family, entries, parts)
    shapes = {name: parts[path]["A"].shape for name, path in called.items()}
    adapter = peft_adapter(kind, config, shapes, where)
    sites = tuple(replace(one, path=called[one.path]) for one in adapter.sites)
    adapter = replace(adapter, sites=sites)
    values = _values(model, adapter, parts, where)
    heads = _head_values(model, folder, own, rest)
    attach(adapter, 0, values)
    for key, array in heads.items():
        model._core.set_param(model.index.key_index[key], array)
    filled = {name for name in model.heads if any(key.startswith(f"{name}.") for key in heads)}
    model.mark_trained(filled)


def _sorted_out(
    model: ModelState, entries: Mapping[str, TensorEntry], where: str
) -> tuple[dict[str, dict[str, TensorEntry]], dict[str, TensorEntry]]:
    """Return the adapter's tensors by path and part, and what else there is by its plain name.

    Adapters at layers that this model does not compute (a pooler under mean pooling) are left out:
    nothing that it gives depends on them.
    """
    family, paths = model.index.family, linear_paths(model)
    parts: dict[str, dict[str, TensorEntry]] = {}
    rest: dict[str, TensorEntry] = {}
    for name, entry in entries.items():
        plain = name.removeprefix(_STEM)
        end = next((end for end in _ENDS if plain.endswith(end)), None)
        path = family.plain_name(plain.removesuffix(end or ""))
        if family.module_names is not None:
            path = family.module_names.in_file(path)
        if end is None:
            rest[plain] = entry
        elif path in paths:
            part = "B" if end == ".lora_B.weight" else "A"
            parts.setdefault(path, {})[part] = entry
        elif f"{path}.weight" not in model.unused:
            raise CheckpointError(
                f"{where}: expected adapters at linear layers of {quoted(model.name)}; found one "
                f"at {quoted(path)}, which it does not have; load the adapter over its own base, "
                "or one of the same shape"
            )
    if not parts:
        raise CheckpointError(
            f"{where}: expected at least one adapter at a linear layer of this model; found "
            f"tensors {name_list(entries, 3)}"
        )
    order = {path: at for at, path in enumerate(paths)}
    return dict(sorted(parts.items(), key=lambda one: order[one[0]])), rest


def _values(
    model: ModelState,
    adapter: Adapter,
    parts: Mapping[str, Mapping[str, TensorEntry]],
    where: str,
) -> dict[str, Float32]:
    """Read the adapter's parameters by our keys, of the shapes that the base asks for."""
    family, key_index = model.index.family, model.index.key_index
    transposed = family.model_type in IN_OUT_WEIGHTS
    values: dict[str, Float32] = {}
    for site in adapter.sites:
        weight = model._core.view(key_index[family.key_of(f"{site.path}.weight")])
        n, k = weight.shape[::-1] if transposed else weight.shape
        lora = adapter.kind == LORA_UNIT
        wanted = (
            {"A": (site.rank, k), "B": (n, site.rank)}
            if lora
            else {"A": (1, k) if site.input else (n, 1)}
        )
        found = {part: tuple(entry.shape) for part, entry in parts[site.path].items()}
        if found != wanted:
            raise CheckpointError(
                f"{where}: expected tensors of shapes {list(wanted.values())} at "
                f"{quoted(site.path)}; found {list(found.values())}; the adapter belongs to "
                "another base"
            )
        for key, part in zip(adapter.keys(site), wanted, strict=True):
            array = parts[site.path][part].read_weights()
            values[key] = array if lora else array.reshape(-1)
    return values


def _head_values(
    model: ModelState, folder: Path, own: Mapping[str, Any], rest: Mapping[str, TensorEntry]
) -> dict[str, Float32]:
    """Return the parameters of heads that the folder has, by our keys; none may be lost."""
    known = {key: info.shape for key, info in _head_shapes(model).items()}
    if own:
        entries = read_entries(folder / _HEADS)
        missing = [key for key in entries if entries[key].shape != known.get(key)]
        if missing:
            raise CheckpointError(
                f"{folder}: expected heads that this model has; found {name_list(missing, 3)}, "
                "which fit none; add the heads of the same names and labels first "
                f"({name_list(own.get('heads', {}))})"
            )
        return {key: entry.read_weights() for key, entry in entries.items()}
    if not rest:
        return {}
    for name in model.heads:
        try:
            check_task_model(model, name)
        except ConfigError:
            continue
        names = head_names(model, name)
        fits = {
            key: rest[theirs]
            for theirs, key in names.items()
            if theirs in rest and tuple(rest[theirs].shape) == tuple(known[key])
        }
        if len(fits) == len(rest):
            return {key: entry.read_weights() for key, entry in fits.items()}
    raise CheckpointError(
        f"{folder}: expected a head of this model for the tensors {name_list(rest, 3)}; found none "
        "that they fit; call add_head with the labels that the adapter was trained for first, as "
        "the class of transformers computes it"
    )


def _head_shapes(model: ModelState) -> dict[str, Any]:
    infos = model._core.params()
    return {one.key: one for one in infos if one.key.partition(".")[0] in model.heads}
