# SPDX-License-Identifier: Apache-2.0
"""What the logits of a ``...ForSequenceClassification`` model of transformers mean.

One class computes them all; ``problem_type`` of ``config.json`` says which loss they are for, and
with that which kind of head of ours they are. Where it says nothing, transformers goes by the
number of labels and by the labels of the first batch, which a folder does not show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..closest import name_list
from ..errors import ConfigError
from ..heads.kind import HeadSpec
from ..heads.multi_label_classification import MultiLabelClassification
from ..heads.regression import Regression
from ..heads.sequence_classification import SequenceClassification
from ..quoting import quoted

__all__ = ["PROBLEMS", "core_kind", "problem_of", "sequence_kind"]

_SINGLE, _SEVERAL, _NUMBERS = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)

_KINDS: dict[str, type[HeadSpec]] = {
    _SINGLE: SequenceClassification,
    _SEVERAL: MultiLabelClassification,
    _NUMBERS: Regression,
}

PROBLEMS: dict[str, str] = {cls.kind: problem for problem, cls in _KINDS.items()}
"""``problem_type`` by what the core calls the kind of head."""


def core_kind(spec: HeadSpec) -> str:
    """Return what the core calls the kind: one label of a sequence, be that a text or a pair."""
    return str(spec.core_config()["kind"])


def problem_of(spec: HeadSpec) -> str | None:
    """Return the ``problem_type`` of a head; None where the class has but one."""
    return PROBLEMS.get(core_kind(spec))


def sequence_kind(
    config: Mapping[str, Any], n_logits: int, spec: HeadSpec | None, where: str
) -> type[HeadSpec]:
    """Return the kind of head that a checkpoint of such a class has.

    Parameters
    ----------
    config : mapping
        What ``config.json`` holds.
    n_logits : int
        How many logits there are.
    spec : HeadSpec, optional
        The caller's description, which counts where the file says nothing.
    where : str
        The file, for messages.

    Raises
    ------
    ConfigError
        If the problem is none that transformers has, or does not go with the number of logits.
    """
    problem = config.get("problem_type")
    if problem is None:
        asked = None if spec is None else problem_of(spec)
        if asked is not None and (n_logits > 1 or asked != _SINGLE):
            return _KINDS[asked]
        return Regression if n_logits == 1 else SequenceClassification
    if not isinstance(problem, str) or problem not in _KINDS:
        raise ConfigError(
            f"{where}: expected problem_type to be one of {name_list(_KINDS)}; found "
            f"{quoted(problem)}; correct the file"
        )
    if problem == _SINGLE and n_logits < 2:
        raise ConfigError(
            f"{where}: expected two or more logits to choose one label; found {n_logits}; "
            f"set problem_type to {quoted(_NUMBERS)} if it is a number, or to "
            f"{quoted(_SEVERAL)} if it is yes or no"
        )
    return _KINDS[problem]
