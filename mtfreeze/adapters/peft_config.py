# SPDX-License-Identifier: Apache-2.0
"""``adapter_config.json`` of PEFT: written for an `Adapter`, and read back with its tensors.

Where an adapter stands, and its ranks, the tensors say; the configuration says how it counts. What
changes the computation and is not supported is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..checks import as_flag, as_number
from ..errors import CheckpointError, ConfigError
from ..families.adapter_targets import IN_OUT_WEIGHTS
from ..quoting import quoted
from .adapter import IA3_UNIT, LORA_UNIT, Adapter, Site
from .targets import is_named

__all__ = ["CONFIG_FILE", "TENSOR_FILE", "peft_adapter", "peft_config", "read_peft_kind"]

CONFIG_FILE, TENSOR_FILE = "adapter_config.json", "adapter_model.safetensors"

_UNSUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "use_dora": (False, None),
    "lora_bias": (False, None),
    "bias": ("none", None),
    "trainable_token_indices": (None, [], {}),
    "layer_replication": (None, []),
    "target_parameters": (None, []),
    "use_qalora": (False, None),
    "use_bdlora": (False, None, {}),
    "alora_invocation_tokens": (None, []),
    "arrow_config": (None,),
    "megatron_config": (None,),
}
"""Keys that change what is computed, and the values under which they do not."""


def read_peft_kind(config: Mapping[str, Any], where: str) -> str:
    """Return ``"lora"`` or ``"ia3"`` of a configuration that asks for nothing else.

    Raises
    ------
    ConfigError
        If it is another kind of adapter, or asks for what is not supported.
    """
    kinds = {"LORA": LORA_UNIT, "IA3": IA3_UNIT}
    kind = config.get("peft_type")
    if kind not in kinds:
        raise ConfigError(
            f"{where}: expected peft_type LORA or IA3; found {quoted(kind)}; other adapters are "
            "not supported"
        )
    for key, harmless in _UNSUPPORTED.items():
        value = config.get(key)
        if not any(value is one or value == one for one in harmless):
            raise ConfigError(
                f"{where}: {key} {quoted(value)} changes the computation and is not supported; "
                "merge the adapter with PEFT (merge_and_unload) and load the merged model"
            )
    return kinds[str(kind)]


def peft_adapter(
    kind: str, config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], where: str
) -> Adapter:
    """Return the adapter that a configuration and the shapes of A (or of the vector) describe.

    Parameters
    ----------
    kind : str
        From `read_peft_kind`.
    config : mapping
        ``adapter_config.json``.
    shapes : mapping of str to sequence of int
        Of A (rank, inputs), or of IA3's vector, by the path of the layer.
    where : str
        The file, for messages.

    Raises
    ------
    CheckpointError
        If a number is none.
    """
    if kind == IA3_UNIT:
        sites = tuple(Site(path, input=shape[0] == 1) for path, shape in shapes.items())
        return Adapter(IA3_UNIT, sites)
    alpha, dropout = (
        as_number(config.get("lora_alpha", 8)),
        as_number(config.get("lora_dropout", 0)),
    )
    by_root, patterns = (
        as_flag(config.get("use_rslora") or False),
        config.get("alpha_pattern") or {},
    )
    numbers = patterns.values() if isinstance(patterns, Mapping) else [None]
    if (
        alpha is None
        or dropout is None
        or not 0 <= dropout < 1
        or by_root is None
        or any(as_number(one) is None for one in numbers)
    ):
        raise CheckpointError(
            f"{where}: expected lora_alpha and alpha_pattern as numbers, lora_dropout from 0 to "
            f"below 1, use_rslora true or false; found {quoted(config.get('lora_alpha'))}, "
            f"{quoted(patterns)}, {quoted(config.get('lora_dropout'))}, "
            f"{quoted(config.get('use_rslora'))}"
        )
    sites = tuple(
        Site(path, int(shape[0]), _alpha_of(path, patterns, alpha))
        for path, shape in shapes.items()
    )
    return Adapter(LORA_UNIT, sites, dropout, by_root)


def _alpha_of(path: str, patterns: Mapping[str, float], default: float) -> float:
    """Return what the first pattern says that fits an end of the path, as PEFT reads them."""
    for pattern, alpha in patterns.items():
        try:
            if re.fullmatch(rf"(.*\.)?({pattern})", path):
                return float(alpha)
        except re.error:
            continue
    return float(default)


def peft_config(
    adapter: Adapter,
    paths: Sequence[str],
    *,
    family: str,
    base: str,
    task_type: str | None,
    modules_to_save: Sequence[str],
) -> dict[str, Any]:
    """Return ``adapter_config.json``.

    Parameters
    ----------
    adapter : Adapter
    paths : sequence of str
        Of all linear layers that PEFT finds in the base, those that mtfreeze does not use too:
        names are shortened only where they mean no other layer.
    family : str
        The base's ``model_type``.
    base : str
        Where the base is loaded from.
    task_type : str or None
        PEFT's name of what the base is wrapped for.
    modules_to_save : sequence of str
        Modules whose tensors are in the file whole.
    """
    config: dict[str, Any] = {
        "peft_type": adapter.kind.upper(),
        "task_type": task_type,
        "base_model_name_or_path": base,
        "inference_mode": True,
        "target_modules": _short([site.path for site in adapter.sites], paths),
        "fan_in_fan_out": family in IN_OUT_WEIGHTS,
        "modules_to_save": list(modules_to_save) or None,
    }
    if adapter.kind == IA3_UNIT:
        inputs = [site.path for site in adapter.sites if site.input]
        return {**config, "feedforward_modules": _short(inputs, paths) if inputs else []}
    first = adapter.sites[0]
    return {
        **config,
        "r": first.rank,
        "lora_alpha": first.alpha,
        "lora_dropout": adapter.dropout,
        "bias": "none",
        "use_rslora": adapter.by_root,
        "init_lora_weights": True,
        "layers_to_transform": None,
        "rank_pattern": {
            re.escape(one.path): one.rank for one in adapter.sites if one.rank != first.rank
        },
        "alpha_pattern": {
            re.escape(one.path): one.alpha for one in adapter.sites if one.alpha != first.alpha
        },
    }


def _short(chosen: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Return last words of paths where they mean these layers and no others, else the paths."""
    for words in (1, 2):
        names = list(dict.fromkeys(".".join(path.split(".")[-words:]) for path in chosen))
        if [path for path in paths if is_named(path, names)] == [
            path for path in paths if path in chosen
        ]:
            return names
    return list(chosen)
