# SPDX-License-Identifier: Apache-2.0
"""Every family against transformers: hidden states, pooled vectors, every gradient, files.

Texts of one token to the longest allowed, in one batch. Weights are seeded; a tiny model, an odd
one (one layer, one head, a width that is no multiple of 16) and a larger one of each family.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tolerances import ERROR_RATIO, FORWARD_ABS, forward_fault, gradient_faults

import mtfreeze as mtf
from mtfreeze.inputs.packing import IDS, TOKEN_TYPES, TOKENS, PackedBatch
from support.families import CASES, NAMES, load_family, write_family
from support.texts import SENTENCES

if TYPE_CHECKING:
    from family_reference import FamilyReference

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("torch", "transformers")]

WEIGHTS = {"classifier": 1.0, "ner_head": 0.7}
SIZES = ["tiny", *(pytest.param(size, marks=pytest.mark.long) for size in ("odd", "larger"))]


class Pair:
    """A model of a family here and in transformers, and a batch of ids."""

    def __init__(self, folder: Path, name: str, size: str) -> None:
        self.case = CASES[name]
        changes = {"tiny": {}, "odd": self.case.odd, "larger": self.case.larger}[size]
        scale = 0.03 if size == "larger" else 0.1
        self.folder = write_family(folder / name, name, seed=3, scale=scale, **changes)
        self.model = load_family(self.folder)
        inputs = {info.name: info for info in self.model._core.inputs()}
        space = inputs["ids"].space
        longest = next(s.max_length for s in self.model._core.spaces() if s.name == space)
        rng = np.random.default_rng(5)
        self.pad = int(self.case.config.get("pad_token_id", 0))
        lengths = (7, 1, 2, longest, 19)
        self.rows = [self._ids(rng, n, inputs["ids"].limit) for n in lengths]
        self.types = None
        if "token_types" in inputs:
            limit = inputs["token_types"].limit
            self.types = [rng.integers(0, limit, n).astype(np.int32) for n in lengths]
        self.labels = {
            "classifier": rng.integers(0, 2, len(lengths)).astype(np.int32),
            "ner_head": rng.integers(0, 5, sum(lengths)).astype(np.int32),
        }

    def _ids(self, rng: Any, n: int, limit: int) -> NDArray[np.int32]:
        """Draw ids without the padding, whose row torch gives no gradient."""
        ids = rng.integers(0, limit - 1, n).astype(np.int32)
        return np.where(ids >= self.pad, ids + 1, ids).astype(np.int32)

    def reference(self, dtype: str) -> FamilyReference:
        """Return the model in transformers; `dtype` is "float32" or "float64"."""
        from family_reference import FamilyReference

        params = self.model.parameters()
        heads = {name: (params[f"{name}.weight"], params[f"{name}.bias"]) for name in WEIGHTS}
        return FamilyReference(self.folder, self.model.index.family, heads, dtype)

    def expected(self, dtype: str) -> dict[str, NDArray[Any]]:
        found = self.reference(dtype).outputs(self.rows, self.types)
        return {name: values.detach().numpy() for name, values in found.items()}

    def batch(self) -> Any:
        """Return the ids with what else the model reads."""
        inputs = {IDS: np.concatenate(self.rows)}
        if self.types is not None:
            inputs[TOKEN_TYPES] = np.concatenate(self.types)
        offsets = np.cumsum([0, *map(len, self.rows)]).astype(np.int64)
        return PackedBatch(inputs, {TOKENS: offsets}).for_core()

    def outputs(self, names: list[str]) -> dict[str, NDArray[np.float32]]:
        return dict(zip(names, self.model._core.forward(self.batch(), names), strict=True))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_gradients(name: str, size: str, tmp_path: Path) -> None:
    pair = Pair(tmp_path, name, size)
    theirs = pair.expected("float32")
    exact = pair.expected("float64") if size == "larger" else theirs
    ours = pair.outputs([one for one in theirs if one != "pooler"])
    n_states = sum(one.startswith("hidden_states.") for one in theirs)
    assert n_states == sum(
        info.name.startswith("hidden_states.") for info in pair.model._core.outputs()
    )
    faults = []
    for output, values in ours.items():
        limit = FORWARD_ABS
        if size == "larger":
            # What is made of hidden states averages their errors, and may be as wrong as they are.
            made_of = {output} if output.startswith("hidden_states.") else {output, "hidden"}
            apart = [float(np.abs(theirs[one] - exact[one]).max()) for one in made_of]
            limit = ERROR_RATIO * max(apart)
        faults.append(forward_fault(output, values, exact[output], limit))
    losses = [(head, pair.labels[head], weight) for head, weight in WEIGHTS.items()]
    means, _ = pair.model._core.train_gradients(
        pair.batch(), losses, token_budget=4096, dropout=False
    )
    found = {key: pair.model._core.gradient(i) for i, key in enumerate(pair.model.param_keys)}
    dtype = "float64" if size == "larger" else "float32"
    loss, expected = pair.reference(dtype).gradients(pair.rows, pair.types, pair.labels, WEIGHTS)
    assert sum(w * m for w, m in zip(WEIGHTS.values(), means, strict=True)) == pytest.approx(
        loss, rel=1e-5
    )
    faults += gradient_faults({k: v for k, v in found.items() if v is not None}, expected)
    assert not any(faults), "\n".join(filter(None, faults))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_padding_within_a_text(name: str, tmp_path: Path) -> None:
    """A literal ``<pad>`` is a token like others, at the position that transformers gives it."""
    pair = Pair(tmp_path, name, "tiny")
    for row in pair.rows:
        row[1::3] = pair.pad
    theirs = pair.expected("float32")
    ours = pair.outputs(["hidden_states.0", "hidden"])
    faults = [forward_fault(output, ours[output], theirs[output]) for output in ours]
    assert not any(faults), "\n".join(filter(None, faults))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_its_own_pooler(name: str, tmp_path: Path) -> None:
    pair = Pair(tmp_path, name, "tiny")
    if not pair.model.index.family.pooler:
        with pytest.raises(mtf.ConfigError, match="have no pooler"):
            load_family(pair.folder, pooling="pooler")
        return
    theirs = pair.expected("float32")["pooler"]
    pair.model = load_family(pair.folder, pooling="pooler", normalize=False)
    fault = forward_fault("pooled", pair.outputs(["pooled"])["pooled"], theirs)
    assert fault is None, fault


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_saved_folders_load_elsewhere_with_the_same_numbers(name: str, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    model = load_family(write_family(tmp_path / "in", name))
    saved = model.save_pretrained(tmp_path / "out")
    theirs, info = AutoModel.from_pretrained(saved, output_loading_info=True)
    assert not info["missing_keys"] and not info["mismatched_keys"]
    tokenizer = AutoTokenizer.from_pretrained(saved)
    found = model.forward(SENTENCES, ["hidden"])
    for i, text in enumerate(SENTENCES):
        given = tokenizer(text, return_tensors="pt", truncation=True, max_length=40)
        rows = theirs.eval()(**given).last_hidden_state[0].detach().numpy()
        mine = found["hidden"][found["offsets"][i] : found["offsets"][i + 1]]
        fault = forward_fault(text, mine, rows)
        assert fault is None, fault


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_sentence_transformers_loads_what_is_saved(name: str, tmp_path: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = load_family(write_family(tmp_path / "in", name))
    saved = model.save_pretrained(tmp_path / "out")
    theirs = sentence_transformers.SentenceTransformer(str(saved), device="cpu").encode(SENTENCES)
    fault = forward_fault("embedding", model.encode(SENTENCES), np.asarray(theirs))
    assert fault is None, fault
