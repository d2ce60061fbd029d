# SPDX-License-Identifier: Apache-2.0
"""What kind of model the backbone is: a sentence encoder, or one that was trained to fill gaps.

A sentence encoder was tuned so that its pooled vector says what a text means; a masked language
model was not, and its pooled vector is a poor summary (E1, E6, E23). The folder says which it is.
Models of images are a kind of their own: what was shown for texts alone is marked as such.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

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
        Layers, width of a hidden state, parameters without heads.
    pooling : str
    normalize : bool
    """

    name: str
    kind: str
    why: str
    n_layers: int
    width: int
    n_values: int
    pooling: str
    normalize: bool

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.name}: {KINDS[self.kind]} ({self.why}), {self.n_layers} layers of "
            f"{self.width}, {in_values(self.n_values)} parameters, {self.pooling} pooling"
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
    n_values = sum(
        view.size
        for key, view in model.parameters().items()
        if index.in_body[index.unit_of[index.key_index[key]]]
    )
    return BackboneFacts(
        name=model.name.rstrip("/").rpartition("/")[2] or model.name,
        kind=kind,
        why=why,
        n_layers=index.n_layers,
        width=model.token_width,
        n_values=int(n_values),
        pooling=model.pooling,
        normalize=model.normalize,
    )
