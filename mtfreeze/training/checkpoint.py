# SPDX-License-Identifier: Apache-2.0
"""Checkpoints on disk: a model folder with the state of the run beside it, whole or not there.

    <output_dir>/checkpoints/step-00000120/
        config.json, model.safetensors, heads/ ...   a saved model, which from_pretrained loads
        trainer/state.json             how far the run got, and what run it is
        trainer/moments.safetensors    AdamW: both moments and step counts of what has any
        trainer/manifest.json          length and digest of every other file

A checkpoint is written under another name, every file and folder synced, then renamed, and only
then the earlier one is removed, which loses its name first. At every moment, also at kill -9 or a
loss of power, a folder called ``step-...`` is whole. The manifest tells a folder that the disk
damaged later.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..closest import name_list
from ..errors import CheckpointError
from ..families import family_of
from ..files.drafts import clear_abandoned, new_token, remove_folder
from ..files.folder_swap import new_folder
from ..files.inner_names import inner_path
from ..files.json_files import read_object, to_json
from ..files.reading import open_file
from ..files.still_folder import Sight, look_at, read_still
from ..files.tensor_files import RawTensor, TensorEntry, find_tensors, read_entries, write_tensors
from ..files.user_paths import user_path
from ..files.whole_file import explained, make_folder, write_synced
from ..model.saved_adapter import ADAPTER_FILE
from ..model.saving import CHECKPOINTS, write_model
from ..quoting import cut, quoted

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = [
    "Checkpoint",
    "checkpoint_step",
    "clear_drafts",
    "list_checkpoints",
    "read_checkpoint",
    "remove_checkpoint",
    "write_checkpoint",
]

FORMAT = 1
"""Of the files in ``trainer/``; another one is refused."""

_NAME = re.compile(r"step-(\d{8,})")
_DRAFT = re.compile(r"\.step-\d{8,}\.(new|old)-[0-9a-f]{8}")
_TRAINER = "trainer"
_STATE, _MOMENTS, _MANIFEST = "state.json", "moments.safetensors", "manifest.json"
_PARTS = ("moment1", "moment2", "n_steps")
_ARRAYS = "arrays.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files were found whole.

    Attributes
    ----------
    path : Path
        Its folder.
    facts : dict
        What ``describe_run`` said of the run.
    state : dict
        What ``TrainerState.to_dict`` said.
    environment : dict
        Version, instruction set and BLAS that computed it, and the threads.
    trained_heads : dict of str to bool
        Whether each head was trained by then.
    finished : bool
        Whether the run had nothing left to do but to evaluate.
    sight : Sight
        What the folder looked like when its files were found whole.
    """

    path: Path
    facts: dict[str, Any]
    state: dict[str, Any]
    environment: dict[str, Any]
    trained_heads: dict[str, bool]
    finished: bool
    sight: Sight

    def check_unchanged(self) -> None:
        """Refuse to go on if another process replaced or removed the checkpoint since.

        Raises
        ------
        CheckpointError
            If it did.
        """
        if look_at(self.path) != self.sight:
            raise CheckpointError(
                f"{self.path}: expected the checkpoint that was found whole; found it replaced or "
                "removed meanwhile; end the other run that writes there, load the model again, "
                "and go on"
            )

    def parameters(self) -> dict[str, TensorEntry]:
        """Return where every parameter lies, by its key."""
        file = self.path / "config.json"
        family = family_of(read_object(file), str(file))
        found = {
            family.key_of(family.plain_name(name)): entry
            for name, entry in find_tensors(self.path).items()
        }
        for head in self.trained_heads:
            file = inner_path(self.path, f"heads/{head}.safetensors", f"{_TRAINER}/{_STATE}")
            found |= read_entries(file)
        adapter = self.path / ADAPTER_FILE
        return found | (read_entries(adapter) if adapter.is_file() else {})

    def moments(self) -> SavedMoments:
        """Return both moments and the step count of every tensor that has any, by key.

        Raises
        ------
        CheckpointError
            If the file is damaged.
        """
        return SavedMoments(self.path / _TRAINER / _MOMENTS)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Read the arrays that the run keeps beside the model, such as its best parameters."""
        return {name: entry.read_float32() for name, entry in self._arrays().items()}

    def _arrays(self) -> dict[str, TensorEntry]:
        return read_entries(self.path / _TRAINER / _ARRAYS)

    def check_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Compare all tensors with the parameters of a model, by their headers alone.

        Parameters
        ----------
        shapes : mapping of str to tuple of int
            Of the model's parameters, by key.

        Raises
        ------
        CheckpointError
            If a parameter is missing, or a tensor has another shape or dtype than its parameter.
        """
        own = self.parameters()
        missing = [key for key in shapes if key not in own]
        if missing:
            raise CheckpointError(
                f"{self.path}: expected the parameters of this model; not found: "
                f"{name_list(missing, 4)}; resume from another checkpoint"
            )
        tensors = [(key, key, own[key]) for key in shapes]
        tensors += [(key, f"{part} of {key}", one) for key, part, one in self.moments().entries()]
        tensors += [(key, f"best {key}", entry) for key, entry in self._arrays().items()]
        wrong = [name for key, name, entry in tensors if entry.shape != shapes.get(key)]
        if wrong:
            raise CheckpointError(
                f"{self.path}: expected the parameters of this model; found with another shape: "
                f"{name_list(wrong, 4)}; resume from another checkpoint"
            )
        for _, _, entry in tensors:
            entry.check_float()


