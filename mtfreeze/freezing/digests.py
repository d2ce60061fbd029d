# SPDX-License-Identifier: Apache-2.0
"""Proof that what was frozen did not move: a digest of every tensor before and after.

A digest is blake2b over the tensor's bytes; of one that is larger than 4 MiB it is blake2b over the
digests of its pieces of 4 MiB, so that all threads have work to the end. `snapshot` notes them with
what is frozen at that moment; `compare` names every tensor that was frozen then and has other bits
now. Tensors that the model keeps but does not use count as frozen. Nothing is looked up by value or
position. hashlib lets the GIL go, so a few threads hash a model in a fraction of a tenth of a
second.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..closest import counted, name_list
from ..files.tensor_files import RawTensor
from .state import FreezeState

__all__ = [
    "Digestible",
    "FrozenReport",
    "Snapshot",
    "compare",
    "digest",
    "digest_model",
    "report",
    "snapshot",
    "unused_keys",
]

_PIECE = 4 << 20
"""Bytes that one thread hashes at a time."""

_SIZE = 16
"""Bytes of a digest."""

_MAX_THREADS = 8
"""More do not hash faster: memory is the limit."""


class Digestible(Protocol):
    """What this file needs of a model."""

    def parameters(self) -> Mapping[str, NDArray[np.float32]]: ...
    def freeze_state(self) -> FreezeState: ...
    @property
    def unused(self) -> Mapping[str, RawTensor]: ...


@dataclass(frozen=True)
class Snapshot:
    """Digests of a model's tensors at one moment.

    Attributes
    ----------
    digests : dict of str to str
        Hexadecimal blake2b by parameter key; unused tensors as ``unused:<name>``.
    frozen : frozenset of str
        The keys among them that were frozen.
    """

    digests: dict[str, str]
    frozen: frozenset[str]


@dataclass(frozen=True)
class FrozenReport:
    """What became of the frozen tensors.

    Attributes
    ----------
    moved : tuple of str
        Frozen tensors whose bits changed, or that are gone.
    n_frozen : int
        How many tensors were frozen at the snapshot.
    changed : tuple of str
        Trainable tensors whose bits changed.
    n_trainable : int
        How many tensors were trainable at the snapshot.
    """

    moved: tuple[str, ...]
    n_frozen: int
    changed: tuple[str, ...]
    n_trainable: int

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FrozenReport:
        """Return the report whose fields, as JSON gives them back, are `values`."""
        return cls(
            tuple(values["moved"]),
            values["n_frozen"],
            tuple(values["changed"]),
            values["n_trainable"],
        )

    @property
    def ok(self) -> bool:
        """True if nothing frozen moved."""
        return not self.moved

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        trained = f"{len(self.changed)} of {self.n_trainable} trainable tensors changed"
        if self.moved:
            moved = counted(len(self.moved), "frozen tensor")
            return f"{moved} MOVED: {name_list(self.moved, 5)}; {trained}"
        if not self.n_frozen:
            return f"nothing was frozen; {trained}"
        return f"{counted(self.n_frozen, 'frozen tensor')} unchanged, bit for bit; {trained}"


def digest(data: bytes | NDArray[np.float32]) -> str:
    """Return the hexadecimal digest (128 bits) of a tensor; see the top of this file."""
    return _join([_hash(piece) for piece in _pieces(data)])


def _pieces(data: bytes | NDArray[np.float32]) -> list[memoryview]:
    """Cut a tensor's bytes; an empty one has one empty piece."""
    flat: Any = data if isinstance(data, bytes) else np.ascontiguousarray(data).reshape(-1)
    raw = memoryview(flat).cast("B")
    return [raw[at : at + _PIECE] for at in range(0, max(1, len(raw)), _PIECE)]


def _hash(piece: memoryview) -> bytes:
    return hashlib.blake2b(piece, digest_size=_SIZE).digest()


def _join(hashes: Sequence[bytes]) -> str:
    """Return the digest of a tensor from those of its pieces."""
    if len(hashes) == 1:
        return hashes[0].hex()
    return hashlib.blake2b(b"".join(hashes), digest_size=_SIZE).hexdigest()


def unused_keys(names: Iterable[str]) -> frozenset[str]:
    """Return the keys under which the digests of unused tensors of these plain names stand."""
    return frozenset(f"unused:{name}" for name in names)


def digest_model(model: Digestible) -> dict[str, str]:
    """Return the digest of every tensor by key, unused ones as ``unused:<name>``."""
    tensors: dict[str, bytes | NDArray[np.float32]] = dict(model.parameters())
    tensors.update({f"unused:{name}": raw.data for name, raw in model.unused.items()})
    n_threads = min(_MAX_THREADS, os.cpu_count() or 1)
    pieces = {key: _pieces(data) for key, data in tensors.items()}
    with ThreadPoolExecutor(n_threads) as pool:
        hashes = pool.map(_hash, (piece for own in pieces.values() for piece in own))
        return {key: _join(list(islice(hashes, len(own)))) for key, own in pieces.items()}


def snapshot(model: Digestible) -> Snapshot:
    """Note the digest of every tensor, and which are frozen now."""
    return Snapshot(digest_model(model), model.freeze_state().frozen | unused_keys(model.unused))


def report(before: Snapshot, now: Mapping[str, str]) -> FrozenReport:
    """Compare the digests of a later moment with a snapshot.

    Parameters
    ----------
    before : Snapshot
        What was frozen then is what must not have moved, whatever is frozen now.
    now : mapping of str to str
        From `digest_model`.
    """
    differ = [key for key, value in before.digests.items() if now.get(key) != value]
    return FrozenReport(
        tuple(key for key in differ if key in before.frozen),
        len(before.frozen),
        tuple(key for key in differ if key not in before.frozen),
        len(before.digests) - len(before.frozen),
    )


def compare(before: Snapshot, model: Digestible) -> FrozenReport:
    """Compare a model with an earlier snapshot of it.

    Parameters
    ----------
    before : Snapshot
        From `snapshot`.
    model : MultiTaskModel
        The same model, or the same one loaded again.

    Returns
    -------
    FrozenReport
        A head that was removed since counts as moved if it was frozen.
    """
    return report(before, digest_model(model))
