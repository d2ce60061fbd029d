# SPDX-License-Identifier: Apache-2.0
"""Model cards: plain facts -> ``README.md``, front matter as the Hugging Face hub reads it.

https://huggingface.co/docs/hub/model-cards says what the keys mean; ``model-index`` holds the
figures. A card depends on the facts alone, so the same model has the same card. Its last line has a
digest of the rest: `written_here` tells a card of ours that nobody has changed from any other, and
only such a card is ever replaced.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..closest import counted
from ..printable import printable

__all__ = ["BASE_CARD", "CARD", "CardFacts", "HeadFacts", "card_text", "license_of", "written_here"]

CARD = "README.md"
BASE_CARD = "README.base.md"
"""Where the card goes that a model came with, once the model is another one."""

_LARGEST = 1_000_000
"""Bytes of a card that is read; a longer one is nobody's but the user's."""
_FEW = 12
"""Labels that are listed."""
_MARK = re.compile(r"<!-- card by mtfreeze ([0-9a-f]{32})[^\n]*-->\n\Z")
_FRONT = re.compile(r"---\r?\n(.*?)\r?\n---\r?(?:\n|\Z)", re.S)
_LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,60}")


@dataclass(frozen=True)
class HeadFacts:
    """One head, as a card tells of it.

    Attributes
    ----------
    name, kind : str
        Its name, and its kind as files write it.
    labels : tuple of str
    trained : bool
        Whether a step ever trained it.
    pipeline, auto_class : str
        The hub's name of such a task and the class of transformers for it; ``""``: there is none.
    form : str
        The class of transformers that computes what this head does; ``""``: none does.
    train, eval : tuple of (str, int), optional
        Name and number of the rows that it was trained and judged on by the last run.
    metrics : mapping of str to float
        Its figures on the rows of `eval`, by short names.
    """

    name: str
    kind: str
    labels: tuple[str, ...] = ()
    trained: bool = False
    pipeline: str = ""
    auto_class: str = ""
    form: str = ""
    train: tuple[str, int] | None = None
    eval: tuple[str, int] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CardFacts:
    """What a card says of a model.

    Attributes
    ----------
    place : str
        How the code of the card calls the folder: a path, or its name on the hub.
    family, reads : str
        The backbone's ``model_type``; what it reads, ``"texts"`` or ``"images"``.
    base, commit, license : str
        Name of the model on the hub that training began from, its commit, its licence; ``""``:
        unknown.
    heads : sequence of HeadFacts
    task_model : bool
        Whether the folder is a task model of transformers: one head, nothing of mtfreeze's own.
    with_head : bool
        Whether its main files hold the only head, for the class of transformers that it is.
    for_sentences, for_transformers : bool
        Whether sentence-transformers and ``AutoModel`` load the folder.
    adapter : str
        The kind of adapter that lies beside the weights; ``""``: none.
    state : str
        What is frozen and what trains now, in a line.
    phases : sequence of str
        The same of each phase of the last run; empty where the weights are not as it left them.
    verdict : str
        What that run found of the frozen tensors.
    steps : str
        How many steps it took.
    """

    place: str
    family: str
    reads: str
    base: str = ""
    commit: str = ""
    license: str = ""
    heads: Sequence[HeadFacts] = ()
    task_model: bool = False
    with_head: bool = False
    for_sentences: bool = False
    for_transformers: bool = False
    adapter: str = ""
    state: str = ""
    phases: Sequence[str] = ()
    verdict: str = ""
    steps: str = ""


def written_here(data: bytes) -> bool:
    """Say whether a card was written by `card_text` and not changed since.

    Examples
    --------
    >>> card = card_text(CardFacts(".", "bert", "texts")).encode()
    >>> written_here(card), written_here(card.replace(b"frozen", b"warm")), written_here(b"notes")
    (True, False, False)
    """
    if len(data) > _LARGEST:
        return False
    text = data.decode("utf-8", "replace")
    found = _MARK.search(text)
    return found is not None and found[1] == _digest(text[: found.start()])


def license_of(card: bytes) -> str:
    """Return the licence that the front matter of a card names; ``""``: it names none.

    Examples
    --------
    >>> license_of(b"---\\nlicense: apache-2.0\\n---\\n# A model")
    'apache-2.0'
    """
    found = _FRONT.match(card[:_LARGEST].decode("utf-8", "replace").removeprefix("\ufeff"))
    for line in found[1].splitlines() if found else ():
        key, _, value = line.partition(":")
        name = value.strip().strip("'\"")
        if key == "license" and _LICENSE.fullmatch(name):
            return name
    return ""


def card_text(facts: CardFacts) -> str:
    """Return the card."""
    import yaml

    front = yaml.safe_dump(_front(facts), sort_keys=False, allow_unicode=True, width=100)
    parts = [_title(facts), *_training(facts), *_heads(facts), *_loading(facts)]
    text = f"---\n{front}---\n" + "".join(f"\n{part}\n" for part in parts) + "\n"
    why = "written anew when the model is saved, unless you change it"
    return f"{text}<!-- card by mtfreeze {_digest(text)}: {why} -->\n"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).hexdigest()


def _front(facts: CardFacts) -> dict[str, Any]:
    """Return the front matter; of figures what is a number."""
    only = facts.heads[0] if len(facts.heads) == 1 else None
    front: dict[str, Any] = {"license": facts.license} if facts.license else {}
    front |= {"library_name": "transformers" if facts.task_model else "mtfreeze"}
    if only is not None and only.pipeline:
        front["pipeline_tag"] = only.pipeline
    if facts.base:
        front["base_model"] = printable(facts.base)
    pipelines = [head.pipeline for head in facts.heads if head.pipeline]
    tags = ["mtfreeze", *(["sentence-transformers"] if facts.for_sentences else []), facts.family]
    front["tags"] = list(dict.fromkeys([*tags, *pipelines]))
    results = [one for one in map(_result, facts.heads) if one["metrics"]]
    if results:
        front["model-index"] = [{"name": _name(facts), "results": results}]
    return front


def _result(head: HeadFacts) -> dict[str, Any]:
    """Return the figures of a head as an entry of ``model-index``."""
    name, n_rows = head.eval if head.eval is not None else ("", 0)
    metrics = [
        {
            "type": metric,
            "name": f"{metric} ({head.name}, {counted(n_rows, 'row')})",
            "value": value,
        }
        for metric, value in head.metrics.items()
        if math.isfinite(value)
    ]
    data = printable(name) or "eval"
    return {
        "task": {"type": head.pipeline or head.kind, "name": printable(head.name)},
        "dataset": {"type": data, "name": data},
        "metrics": metrics,
    }


def _name(facts: CardFacts) -> str:
    base = printable(facts.base).rpartition("/")[2] or facts.family
    return "-".join([base, *(printable(head.name) for head in facts.heads)])


def _code(text: object) -> str:
    """Return a text as code in Markdown, on one line."""
    return "`" + printable(text).replace("`", "'") + "`"


def _cell(text: object) -> str:
    """Return a text as code in a table."""
    return _code(text).replace("|", "\\|")


def _quote(text: object) -> str:
    """Return a text as a string of Python."""
    return json.dumps(printable(text), ensure_ascii=False)


def _title(facts: CardFacts) -> str:
    of = f"[{printable(facts.base)}](https://huggingface.co/{facts.base})" if facts.base else ""
    at = f" at commit {_code(facts.commit)}" if facts.commit else ""
    began = f" It began as {of}{at}." if of else ""
    what = f"a {facts.family} backbone that reads {facts.reads}"
    n = len(facts.heads)
    heads = f", with {counted(n, 'head')}" if n else ", without heads"
    written = "A task model of transformers, from" if facts.task_model else "A model of"
    about = f"{written} mtfreeze: {what}{heads}.{began}"
    return f"# {_name(facts)}\n\n{about}"


def _training(facts: CardFacts) -> list[str]:
    """Return what was frozen, and what the digests of the tensors say of it."""
    lines = ["## What was frozen"]
    if facts.phases:
        named = [f"- phase {i}: {_code(line)}" for i, line in enumerate(facts.phases, 1)]
        lines += ["", f"The last run took {facts.steps}.", "", *named, ""]
        lines += [f"By a digest of every tensor before and after: {printable(facts.verdict)}."]
    else:
        lines += ["", "No run of mtfreeze is on record that left the weights as they are."]
    if not facts.task_model:
        lines += ["", f"As it was saved: {_code(facts.state)}."]
        lines += ["`freeze_report.json` has the digest of each tensor; `mtfreeze verify` compares."]
    return ["\n".join(lines)]


def _heads(facts: CardFacts) -> list[str]:
    """Return the table of heads: what they tell, from which rows, how well."""
    if not facts.heads:
        return []
    rows = [
        "## Heads",
        "",
        "| head | kind | labels | trained on | judged on | figures |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for head in facts.heads:
        few = ", ".join(_cell(label) for label in head.labels[:_FEW])
        more = len(head.labels) - _FEW
        labels = f"{few} and {more} more" if more > 0 else few
        figures = ", ".join(f"{name} {value:.4f}" for name, value in head.metrics.items())
        trained = _rows(head.train) or ("not on record" if head.trained else "never trained")
        cells = (_cell(head.name), head.kind, labels, trained, _rows(head.eval), figures)
        rows.append(f"| {' | '.join(cells)} |")
    return ["\n".join(rows)]


def _rows(data: tuple[str, int] | None) -> str:
    return "" if data is None else f"{_cell(data[0])}, {counted(data[1], 'row')}"


def _loading(facts: CardFacts) -> list[str]:
    """Return how other programs load the folder, and what of it they do not see."""
    place = _quote(facts.place)
    if facts.task_model:
        (head,) = facts.heads
        lines = _transformers(place, head.auto_class, facts.reads)
        ours = f"model.add_head({_quote(head.name)}, from_pretrained={place})"
        lines += ["", "In mtfreeze, as a head of a model of this backbone:", "", *_python(ours)]
        return ["\n".join(["## Loading it", "", *lines])]
    inputs = "[picture]" if facts.reads == "images" else '["a text"]'
    load = ["import mtfreeze as mtf", "", f"model = mtf.MultiTaskModel.from_pretrained({place})"]
    load += [f"model.predict({_quote(head.name)}, {inputs})" for head in facts.heads[:1]]
    lines = ["## Loading it", "", *_python(*load)]
    if facts.adapter:
        lines += ["", f"The adapter ({facts.adapter}) lies in a file that other programs do not"]
        lines += ["read: `model.merge_lora()` or `model.save_adapter(folder)` before leaving."]
    if facts.for_sentences:
        code = ["from sentence_transformers import SentenceTransformer", ""]
        code += [f"SentenceTransformer({place}).encode({inputs})"]
        lines += ["", "The encoder alone, without heads, in sentence-transformers:", ""]
        lines += _python(*code)
    if facts.for_transformers:
        lines += ["", "The backbone alone, in transformers:", ""]
        lines += _transformers(place, "AutoModel", facts.reads)[2:]
    for head in facts.heads:
        if facts.with_head:
            lines += ["", f"With the head {_code(head.name)}, as {_code(head.form)}:", ""]
            lines += _transformers(place, head.auto_class, facts.reads)[2:]
        elif head.form:
            saved = f'model.save_pretrained("folder", head={_quote(head.name)})'
            lines += ["", f"With the head {_code(head.name)}, as {_code(head.form)}:", ""]
            lines += _python(saved)
    named = ", ".join(_quote(head.name) for head in facts.heads)
    exported = f'model.export_onnx("folder", heads=[{named}])'
    lines += ["", "In ONNX, with any head:", "", *_python(exported)]
    return ["\n".join(lines)]


def _python(*lines: str) -> list[str]:
    return ["```python", *lines, "```"]


def _transformers(place: str, auto_class: str, reads: str) -> list[str]:
    reader = "AutoImageProcessor" if reads == "images" else "AutoTokenizer"
    code = [f"from transformers import {reader}, {auto_class}", ""]
    code += [f"reader = {reader}.from_pretrained({place})"]
    code += [f"model = {auto_class}.from_pretrained({place})"]
    return ["In transformers:", "", *_python(*code)]
