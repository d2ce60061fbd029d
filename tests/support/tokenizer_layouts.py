# SPDX-License-Identifier: Apache-2.0
"""Model folders that say the same, or not, of their tokenizer in as many files as people have.

A layout is which files there are and what each says: the vocabulary in vocab.txt, tokenizer.json or
both; cased or not, by either file; added tokens in each of the places; special tokens renamed;
class names. `random_layout` draws one, `write_layout` writes it. The vocabulary has capitals,
accents and Chinese characters, so that every setting changes ids.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.tiny_bert import write_json

__all__ = [
    "TEXTS",
    "Layout",
    "pieces_of",
    "random_layout",
    "write_byte_pairs",
    "write_layout",
    "write_unigram",
]

ROLES = ("unk", "sep", "pad", "cls", "mask")
ADDED = ("[E1]", "newword", "Two words", "<x>")

TEXTS = [
    "The café in Paris: PARIS, paris, Café!",
    "[E1] newword Newword NEWWORD a<x>b Two words two words",
    "x [MASK] [CLS] [PAD] [UNK] <mask> <s> y",
    "漢字 a漢b 字",
    "É e\u0301 Ünïcode \u200b\ufeff\x00 a\u00a0b a\u3000b",
    "",
    " ",
    "a" * 101,
    "the " * 40 + "end",
    "[E1][E1] a[E1]b <x><x> [ E1 ] thenewword",
]


@dataclass
class Layout:
    """What a folder's files say.

    Attributes
    ----------
    names : dict of str to str
        Special tokens by role.
    vocabulary : tuple of str
        Those of "vocab.txt" and "tokenizer.json" that there are.
    own : dict
        lowercase, strip_accents, handle_chinese_chars of tokenizer.json.
    config, special, added : dict or None
        tokenizer_config.json, special_tokens_map.json, added_tokens.json; None: no such file.
    own_added : list of dict
        Tokens that tokenizer.json adds, beside the special ones.
    model_class : str or None
        ``tokenizer_class`` of ``config.json``.
    """

    names: dict[str, str]
    vocabulary: tuple[str, ...]
    own: dict[str, Any]
    config: dict[str, Any] | None = None
    special: dict[str, Any] | None = None
    added: dict[str, int] | None = None
    own_added: list[dict[str, Any]] = field(default_factory=list)
    model_class: str | None = None


def pieces_of(names: dict[str, str]) -> list[str]:
    """Return the pieces of the vocabulary, special tokens first."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = "the The cafe café Café paris Paris PARIS new ##word new ##words word end two Two words"
    pieces = [names[role] for role in ("pad", "unk", "cls", "sep", "mask")]
    pieces += [*letters, *letters.upper(), *"éÉüï漢字[]<>!:,漢"]
    pieces += ["##" + one for one in letters + "漢字"] + words.split() + ["漢字"]
    return list(dict.fromkeys(pieces))


def random_layout(rng: random.Random) -> Layout:
    """Draw a layout; about half of them hold together."""
    names = {role: f"[{role.upper()}]" for role in ROLES}
    if rng.random() < 0.25:
        names["mask"] = "<mask>"
    if rng.random() < 0.2:
        names |= {"cls": "<s>", "sep": "</s>"}
    n_pieces = len(pieces_of(names))
    settings = {
        "do_lower_case": rng.random() < 0.5,
        "strip_accents": rng.choice([None, None, True, False]),
        "tokenize_chinese_chars": rng.random() < 0.7,
    }
    said = dict(settings)
    if rng.random() < 0.3:  # another value in tokenizer.json
        key = rng.choice(list(said))
        said[key] = not said[key]
    layout = Layout(
        names,
        rng.choice([("vocab.txt",), ("tokenizer.json",), ("vocab.txt", "tokenizer.json")]),
        {
            "lowercase": said["do_lower_case"],
            "strip_accents": said["strip_accents"],
            "handle_chinese_chars": said["tokenize_chinese_chars"],
        },
    )
    texts = rng.sample(ADDED, rng.randint(0, 3)) if rng.random() < 0.6 else []
    tokens = [
        {
            "id": n_pieces + i,
            "content": text,
            "single_word": rng.random() < 0.3,
            "lstrip": rng.random() < 0.3,
            "rstrip": rng.random() < 0.3,
            "normalized": rng.random() < 0.5,
            "special": rng.random() < 0.3,
        }
        for i, text in enumerate(texts)
    ]
    if rng.random() < 0.6 or not tokens:
        layout.own_added = tokens
    if rng.random() < 0.85:
        _draw_config(layout, settings, tokens, rng)
    if rng.random() < 0.5:
        layout.special = {
            f"{role}_token": (
                {"content": name, "lstrip": role == "mask", "rstrip": False, "normalized": False}
                if rng.random() < 0.4
                else name
            )
            for role, name in names.items()
        }
        if texts and rng.random() < 0.4:
            layout.special["additional_special_tokens"] = texts[:1]
    if tokens and rng.random() < 0.4:
        layout.added = {token["content"]: token["id"] for token in tokens}
        if rng.random() < 0.2:
            layout.added[texts[0]] += 3
    if layout.config is None or "tokenizer_class" not in layout.config:
        layout.model_class = rng.choice([None, None, "BertTokenizer", "BertTokenizerFast"])
    return layout


