# SPDX-License-Identifier: Apache-2.0
"""What builders of tokenizers share: the vocabulary that they get, and what they compare.

A class of transformers takes the vocabulary of a folder and builds the rest by its own rules,
whatever else tokenizer.json says. Where tokenizer.json is another tokenizer than that, programs
disagree about ids, and the folder is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from ..quoting import quoted
from .tokenizer_settings import TokenizerSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = [
    "CURE",
    "DOUBLED",
    "REPEATED",
    "SEGMENTS",
    "Vocabulary",
    "agree",
    "enclose",
    "said_by_both",
]

CURE = (
    'if tokenizer.json is right as it stands, write "tokenizer_class": "PreTrainedTokenizerFast" '
    "into tokenizer_config.json, which keeps every program to it"
)


@dataclass(frozen=True)
class Vocabulary:
    """What a folder's large files give.

    Attributes
    ----------
    model : tokenizers.models.Model
        The pieces.
    own : tokenizers.Tokenizer or None
        tokenizer.json as the library reads it.
    whole : mapping
        The same file, parsed; empty without it.
    table : bytes or None
        Of a sentencepiece file: how characters are normalised.
    """

    model: Any
    own: Tokenizer | None = None
    whole: Mapping[str, Any] = field(default_factory=dict)
    table: bytes | None = None


def agree(settings: TokenizerSettings, what: str, found: object, expected: object) -> None:
    """Refuse a tokenizer.json that is another tokenizer than its class builds."""
    if found != expected:
        kind = settings.kind or "BertTokenizer"
        raise CheckpointError(
            f"{settings.folder}: expected tokenizer.json to hold what {kind} builds from it; "
            f"found another tokenizer ({what}: {quoted(found)} instead of {quoted(expected)}), so "
            f"that programs disagree about the ids; {CURE}"
        )


def said_by_both(settings: TokenizerSettings, key: str, said: object, used: object) -> None:
    """Refuse a setting of tokenizer.json that tokenizer_config.json does not have."""
    if said != used and key not in settings.values:
        raise CheckpointError(
            f"{settings.folder}: expected tokenizer_config.json and tokenizer.json to say "
            f"the same of {quoted(key)}; found {quoted(said)} in tokenizer.json and "
            f"nothing in tokenizer_config.json, which other programs take for "
            f'{quoted(used)}; write "{key}": true or false, as the model was trained, '
            "into tokenizer_config.json"
        )


SEGMENTS = "{first} $A {last} $B:1 {last}:1"
DOUBLED = "{first} $A {last} {last} $B {last}"
REPEATED = "{first} $A {last} {first}:1 $B:1 {last}:1"
"""How classes put the two texts of a pair together; ``:1`` is the second segment."""


def enclose(tokenizer: Any, first: str, last: str, pair: str) -> None:
    """Put special tokens around a text where the vocabulary has them; ``""`` for none.

    `pair` is what stands around two: `SEGMENTS`, `DOUBLED` or `REPEATED`.
    """
    from tokenizers import processors

    named = [name for name in dict.fromkeys((first, last)) if name]
    ids = [(name, tokenizer.token_to_id(name)) for name in named]
    if all(number is not None for _, number in ids):
        tokenizer.post_processor = processors.TemplateProcessing(
            single=_filled("{first} $A {last}", first, last),
            pair=_filled(pair, first, last),
            special_tokens=ids,
        )


def _filled(template: str, first: str, last: str) -> list[str]:
    """Return the pieces of a template with the names of special tokens in it, if there are any."""
    names = {"{first}": first, "{last}": last}
    pieces = []
    for piece in template.split():
        place, colon, segment = piece.partition(":")
        name = names.get(place, place)
        if name:
            pieces.append(f"{name}{colon}{segment}")
    return pieces
