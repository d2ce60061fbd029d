# SPDX-License-Identifier: Apache-2.0
"""What users write: `Lora`, `IA3`, `BitFit`: ways of training few parameters of a frozen backbone.

Each is a value without a model, so a list of modes of a comparison can hold it, and so can a job in
YAML. `Lora` and `IA3` make an `Adapter` of a backbone's layers; `BitFit` is a way of freezing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from ..checks import check_integer, check_number, typed
from ..closest import unknown
from ..errors import ConfigError
from ..families.adapter_targets import IA3_INPUTS, IA3_TARGETS, LORA_TARGETS
from ..quoting import quoted
from .adapter import IA3_UNIT, LORA_UNIT, Adapter, Site
from .targets import check_layers, check_targets, is_named, select_sites

__all__ = [
    "IA3",
    "WAYS",
    "BitFit",
    "Lora",
    "Way",
    "make_adapter",
    "way_from_dict",
    "way_text",
    "way_to_dict",
]

_MOST_RANK = 4096


@dataclass(frozen=True)
class Lora:
    """LoRA: at chosen linear layers, y = W x + b + (alpha / rank) B A drop(x); A and B train.

    Parameters
    ----------
    rank : int
        Rows of A and columns of B, from 1.
    alpha : float
        Above 0.
    dropout : float
        Of what A reads, in training; from 0 to below 1.
    targets : list of str, optional
        Ends of the paths of layers, such as ``["query", "value"]``, or ``"all-linear"``; by default
        the family's usual ones.
    layers : list of int, optional
        Only in these layers; of a DETR in those of its encoder and its decoder with these numbers.

    Examples
    --------
    >>> Lora(rank=4, targets=["query"])
    Lora(rank=4, alpha=16.0, dropout=0.0, targets=('query',), layers=None)
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: str | Collection[str] | None = None
    layers: Collection[int] | None = None

    kind: ClassVar[str] = LORA_UNIT

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "rank", check_integer("rank", self.rank, 1, _MOST_RANK))
        alpha = check_number("alpha", self.alpha)
        if not 0 < alpha <= 1e6:
            raise ConfigError(f"alpha must be above 0 and at most 1e6; found {alpha:g}")
        put(self, "alpha", alpha)
        dropout = check_number("dropout", self.dropout)
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout must be from 0 to below 1; found {dropout:g}")
        put(self, "dropout", dropout)
        put(self, "targets", check_targets(self.targets))
        put(self, "layers", check_layers(self.layers))


@dataclass(frozen=True)
class IA3:
    """IA3: outputs of some linear layers, and inputs of others, times vectors that train.

    Parameters
    ----------
    targets : list of str, optional
        Ends of the paths of layers; by default the family's usual ones. The inputs of those that
        end in ``output.dense``, ``mlp.c_proj`` or ``down_proj`` are scaled, of all others what
        they give.
    layers : list of int, optional
        Only in these layers; of a DETR in those of its encoder and its decoder with these numbers.

    Examples
    --------
    >>> IA3(layers=range(2))
    IA3(targets=None, layers=(0, 1))
    """

    targets: str | Collection[str] | None = None
    layers: Collection[int] | None = None

    kind: ClassVar[str] = IA3_UNIT

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", check_targets(self.targets))
        object.__setattr__(self, "layers", check_layers(self.layers))


@dataclass(frozen=True)
class BitFit:
    """BitFit: of the backbone only the biases train, and the heads.

    Examples
    --------
    >>> BitFit().kind
    'bitfit'
    """

    kind: ClassVar[str] = "bitfit"


Way = Lora | IA3 | BitFit
"""Ways of training few parameters."""
_KINDS: Mapping[str, type[Lora] | type[IA3] | type[BitFit]] = {
    one.kind: one for one in (Lora, IA3, BitFit)
}
WAYS = tuple(_KINDS)
"""What they are called where only a name stands."""


def make_adapter(way: Lora | IA3, paths: Sequence[str], family: str) -> Adapter:
    """Return the adapter that a description means at the layers of a backbone.

    Parameters
    ----------
    way : Lora or IA3
    paths : sequence of str
        Of all linear layers of the backbone.
    family : str
        Its ``model_type``.

    Raises
    ------
    ConfigError
        As `select_sites`.
    """
    usual = (LORA_TARGETS if isinstance(way, Lora) else IA3_TARGETS).get(family, ())
    layers = None if way.layers is None else tuple(way.layers)
    chosen = select_sites(paths, way.targets, layers, usual=usual, family=family)
    if isinstance(way, Lora):
        sites = tuple(Site(path, way.rank, way.alpha) for path in chosen)
        return Adapter(LORA_UNIT, sites, way.dropout)
    return Adapter(IA3_UNIT, tuple(Site(path, input=is_named(path, IA3_INPUTS)) for path in chosen))


def way_text(way: Way) -> str:
    """Return a short name: the kind, and what is not as usual.

    Examples
    --------
    >>> way_text(Lora()), way_text(Lora(rank=4, targets=["query"]))
    ('lora', "lora(rank=4, targets=['query'])")
    """
    usual, found = asdict(type(way)()), way_to_dict(way)
    usual = {key: value for key, value in usual.items() if value is not None}
    other = [f"{k}={v!r}" for k, v in found.items() if k != "kind" and v != usual.get(k)]
    return f"{way.kind}({', '.join(other)})" if other else way.kind


def way_to_dict(way: Way) -> dict[str, Any]:
    """Return JSON values that `way_from_dict` reads."""
    values = {key: value for key, value in asdict(way).items() if value is not None}
    lists = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
    return {"kind": way.kind, **lists}


def way_from_dict(values: Mapping[str, Any]) -> Way:
    """Return the way of training that JSON or YAML values describe.

    Examples
    --------
    >>> way_from_dict({"kind": "lora", "rank": 2}) == Lora(rank=2)
    True

    Raises
    ------
    ConfigError, TypeError
        If there is no such kind or argument (with the closest), or an argument does not hold.
    """
    kind = values.get("kind")
    if not isinstance(kind, str):
        raise TypeError(f"a way of training must have a kind; found {typed(kind)}")
    if kind not in _KINDS:
        raise ConfigError(unknown("kind", kind, _KINDS))
    known = [field.name for field in fields(_KINDS[kind])]
    rest = {key: value for key, value in values.items() if key != "kind"}
    for key in rest:
        if key not in known:
            raise ConfigError(f"{quoted(kind)}: {unknown('argument', str(key), known)}")
    return _KINDS[kind](**rest)
