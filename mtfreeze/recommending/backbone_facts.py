# SPDX-License-Identifier: Apache-2.0
"""What kind of model the backbone is: a sentence encoder, or one that was trained to fill gaps.

A sentence encoder was tuned so that its pooled vector says what a text means; a masked language
model was not, and its pooled vector is a poor summary (E1, E6, E23). The folder says which it is.
Models of images are a kind of their own: what was shown for texts alone is marked as such.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..closest import counted
from ..features.keys import output_info
from ..freezing.unit_states import unit_states
from ..model.prompts import PROMPTS_FILE
from ..quantities import in_values

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["KINDS", "BackboneFacts", "backbone_facts"]

KINDS = {
    "sentence": "sentence encoder",
    "masked": "masked language model",
    "vision": "vision model",
    "unknown": "encoder of unknown training",
}
"""Kind -> how it is called."""

_MASKED = ("ForMaskedLM", "ForPreTraining")


@dataclass(frozen=True)
class BackboneFacts:
    """What the backbone is.

    Attributes
    ----------
    name : str
        What it was loaded from.
    kind : {"sentence", "masked", "vision", "unknown"}
    why : str
        What the kind was told by.
    n_layers, width, n_values : int
        Layers, width of the topmost hidden state, parameters without heads.
    pooling : str
    normalize : bool
    layers, below : str
        What layers are called, and what stands below them: ``"stages"``, ``"the stem"``.
    narrowest : int or None
        The least width of a layer's states, where they differ.
    modules : tuple of str
        What stands between backbone and heads: ``("encoder", "queries", "decoder")``.
    """

    name: str
    kind: str
    why: str
    n_layers: int
    width: int
    n_values: int
    pooling: str
    normalize: bool
    layers: str = "layers"
    below: str = "the embeddings"
    narrowest: int | None = None
    modules: tuple[str, ...] = ()

    @property
    def layer(self) -> str:
        """What one layer is called."""
        return self.layers.removesuffix("s")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"modules": list(self.modules)}

    def __str__(self) -> str:
        widths = f"{self.width}" if self.narrowest is None else f"{self.narrowest} to {self.width}"
        return (
            f"{self.name}: {KINDS[self.kind]} ({self.why}), "
            f"{counted(self.n_layers, self.layer)} of {widths}, {in_values(self.n_values)} "
            f"parameters, "
            + (
                f"{', '.join(self.modules)} between it and the heads"
                if self.modules
                else f"{self.pooling} pooling"
            )
        )


def backbone_facts(model: MultiTaskModel) -> BackboneFacts:
    """Return what the model's folder says of its backbone."""
    loaded, index = model._loaded, model.index
    architectures = [str(one) for one in model.config.get("architectures") or ()]
    masked = next((one for one in architectures if one.endswith(_MASKED)), None)
    if model.reads_images:
        kind, why = "vision", f"{loaded.family.model_type} reads images"
    elif loaded.settings.prompts.raw:
        kind, why = "sentence", f"its folder has {PROMPTS_FILE}"
    elif masked is not None:
        kind, why = "masked", f"its config.json names {masked}"
    elif loaded.settings.has_modules:
        kind, why = "sentence", "its folder has modules.json"
    else:
        kind, why = "unknown", "its folder has no sentence-transformers files"
    widths = [output_info(model, f"hidden_states.{k + 1}").width for k in range(index.n_layers)]
    n_values = sum(unit.n_values for unit in unit_states(model) if unit.in_body)
    return BackboneFacts(
        name=model.name.rstrip("/").rpartition("/")[2] or model.name,
        kind=kind,
        why=why,
        n_layers=index.n_layers,
        width=widths[-1],
        n_values=n_values,
        pooling=model.pooling,
        normalize=model.normalize,
        layers=index.layers.word,
        below=index.layers.bottom,
        narrowest=min(widths) if len({*widths}) > 1 else None,
        modules=index.modules,
    )
