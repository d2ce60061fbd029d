# SPDX-License-Identifier: Apache-2.0
"""Real weights of other families: the numbers of sentence-transformers and transformers, and use.

all-mpnet-base-v2, multilingual-e5-small, AntiBERTy and SmolLM2; skips what is not on the machine.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mtfreeze as mtf
from support.real_weights import real_folder

pytestmark = [
    pytest.mark.parity,
    pytest.mark.long,
    pytest.mark.usefixtures("torch", "transformers"),
]

TEXTS = [
    "A man is playing a guitar on stage.",
    "Someone performs music with a guitar.",
    "The stock market fell sharply on Monday.",
    "Ein Mann spielt auf der Bühne Gitarre.",
    "",
    "word " * 600,
]


@pytest.mark.filterwarnings("ignore::mtfreeze.TokenizerWarning")
@pytest.mark.parametrize("name", ["mpnet", "e5"])
def test_sentence_models_give_the_vectors_of_sentence_transformers(name: str) -> None:
    library = pytest.importorskip("sentence_transformers", reason="interop needs the library")
    folder = real_folder(name)
    theirs = library.SentenceTransformer(str(folder), device="cpu").encode(
        TEXTS, normalize_embeddings=True
    )
    model = mtf.MultiTaskModel.from_pretrained(folder, normalize=True)
    ours = model.encode(TEXTS)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    paraphrase, stranger = ours[0] @ ours[1], ours[0] @ ours[2]
    assert paraphrase > stranger + 0.05
    if name == "e5":  # a translation is nearer than another subject
        assert ours[0] @ ours[3] > stranger + 0.05


def test_mpnet_trains_with_its_upper_half_and_leaves_the_rest(tmp_path: Any) -> None:
    model = mtf.MultiTaskModel.from_pretrained(real_folder("mpnet"))
    model.add_head("classifier", mtf.SequenceClassification(["music", "money"]))
    model.freeze("backbone[:6]")
    before = {key: values.copy() for key, values in model.parameters().items()}
    rows = [(TEXTS[0], "music"), (TEXTS[1], "music"), (TEXTS[2], "money")] * 4
    run = mtf.fit(
        model, {"classifier": mtf.Task(train=rows)}, epochs=2, batch_size=4, progress=False
    )
    assert run.metrics["train_loss"] < 0.7
    moved = {key for key, values in model.parameters().items() if (values != before[key]).any()}
    assert "backbone.encoder.relative_attention_bias.weight" not in moved
    assert "backbone.encoder.layer.5.output.dense.weight" not in moved
    assert "backbone.encoder.layer.6.output.dense.weight" in moved


HEAVY = (
    "EVQLVESGGGLVQPGGSLRLSCAASGFNIKDTYIHWVRQAPGKGLEWVARIYPTNGYTRYADSVKGRFTISADTSKNTAYLQMNSLRAEDTAVYYC"
    "SRWGGDGFYAMDYWGQGTLVTVSS"
)
LIGHT = (
    "DIQMTQSPSSLSASVGDRVTITCRASQDVNTAVAWYQQKPGKAPKLLIYSASFLYSGVPSRFSGSRSGTDFTLTISSLQPEDFATYYCQQHYTTPP"
    "TFGQGTKVEIK"
)
"""Variable domains of trastuzumab."""
OTHER_HEAVY = (
    "EVQLVQSGPEVKKPGTSVKVSCKASGFTFMSSAVQWVRQARGQRLEWIGWIVIGSGNTNYAQKFQERVTITRDMSTSTAYMELSSLRSEDTAVYYC"
    "AAPYCSSISCNDGFDIWGQGTMVTVS"
)
OTHER_LIGHT = (
    "DVVMTQTPFSLPVSLGDQASISCRSSQSLVHSNGNTYLHWYLQKPGQSPKLLIYKVSNRFSGVPDRFSGSGSGTDFTLKISRVEAEDLGVYFCSQST"
    "HVPYTFGGGTKLEIK"
)
"""The two chains of AntiBERTy's own example."""
PERPLEXITY = 6.096