def _draw_config(
    layout: Layout, settings: dict[str, Any], tokens: list[dict[str, Any]], rng: random.Random
) -> None:
    """Draw tokenizer_config.json."""
    config: dict[str, Any] = {key: v for key, v in settings.items() if rng.random() < 0.85}
    if rng.random() < 0.8:
        config |= {f"{role}_token": name for role, name in layout.names.items()}
    if rng.random() < 0.8:
        config["tokenizer_class"] = rng.choice(
            ["BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "ElectraTokenizerFast"]
            + ["PreTrainedTokenizerFast", "TokenizersBackend"]
            + ["BertJapaneseTokenizer"] * (rng.random() < 0.2)
        )
    if rng.random() < 0.4:
        numbers = {piece: i for i, piece in enumerate(pieces_of(layout.names))}
        listed = {
            str(numbers[name]): {"content": name, "normalized": False, "special": True}
            for name in layout.names.values()
        }
        flags = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
        listed |= {str(t["id"]): {key: t[key] for key in flags} for t in tokens}
        config["added_tokens_decoder"] = listed
    if tokens and rng.random() < 0.3:
        key = rng.choice(["additional_special_tokens", "extra_special_tokens"])
        config[key] = [token["content"] for token in tokens[:2]]
    if rng.random() < 0.2:
        config["image_token"] = rng.choice(["<image>", "the"])
    if rng.random() < 0.5:
        config["model_max_length"] = rng.choice([20, 1e30, int(1e30), 512])
    if rng.random() < 0.2:
        config["truncation_side"] = rng.choice(["left", "right"])
    if rng.random() < 0.1:
        config["split_special_tokens"] = True
    layout.config = config


def write_layout(folder: Path, layout: Layout) -> int:
    """Write a layout's files, ``config.json`` among them; return how many ids the model has."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = pieces_of(layout.names)
    numbers = {piece: number for number, piece in enumerate(pieces)}
    folder.mkdir(parents=True, exist_ok=True)
    size = len(pieces) + 8
    model = {"model_type": "bert", "vocab_size": size, "tokenizer_class": layout.model_class}
    write_json(folder / "config.json", {key: v for key, v in model.items() if v is not None})
    if "vocab.txt" in layout.vocabulary:
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    if "tokenizer.json" in layout.vocabulary:
        unk = layout.names["unk"]
        tokenizer: Any = Tokenizer(models.WordPiece(numbers, unk_token=unk))
        tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, **layout.own)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        first, last = layout.names["cls"], layout.names["sep"]
        tokenizer.post_processor = processors.BertProcessing(
            (last, numbers[last]), (first, numbers[first])
        )
        tokenizer.add_special_tokens(list(layout.names.values()))
        flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
        for token in layout.own_added:
            chosen = {key: token[key] for key in flags}
            tokenizer.add_tokens([AddedToken(token["content"], **chosen)])
        tokenizer.enable_truncation(16)
        tokenizer.enable_padding(length=16)
        tokenizer.save(str(folder / "tokenizer.json"))
    for name, values in (
        ("tokenizer_config.json", layout.config),
        ("special_tokens_map.json", layout.special),
        ("added_tokens.json", layout.added),
    ):
        if values is not None:
            (folder / name).write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    return size


def write_unigram(folder: Path, steps: list[dict[str, Any]], config: dict[str, Any]) -> int:
    """Write a BERT folder with the tokenizer of XLM-RoBERTa; return how many ids the model has.

    Parameters
    ----------
    folder : Path
        Where to.
    steps : list of dict
        Steps of the normalizer in tokenizer.json.
    config : dict
        tokenizer_config.json.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    pieces = ["<s>", "<pad>", "</s>", "<unk>"]
    letters = "abcdefghijklmnopqrstuvwxyzTPAIRSCE\u00e9\u6f22[]<>"
    pieces += [
        "\u2581",
        *letters,
        *("\u2581" + word for word in ("the", "Paris", "end", "caf\u00e9")),
    ]
    pieces += ["<mask>"]
    scores = [(piece, -float(i % 7) - 1 if i > 3 else 0.0) for i, piece in enumerate(pieces)]
    tokenizer: Any = Tokenizer(models.Unigram(scores, unk_id=3, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace("\u2581", "always")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.add_special_tokens([*pieces[:4], "<mask>"])
    content = json.loads(tokenizer.to_str())
    if steps:
        content["normalizer"] = {"type": "Sequence", "normalizers": steps}
    write_json(folder / "tokenizer.json", content)
    write_json(folder / "tokenizer_config.json", config)
    size = len(pieces) + 4
    model = {"model_type": "bert", "vocab_size": size, "tokenizer_class": "XLMRobertaTokenizer"}
    write_json(folder / "config.json", model)
    return size


def write_byte_pairs(folder: Path, kind: str = "RobertaTokenizer") -> None:
    """Write vocab.json, merges.txt and tokenizer_config.json of a small byte-level vocabulary."""
    from tokenizers import pre_tokenizers

    names = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = ["t h", "th e", "\u0120 the", "c a", "ca t", "\u0120 cat"]
    names += ["".join(pair.split()) for pair in merges] + ["<mask>"]
    write_json(folder / "vocab.json", {name: i for i, name in enumerate(names)})
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": kind})
