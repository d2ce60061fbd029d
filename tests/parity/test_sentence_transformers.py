# SPDX-License-Identifier: Apache-2.0
"""A saved folder must load elsewhere: SentenceTransformer and AutoModel give the same vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    import mtfreeze as mtf

pytestmark = pytest.mark.real

TEXTS = [
    "The battery died after a week.",
    "",
    "a",
    "Wow... Loved this place!",
    "naïve café 日本 😀 e-mail@example.com",
    "word " * 400,
]


@pytest.fixture
def saved(minilm_shared: mtf.MultiTaskModel, tmp_path: Path) -> tuple[mtf.MultiTaskModel, Path]:
    """Return a trained-looking model and the folder that it was saved to."""
    import mtfreeze as mtf

    model = minilm_shared.copy()
    model.add_head("classifier", mtf.SequenceClassification(labels=["negative", "positive"]))
    key = "backbone.encoder.layer.5.output.dense.weight"
    model.set_parameter(key, np.asarray(model.parameters()[key]) * np.float32(1.01))
    model.freeze("backbone[:3]")
    model.save_pretrained(tmp_path / "saved")
    return model, tmp_path / "saved"


def test_sentence_transformer_encodes_the_same(
    saved: tuple[mtf.MultiTaskModel, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    library = pytest.importorskip("sentence_transformers", reason="interop needs the library")
    model, folder = saved
    theirs = library.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(model.encode(TEXTS), theirs, rtol=0, atol=1e-5)


def test_auto_model_gives_the_same_hidden_states(
    saved: tuple[mtf.MultiTaskModel, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch = pytest.importorskip("torch", reason="interop needs torch")
    transformers = pytest.importorskip("transformers", reason="interop needs transformers")
    model, folder = saved
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    text = TEXTS[0]
    with torch.no_grad():
        theirs = network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].numpy()
    ours = model.forward([text], outputs=["hidden"])["hidden"]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_comes_back_with_heads_and_freezing(saved: tuple[mtf.MultiTaskModel, Path]) -> None:
    import mtfreeze as mtf

    model, folder = saved
    again = mtf.MultiTaskModel.from_pretrained(folder)
    np.testing.assert_array_equal(model.encode(TEXTS), again.encode(TEXTS))
    assert model.predict("classifier", TEXTS) == again.predict("classifier", TEXTS)
    for unit in ("backbone.embeddings", "backbone.layers[2]", "backbone.layers[3]", "classifier"):
        assert model.trainable(unit) == again.trainable(unit), unit