def test_a_masked_language_model_restores_residues(torch: Any, transformers: Any) -> None:
    folder = real_folder("antiberty")
    model = mtf.MultiTaskModel.from_pretrained(folder, pooling="mean")
    decoder = transformers.BertForMaskedLM.from_pretrained(folder).eval()
    right, total = 0, 0
    for chain in (HEAVY, LIGHT):
        ids = model.encoder.encode_words([list(chain)])
        row = np.asarray(ids.inputs["ids"])
        assert len(row) == len(chain) + 2
        masked = np.tile(row, (len(chain), 1))
        places = np.arange(1, len(chain) + 1)
        masked[np.arange(len(chain)), places] = _mask_id(folder)
        hidden = _hidden(model, masked)
        with torch.no_grad():
            logits = decoder.cls(torch.from_numpy(hidden))[np.arange(len(chain)), places]
            theirs = decoder(torch.from_numpy(masked).long()).logits[np.arange(len(chain)), places]
        assert float((logits - theirs).abs().max()) < 1e-3
        right += int((logits.argmax(-1).numpy() == row[1:-1]).sum())
        total += len(chain)
    assert right / total > 0.8, f"{right} of {total}"


def test_a_masked_language_head_restores_as_many_residues() -> None:
    """The head of the folder itself, asked as users ask."""
    folder = real_folder("antiberty")
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("mlm", from_pretrained=folder)
    right = 0
    for chain in (OTHER_HEAVY, OTHER_LIGHT):
        asked = [" ".join([*chain[:at], "[MASK]", *chain[at + 1 :]]) for at in range(len(chain))]
        found = model.predict("mlm", asked)
        right += sum(one[0][0]["token"] == chain[at] for at, one in enumerate(found))
    assert (right, len(OTHER_HEAVY + OTHER_LIGHT)) == (223, 234)


def _mask_id(folder: Any) -> int:
    return (folder / "vocab.txt").read_text("utf-8").split("\n").index("[MASK]")


def _hidden(model: mtf.MultiTaskModel, rows: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return (rows, length, width) of rows of ids of one length."""
    from mtfreeze.inputs.packing import IDS, TOKENS, PackedBatch

    offsets = np.arange(len(rows) + 1, dtype=np.int64) * rows.shape[1]
    batch = PackedBatch({IDS: rows.astype(np.int32).reshape(-1)}, {TOKENS: offsets})
    (hidden,) = model._core.forward(batch.for_core(), ["hidden"])
    return np.asarray(hidden).reshape(*rows.shape, -1)


def test_a_decoder_from_gguf_has_the_perplexity_of_transformers(
    torch: Any, transformers: Any
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mtf.RoundedWeightsWarning)
        model = mtf.MultiTaskModel.from_pretrained(real_folder("smollm2"))
    params = model.parameters()
    words = params["backbone.embed_tokens.weight"]
    config = transformers.LlamaConfig(
        **{k: v for k, v in model.config.items() if k != "model_type"}
    )
    reference = transformers.LlamaModel(config).eval()
    state = {key.removeprefix("backbone."): torch.tensor(np.array(v)) for key, v in params.items()}
    assert not any(reference.load_state_dict(state, strict=False))
    text = "Paris is the capital of France, and Berlin is the capital of Germany."
    ids = np.array(model.encoder.encode_texts([text]).inputs["ids"])
    (hidden,) = _hidden(model, ids[None])
    with torch.no_grad():
        theirs = reference(torch.from_numpy(ids)[None].long()).last_hidden_state[0].numpy()

    def perplexity(rows: NDArray[np.float32]) -> float:
        logits = torch.from_numpy(rows.astype(np.float64) @ words.T.astype(np.float64))
        targets = torch.from_numpy(ids[1:]).long()
        return float(torch.nn.functional.cross_entropy(logits[:-1], targets).exp())

    assert perplexity(hidden) == pytest.approx(perplexity(theirs), rel=1e-3)
    assert perplexity(hidden) < 20  # 30 and more with rows of queries and keys in llama.cpp's order


def test_a_causal_head_has_that_perplexity_too() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mtf.RoundedWeightsWarning)
        model = mtf.MultiTaskModel.from_pretrained(real_folder("smollm2"))
    model.add_head("lm", mtf.CausalLM())
    text = "Paris is the capital of France, and Berlin is the capital of Germany."
    rows = mtf.Examples.from_texts([text])
    found = mtf.evaluate(model, {"lm": mtf.Task(eval=rows)})
    assert found["eval_lm_perplexity"] == pytest.approx(PERPLEXITY, rel=1e-3)
    best = model.predict("lm", ["Paris is the capital of"])[0]
    assert " France" in [one["token"] for one in best[:2]]
