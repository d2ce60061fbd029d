# SPDX-License-Identifier: Apache-2.0
"""Spacy: a component of spaCy in which a head of ours says what a document is, or what is in it.

``nlp.add_pipe("mtfreeze", config={"model": folder})`` finds `make_component` by spaCy's entry
points, with nothing imported. `component.py` annotates and trains, `gold.py` reads what spaCy's
examples say. Called by spaCy; calls models, and steps by hand. Needs spaCy, and is imported only by
name.
"""

from __future__ import annotations

try:
    from spacy.language import Language
except ImportError as error:
    raise ImportError(
        "mtfreeze.spacy needs spaCy, which is not installed; pip install 'mtfreeze[spacy]'"
    ) from error

from .component import HeadComponent

__all__ = ["HeadComponent", "make_component"]

_DEFAULTS = {
    "model": "sentence-transformers/all-MiniLM-L6-v2",
    "head": None,
    "task": None,
    "freeze": "backbone",
    "learning_rate": 1e-3,
    "tensor": False,
}


@Language.factory(  # type: ignore[untyped-decorator]
    "mtfreeze",
    assigns=["doc.cats", "doc.ents", "doc.tensor", "token.tag"],
    default_config=_DEFAULTS,
    default_score_weights={"cats_score": 0.5, "ents_f": 0.5},
)
def make_component(
    nlp: Language,
    name: str,
    model: str,
    head: str | None,
    task: str | None,
    freeze: str | None,
    learning_rate: float,
    tensor: bool,
) -> HeadComponent:
    """Return a component, as `nlp.add_pipe` asks for; see `HeadComponent`."""
    return HeadComponent(name, model, head, task, freeze, learning_rate, tensor)