class SavedMoments(Mapping[str, "tuple[NDArray[np.float32], NDArray[np.float32], int]"]):
    """Both moments and the step count by key, each read when it is asked for.

    All at once would be a second copy of what training needs most memory for.
    """

    def __init__(self, path: Path) -> None:
        found = read_entries(path)
        keys = [name.rpartition(":")[0] for name in found if name.endswith(":n_steps")]
        self._entries: dict[str, tuple[TensorEntry, TensorEntry, TensorEntry]] = {}
        for key in keys:
            one, two, count = (found.get(f"{key}:{part}") for part in _PARTS)
            if one is None or two is None or count is None or count.dtype != "I64":
                raise CheckpointError(
                    f"{path}: expected both moments and the step count of {quoted(key)}; found "
                    f"{name_list(found, 4)}; resume from another checkpoint"
                )
            self._entries[key] = (one, two, count)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, key: str) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
        one, two, count = self._entries[key]
        n_steps = int.from_bytes(count.read_raw().data, "little", signed=True)
        return one.read_float32(), two.read_float32(), n_steps

    def entries(self) -> Iterator[tuple[str, str, TensorEntry]]:
        """Yield key, part and place of every moment."""
        for key, (one, two, _) in self._entries.items():
            yield key, _PARTS[0], one
            yield key, _PARTS[1], two


def checkpoint_step(path: Path) -> int | None:
    """Return the number of steps in a checkpoint's name; None for another name."""
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else None


def list_checkpoints(output_dir: Path) -> list[Path]:
    """Return the checkpoints of an output folder, that with most steps first."""
    folder = output_dir / CHECKPOINTS
    found = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    steps = {path: step for path in found if (step := checkpoint_step(path)) is not None}
    return sorted(steps, key=lambda path: steps[path], reverse=True)


def clear_drafts(output_dir: Path) -> None:
    """Remove what a killed process left half written or half removed."""
    folder = output_dir / CHECKPOINTS
    inside = folder.iterdir() if folder.is_dir() else ()
    clear_abandoned([path for path in inside if _DRAFT.fullmatch(path.name)])


def remove_checkpoint(path: Path) -> None:
    """Remove a checkpoint: its name at once, then its files."""
    aside = path.with_name(f".{path.name}.old-{new_token()}")
    try:
        os.rename(path, aside)
    except OSError:
        return  # it stays whole; the next one tries again
    remove_folder(aside)


# ---- writing -------------------------------------------------------------------------------------


def write_checkpoint(
    model: MultiTaskModel,
    output_dir: Path,
    *,
    n_steps: int,
    facts: Mapping[str, Any],
    state: Mapping[str, Any],
    finished: bool = False,
    boundary: Sequence[str] = (),
    arrays: Mapping[str, NDArray[np.float32]] | None = None,
) -> Path:
    """Write the checkpoint after `n_steps` steps and return its folder.

    Parameters
    ----------
    model : MultiTaskModel
        With the freeze state and the moments of the step.
    output_dir : Path
        The run's folder; it is made.
    n_steps : int
        Its name; an earlier checkpoint of that name is replaced.
    facts, state, finished
        See `Checkpoint`; JSON values.
    boundary : sequence of str
        Outputs that the frozen prefix hands on to what trains, for the reader of the file.
    arrays : mapping of str to array, optional
        What the run keeps beside the model, float32.

    Raises
    ------
    OSError
        If the disk is full or fails. Checkpoints that are there stay whole.
    """
    folder = user_path(output_dir).resolve() / CHECKPOINTS
    target = folder / f"step-{n_steps:08d}"
    begin = f"cannot write the checkpoint {quoted(str(target))}"
    whole = (
        "an earlier one is whole; free space or choose another place, then go on with "
        "fit(..., resume=True)"
    )
    with explained(begin, whole):
        make_folder(folder)
    with new_folder(target, begin, whole) as draft:
        write_model(model, draft)
        trainer = draft / _TRAINER
        trainer.mkdir()
        write_tensors(trainer / _MOMENTS, _Moments(model))
        write_tensors(trainer / _ARRAYS, dict(arrays or {}))
        content = {
            "format": FORMAT,
            "environment": environment(),
            "facts": facts,
            "finished": finished,
            "trained_heads": {name: head.trained for name, head in model.heads.items()},
            "boundary": list(boundary),
            "state": state,
        }
        # In one line: a long history would take three times the room otherwise.
        write_synced(trainer / _STATE, json.dumps(content, ensure_ascii=False).encode())
        write_synced(trainer / _MANIFEST, to_json({"format": FORMAT, "files": _manifest(draft)}))
    return target


