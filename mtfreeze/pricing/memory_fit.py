# SPDX-License-Identifier: Apache-2.0
"""`MemoryFit`: what a run and its model take beside what there is, and what would take less."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..quantities import in_bytes

__all__ = ["MemoryFit", "MemoryVariant"]


@dataclass(frozen=True)
class MemoryVariant:
    """Another way to train, and its price.

    Attributes
    ----------
    says : str
        What to change, in Python.
    n_bytes : int
        That the run takes then.
    """

    says: str
    n_bytes: int

    def __str__(self) -> str:
        return f"{self.says} ({in_bytes(self.n_bytes)})"


@dataclass(frozen=True)
class MemoryFit:
    """Whether training and inference fit into memory.

    Attributes
    ----------
    training_bytes : int
        The most that the run takes: weights, gradients, moments, activations, packed weights,
        tokens, and features that are kept in memory; see `PhaseCosts.peak_bytes`.
    inference_bytes : int
        What the model takes while it infers such rows, 8,192 tokens at a time.
    free_bytes : int or None
        What there is for both: free memory of this machine or container and what the model holds
        of it already, or what ``memory=`` said. None: the system does not say.
    variants : tuple of MemoryVariant
        Only where training does not fit: other ways, the one that changes least first.
    inference_variants : tuple of MemoryVariant
        Only where inference does not fit.
    """

    training_bytes: int
    inference_bytes: int
    free_bytes: int | None
    variants: tuple[MemoryVariant, ...] = ()
    inference_variants: tuple[MemoryVariant, ...] = ()

    @property
    def fits(self) -> bool | None:
        """Whether the run fits; None where what is free is not known."""
        return None if self.free_bytes is None else self.training_bytes <= self.free_bytes

    @property
    def inference_fits(self) -> bool | None:
        """Whether inference fits; None where what is free is not known."""
        return None if self.free_bytes is None else self.inference_bytes <= self.free_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"fits": self.fits, "inference_fits": self.inference_fits}

    def lines(self) -> list[str]:
        """Return what it says, the verdict first, then what would fit."""
        needs, infers = in_bytes(self.training_bytes), in_bytes(self.inference_bytes)
        if self.free_bytes is None:
            return [
                f"memory: training needs {needs}, inference {infers}; what is free is not known "
                "here; pass memory= bytes"
            ]
        inference = "fits" if self.inference_fits else "does not fit"
        training = "fits" if self.fits else "does not fit"
        found = [
            f"memory: training {training}: needs {needs} of {in_bytes(self.free_bytes)} free; "
            f"inference {inference}: {infers}"
        ]
        found += self._what_fits("training", self.variants)
        return found + self._what_fits("inference", self.inference_variants)

    def _what_fits(self, what: str, variants: tuple[MemoryVariant, ...]) -> list[str]:
        fitting = [one for one in variants if one.n_bytes <= (self.free_bytes or 0)]
        if fitting or not variants:
            return [f"{what} fits with {', or '.join(map(str, fitting))}"] if fitting else []
        least = min(variants, key=lambda one: one.n_bytes)
        return [
            f"nothing that was priced for {what} fits; the least is {least}; a smaller backbone "
            "or shorter rows would need less"
        ]

    def __str__(self) -> str:
        return "; ".join(self.lines())
