# SPDX-License-Identifier: Apache-2.0
"""Under which key a feature is kept: everything that its bits depend on, and nothing else.

A prefix key stands for one output of one model: the bits of the parameters that are needed to
compute it, the operations, the numeric mode, the kernels and the BLAS. A text key stands for the
token ids and token types of one text. A feature is found under both, so a changed weight, another
pooling or another machine level never meets a feature that was made before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from .. import _core
from ..closest import unknown
from ..errors import SelectorError
from ..freezing.digests import Snapshot, digest
from ..freezing.state import get_state
from ..inputs.packing import Encoded
from ..inputs.row_layout import RowLayout
from ..runtime.precision import FP32

if TYPE_CHECKING:
    from .._core import OutputInfo
    from ..model.state import ModelState

__all__ = ["KEY_BYTES", "numerics", "output_info", "prefix_key", "text_keys", "units_run"]

KEY_BYTES = 16
"""Length of a text key; a prefix key is as long, written as 32 hexadecimal digits."""

_TEXTS = 4096
"""Texts whose keys are made at a time: what they are made of is copied."""

_VERSION = 2
"""Of the meaning of features; raised when an operation comes to give other bits."""

# Per model: parameter key -> (version of its bits in the core, digest).
_known_digests: WeakKeyDictionary[ModelState, dict[str, tuple[int, str]]] = WeakKeyDictionary()
_known_texts: WeakKeyDictionary[Encoded, list[bytes]] = WeakKeyDictionary()


def output_info(model: ModelState, name: str) -> OutputInfo:
    """Return what the core says of an output; SelectorError with the closest name if unknown."""
    known = {info.name: info for info in model._core.outputs()}
    if name not in known:
        raise SelectorError(unknown("output", str(name), known))
    return known[name]


def units_run(model: ModelState, name: str) -> tuple[int, ...]:
    """Return the positions of the units that run to compute an output."""
    layout = RowLayout.of(model._core)
    one = layout.offsets([layout.shortest])
    units = model._core.plan([name], training=False, offsets=one).units
    return tuple(position for position, unit in enumerate(units) if unit.runs)


def prefix_key(model: ModelState, name: str, snapshot: Snapshot | None = None) -> str:
    """Return the digest of all that the bits of an output depend on, apart from the text.

    Parameters
    ----------
    model : MultiTaskModel
        With the weights as they are now.
    name : str
        An output, such as ``"hidden_states.2"`` or ``"pooled"``.
    snapshot : Snapshot, optional
        Digests taken of this model just now. They spare hashing parameters that were not hashed
        before; one that was, and has changed since, is hashed again whatever the snapshot says.

    Returns
    -------
    str
        32 hexadecimal digits.

    Raises
    ------
    SelectorError
        If there is no such output.
    """
    output_info(model, name)
    running = set(units_run(model, name))
    units = model._core.units()
    heads = {
        units[at].path: model.heads[units[at].path].spec.core_config()
        for at in sorted(running)
        if units[at].is_head
    }
    adapter = model.adapter
    adapted = adapter is not None and model.unit_index[adapter.kind] in running
    kernels = _core.runtime_info()
    described = {
        "version": [_VERSION, _core.VERSION],
        "output": name,
        "operations": model._loaded.build_config,
        "heads": heads,
        **({"adapter": adapter.core_config()} if adapter is not None and adapted else {}),
        "numerics": numerics(model, running),
        "isa": kernels.isa,
        "products": list(kernels.product_isa),
        "blas": [kernels.blas, bool(kernels.blas_rows_checked)],
        "parameters": _digests(model, running, snapshot),
    }
    text = json.dumps(described, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8"), digest_size=KEY_BYTES).hexdigest()


def numerics(model: ModelState, running: Collection[int]) -> str | dict[str, list[str]]:
    """Return what these units are computed in: fp32, but for the frozen weights that are named."""
    unit_of = dict(zip(model.index.keys, model.index.unit_of.tolist(), strict=True))
    lower = {
        name: sorted(key for key in keys if unit_of[key] in running)
        for name, keys in get_state(model).precisions.items()
    }
    return {name: keys for name, keys in lower.items() if keys} or FP32


def _digests(
    model: ModelState, running: set[int], snapshot: Snapshot | None
) -> list[tuple[str, list[int], str]]:
    """Return (key, shape, digest) of the parameters of these units."""
    known = _known_digests.setdefault(model, {})
    handed = {} if snapshot is None else snapshot.digests
    found = []
    for position, info in enumerate(model._core.params()):
        if snapshot is not None and info.key not in known and info.key in handed:
            known[info.key] = (info.version, handed[info.key])
        if info.unit not in running:
            continue
        version, value = known.get(info.key, (None, ""))
        # A head or adapter that was removed and added again begins a new count of versions.
        if version != info.version or not model.index.in_body[info.unit]:
            value = digest(model._core.view(position))
            known[info.key] = (info.version, value)
        found.append((info.key, list(info.shape), value))
    return found


def text_keys(encoded: Encoded) -> list[bytes]:
    """Return the key of every row: blake2b of what the model reads of its tokens.

    Parameters
    ----------
    encoded : Encoded
        Its arrays never change, so the keys are made once and remembered with it.

    Returns
    -------
    list of bytes
        `KEY_BYTES` each, in the order of the rows.
    """
    found = _known_texts.get(encoded)
    if found is None:
        blake2b = hashlib.blake2b
        found = []
        for begin in range(0, len(encoded), _TEXTS):
            some = encoded.contents(begin, min(begin + _TEXTS, len(encoded)))
            found += [blake2b(one, digest_size=KEY_BYTES).digest() for one in some]
        _known_texts[encoded] = found
    return found