def environment() -> dict[str, Any]:
    """Return what computes: numbers may differ in their last bits between two of these."""
    info = _core.runtime_info()
    return {
        "mtfreeze_version": _core.VERSION,
        "isa": info.isa,
        "blas": info.blas,
        "n_threads": info.n_threads,
    }


class _Moments(Mapping[str, "NDArray[np.float32] | RawTensor"]):
    """The optimizer's state as tensors by name, read from the core one parameter at a time.

    All moments at once would be a second copy of what training needs most memory for.
    """

    def __init__(self, model: MultiTaskModel) -> None:
        self._core = model._core
        self._positions = {
            key: position
            for position, (key, info) in enumerate(
                zip(model.param_keys, self._core.params(), strict=True)
            )
            if not info.frozen and self._core.state(position) is not None
        }
        self._read: tuple[str, Any] = ("", None)

    def __iter__(self) -> Iterator[str]:
        return (f"{key}:{part}" for key in self._positions for part in _PARTS)

    def __len__(self) -> int:
        return len(self._positions) * len(_PARTS)

    def __getitem__(self, name: str) -> NDArray[np.float32] | RawTensor:
        key, _, part = name.rpartition(":")
        if self._read[0] != key:
            self._read = (key, self._core.state(self._positions[key]))
        moment1, moment2, n_steps = self._read[1]
        if part == "n_steps":
            return RawTensor("I64", (1,), int(n_steps).to_bytes(8, "little", signed=True))
        values: NDArray[np.float32] = moment1 if part == "moment1" else moment2
        return values


def _files(folder: Path) -> Iterator[Path]:
    """Yield every file of a checkpoint but the manifest itself, in order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / _TRAINER / _MANIFEST:
            yield path


def _file_digest(path: Path) -> str:
    state = hashlib.blake2b(digest_size=16)
    with open_file(path, CheckpointError) as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        path.relative_to(folder).as_posix(): {
            "n_bytes": path.stat().st_size,
            "blake2b": _file_digest(path),
        }
        for path in _files(folder)
    }


# ---- reading -------------------------------------------------------------------------------------


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint after checking that every file of it is whole.

    Raises
    ------
    CheckpointError
        If it is none, a file is missing or damaged (it is named), of another version, or replaced
        again and again while it is read.
    """
    return read_still(path, lambda: _read_whole(path))


def _read_whole(path: Path) -> Checkpoint:
    sight = look_at(path)
    manifest_path = path / _TRAINER / _MANIFEST
    if not manifest_path.is_file():
        raise CheckpointError(
            f"expected a checkpoint at {quoted(str(path))}; found no {_TRAINER}/{_MANIFEST} in it; "
            "give "
            "a folder 'step-...' of a run, or the output_dir of the run"
        )
    manifest = read_object(manifest_path)
    _check_format(manifest, manifest_path)
    listed = manifest.get("files")
    if not isinstance(listed, dict):
        raise CheckpointError(f"{manifest_path}: expected 'files' to map names to digests")
    for name, facts in listed.items():
        file = inner_path(path, name, str(manifest_path))
        if not os.path.isfile(file):
            raise CheckpointError(
                f"checkpoint {path}: expected the file {cut(name)}; found none; resume from another"
            )
        size = file.stat().st_size
        if not isinstance(facts, dict) or size != facts.get("n_bytes"):
            wanted = facts.get("n_bytes") if isinstance(facts, dict) else facts
            raise CheckpointError(
                f"{file}: expected {quoted(wanted)} bytes; found {size}; the file is damaged: "
                "resume from another checkpoint"
            )
        if _file_digest(file) != facts.get("blake2b"):
            raise CheckpointError(
                f"{file}: expected the bytes that were written; found others (its digest differs); "
                "the file is damaged: resume from another checkpoint"
            )
    needed = [f"{_TRAINER}/{_STATE}", f"{_TRAINER}/{_MOMENTS}", f"{_TRAINER}/{_ARRAYS}"]
    missing = [name for name in needed if name not in listed]
    if missing:
        raise CheckpointError(
            f"{manifest_path}: expected it to list {name_list(needed)}; not found: "
            f"{name_list(missing)}; the file is damaged: resume from another checkpoint"
        )
    return _checkpoint(path, sight, read_object(path / _TRAINER / _STATE, own=True))


def _check_format(values: Mapping[str, Any], path: Path) -> None:
    if values.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: expected format {FORMAT}; found {quoted(values.get('format'))}; it was "
            "written by "
            "another version of mtfreeze: resume with that version"
        )


def _checkpoint(path: Path, sight: Sight, content: Mapping[str, Any]) -> Checkpoint:
    where = path / _TRAINER / _STATE
    _check_format(content, where)
    parts: dict[str, Any] = {}
    for name in ("facts", "state", "environment", "trained_heads"):
        parts[name] = content.get(name)
        if not isinstance(parts[name], dict):
            raise CheckpointError(
                f"{where}: expected {quoted(name)} to be an object; found "
                f"{type(parts[name]).__name__}; "
                "resume from another checkpoint"
            )
    heads = {name: value is True for name, value in parts.pop("trained_heads").items()}
    finished = content.get("finished") is True
    return Checkpoint(path, trained_heads=heads, finished=finished, sight=sight, **parts)
