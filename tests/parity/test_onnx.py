# SPDX-License-Identifier: Apache-2.0
"""Exports run by ONNX Runtime against the core: every family, pooling and module.

Texts of one token to the longest allowed, padded on either side. fp32 is held to 1e-4; int8 to
cosines, which is what vectors are compared by.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mtfreeze as mtf
from support.families import CASES, NAMES, load_family, write_family
from support.kinds_of_heads import KINDS_OF_HEADS
from support.onnx_runs import core_batch, random_rows, run_onnx
from support.sentence_folders import MODES, dense, write_sentence_folder
from support.texts import SENTENCES, TAGS

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("onnxruntime")]

EXACT = 1e-4
"""Largest difference of an output in fp32; it is a few roundings, about 3e-6."""

INT8_COSINE = 0.99
"""Least cosine of a text's vectors with products in int8; of random weights and three layers it is
0.996 and more, of all-MiniLM-L6-v2 see the test below."""

QUICK = ("bert", "deberta-v2", "llama", "modernbert", "mpnet")
"""Families that have all operations between them."""
MODELS = [
    pytest.param(name, size, marks=[] if size == "tiny" and name in QUICK else [pytest.mark.long])
    for name in NAMES
    for size in ("tiny", "odd")
]


@pytest.fixture(scope="module")
def onnxruntime() -> Any:
    pytest.importorskip("onnx")
    return pytest.importorskip("onnxruntime", reason="exports are run by onnxruntime")


def longest(model: mtf.MultiTaskModel) -> int:
    return next(info.max_length for info in model._core.spaces() if info.name == "tokens")


def expected(model: mtf.MultiTaskModel, rows: Any, names: dict[str, str]) -> dict[str, Any]:
    """Return what the core computes, by the names in the file."""
    found = model._core.forward(core_batch(rows), list(names.values()))
    return dict(zip(names, found, strict=True))


def faults(found: dict[str, Any], wanted: dict[str, Any], limit: float = EXACT) -> list[str]:
    assert set(found) == set(wanted)
    apart = {name: float(np.abs(found[name] - wanted[name]).max()) for name in wanted}
    return [f"{name}: {one:.1e}" for name, one in apart.items() if not one <= limit]


def least_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


@pytest.mark.parametrize(("name", "size"), MODELS)
def test_a_family(name: str, size: str, tmp_path: Path) -> None:
    import onnx

    changes = CASES[name].odd if size == "odd" else {}
    model = load_family(write_family(tmp_path / "model", name, seed=3, **changes))
    model.add_head("score", mtf.Regression(features="embedding"))
    for head in ("classifier", "ner_head", "score"):  # drawn weights are too small to be seen
        weight = model.parameters()[f"{head}.weight"]
        model.set_parameter(f"{head}.weight", 20 * weight)
    folder = model.export_onnx(tmp_path / "out", heads=["classifier", "ner_head", "score"])
    rows = random_rows(model, [7, 1, 2, longest(model), 19])
    wanted = expected(
        model,
        rows,
        {
            "token_embeddings": "hidden",
            "sentence_embedding": "embedding",
            "classifier_logits": "classifier",
            "ner_head_logits": "ner_head",
            "score_logits": "score",
        },
    )
    for side in ("right", "left"):
        assert not faults(run_onnx(folder / "onnx" / "model.onnx", rows, side), wanted), side
    quantized = folder / "onnx" / "model_quantized.onnx"
    found = run_onnx(quantized, rows)
    assert found.keys() == wanted.keys()
    vectors = found["sentence_embedding"], wanted["sentence_embedding"]
    assert INT8_COSINE < least_cosine(*vectors) < 1 - 1e-7
    for file in (folder / "onnx").iterdir():
        onnx.checker.check_model(str(file), full_check=True)


@pytest.mark.parametrize("pooling", [*MODES, "cls+mean"])
def test_a_pooling(pooling: str, tmp_path: Path) -> None:
    """Of the model and of a head alike."""
    place = write_sentence_folder(tmp_path / "model", pooling=pooling)
    model = mtf.MultiTaskModel.from_pretrained(place)
    model.add_head("one", mtf.SequenceClassification(["a", "b"], hidden=(8,), pooling=pooling))
    rows = random_rows(model, [3, 1, 12])
    names = {"token_embeddings": "hidden", "sentence_embedding": "embedding", "logits": "one"}
    wanted = expected(model, rows, names)
    folder = model.export_onnx(tmp_path / "out", ["one"])
    for side in ("right", "left"):
        assert not faults(run_onnx(folder / "onnx" / "model.onnx", rows, side), wanted), side


def test_dense_modules_and_the_pooler(tmp_path: Path) -> None:
    modules = [dense(48, 24, "gelu"), dense(24, 24, "none", use_residual=True)]
    place = write_sentence_folder(tmp_path / "model", modules=modules, normalize=True)
    names = {"token_embeddings": "hidden", "sentence_embedding": "embedding"}
    for model in (
        mtf.MultiTaskModel.from_pretrained(place),
        load_family(write_family(tmp_path / "bert", "bert"), heads=False, pooling="pooler"),
    ):
        rows = random_rows(model, [3, 1, 12])
        folder = model.export_onnx(tmp_path / "out")
        found = run_onnx(folder / "onnx" / "model.onnx", rows)
        assert not faults(found, expected(model, rows, names))


def test_a_prompt_that_is_not_pooled(tmp_path: Path) -> None:
    place = write_sentence_folder(
        tmp_path / "model", include_prompt=False, prompts={"query": "find "}, normalize=True
    )
    model = mtf.MultiTaskModel.from_pretrained(place)
    file = model.export_onnx(tmp_path / "out") / "onnx" / "model.onnx"
    rows = random_rows(model, [3, 1, 12])
    for skipped in (0, 2, 5):
        batch = core_batch(rows)
        batch["inputs"] = {**batch["inputs"], "skip": np.full(3, skipped, np.int32)}
        wanted = dict(
            zip(
                ["token_embeddings", "sentence_embedding"],
                model._core.forward(batch, ["hidden", "embedding"]),
                strict=True,
            )
        )
        more = {"prompt_length": np.array([skipped])} if skipped else {}
        assert not faults(run_onnx(file, rows, **more), wanted), skipped


def test_a_plain_folder_gives_its_last_hidden_state(tmp_path: Path) -> None:
    place = write_family(tmp_path / "model", "bert")
    (place / "modules.json").unlink()
    model = mtf.MultiTaskModel.from_pretrained(place)
    model.add_head("tags", mtf.TokenClassification(TAGS))
    folder = model.export_onnx(tmp_path / "out", ["tags"])
    rows = random_rows(model, [3, 1, 12])
    names = {"last_hidden_state": "hidden", "logits": "tags"}
    found = run_onnx(folder / "onnx" / "model.onnx", rows)
    assert not faults(found, expected(model, rows, names))


def all_rows(model: mtf.MultiTaskModel, rows: Any) -> Any:
    """Return rows as the core takes them, every token picked, every two texts a pair."""
    batch = core_batch(rows)
    lengths = [len(row) for row in rows["ids"]]
    spaces = {info.name for info in model._core.spaces()}
    if "picked" in spaces:
        places = np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])
        batch["inputs"] = {**batch["inputs"], "picked.positions": places}
        batch["offsets"] = {**batch["offsets"], "picked": batch["offsets"]["tokens"]}
    if "pairs" in spaces:
        begins = np.cumsum([0, *((i + 1) % 2 for i in range(len(lengths)))]).astype(np.int64)
        batch["offsets"] = {**batch["offsets"], "pairs": begins}
    return batch


CASES_OF_HEADS = [
    pytest.param(kind, i, id=f"{kind}-{i}")
    for kind, one in KINDS_OF_HEADS.items()
    if one.families != ("detr",)  # models of images are not written
    for i in range(len(one.specs))
]


@pytest.mark.parametrize(("kind", "i"), CASES_OF_HEADS)
def test_a_kind_of_head(kind: str, i: int, tmp_path: Path) -> None:
    sample = KINDS_OF_HEADS[kind]
    folder = write_family(tmp_path / "model", sample.families[0], seed=3)
    model = load_family(folder, heads=False)
    model.add_head("one", sample.specs[i])
    for key, values in model.parameters().items():
        if key.startswith("one."):  # drawn weights are too small to be seen
            noise = np.random.default_rng(1).standard_normal(values.shape)
            model.set_parameter(key, values + 0.3 * noise)
    rows = random_rows(model, [7, 3, 12, 2])
    wanted = model._core.forward(all_rows(model, rows), ["one"])[0]
    found = run_onnx(model.export_onnx(tmp_path / "out", ["one"]) / "onnx" / "model.onnx", rows)
    names = found.keys() - {"token_embeddings", "sentence_embedding"}
    if kind == "question_answering":
        assert names == {"start_logits", "end_logits"}
        real = np.concatenate([np.arange(12) < len(row) for row in rows["ids"]])
        both = np.stack([found[name].reshape(-1)[real] for name in sorted(names)[::-1]], axis=1)
        assert not faults({"both": both}, {"both": wanted})
        return
    name = "embedding" if kind == "similarity" else "logits"
    assert names == {name}
    assert found[name].shape == wanted.shape and wanted.std() > 1e-3
    assert not faults({name: found[name]}, {name: wanted})


@pytest.mark.parametrize("adapter", ["lora", "ia3"])
def test_an_adapter(adapter: str, tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path / "model", "bert"), heads=False)
    plain = model.encode(SENTENCES)
    model.add_lora(rank=4) if adapter == "lora" else model.add_ia3()
    for key, values in model.parameters().items():
        if not key.startswith("backbone."):
            noise = np.random.default_rng(1).standard_normal(values.shape)
            model.set_parameter(key, values + 0.3 * noise)
    assert np.abs(model.encode(SENTENCES) - plain).max() > 1e-3
    rows = random_rows(model, [3, 1, 12])
    names = {"token_embeddings": "hidden", "sentence_embedding": "embedding"}
    found = run_onnx(model.export_onnx(tmp_path / "out") / "onnx" / "model.onnx", rows)
    assert not faults(found, expected(model, rows, names))


def test_chains_of_labels(tmp_path: Path) -> None:
    """The scores of labels, and the tables that say which follow each other."""
    model = mtf.MultiTaskModel.from_pretrained(write_family(tmp_path / "model", "bert"))
    model.add_head("tags", mtf.TokenClassification(TAGS, crf=True))
    rows = random_rows(model, [3, 1, 12])
    found = run_onnx(model.export_onnx(tmp_path / "out", ["tags"]) / "onnx" / "model.onnx", rows)
    scores = model._core.forward(core_batch(rows), ["tags"])[0]
    k = len(TAGS)
    steps = scores[:, : k * k].reshape(-1, k, k)
    built = found["logits"][:, None, :] + found["transitions"]
    begins = found["logits"] + found["start_transitions"]
    ends = np.broadcast_to(found["end_transitions"], begins.shape)
    whole = np.concatenate([begins, ends], axis=1)
    assert not faults({"steps": built, "rest": whole}, {"steps": steps, "rest": scores[:, k * k :]})


def test_weights_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    from mtfreeze.exporting import onnx_model

    model = load_family(write_family(tmp_path / "model", "bert"), heads=False)
    monkeypatch.setattr(onnx_model, "LARGEST", 1000)
    folder = model.export_onnx(tmp_path / "out") / "onnx"
    assert {path.name for path in folder.iterdir()} == {
        *("model.onnx", "model.onnx_data"),
        *("model_quantized.onnx", "model_quantized.onnx_data"),
    }
    onnx.checker.check_model(str(folder / "model.onnx"))
    rows = random_rows(model, [3, 1, 12])
    names = {"token_embeddings": "hidden", "sentence_embedding": "embedding"}
    assert not faults(run_onnx(folder / "model.onnx", rows), expected(model, rows, names))


def test_the_tokenizer_beside_it_gives_the_same_ids(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    for name in ("bert", "xlm-roberta"):
        model = load_family(write_family(tmp_path / name, name), heads=False)
        folder = model.export_onnx(tmp_path / "out")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        texts = [*SENTENCES, " ".join(SENTENCES)]
        encoded = model.encoder.encode_texts(texts)
        ours = [
            encoded.inputs["ids"][a:b].tolist()
            for a, b in zip(encoded.offsets, encoded.offsets[1:], strict=False)
        ]
        assert ours == [one.ids for one in tokenizer.encode_batch(texts)]


@pytest.mark.real
@pytest.mark.long
def test_minilm(minilm_shared: mtf.MultiTaskModel, tmp_path: Path) -> None:
    """The real weights: exact in fp32; in int8 a text's neighbours stay where they were."""
    folder = minilm_shared.export_onnx(tmp_path / "out") / "onnx"
    encoded = minilm_shared.encoder.encode_texts(SENTENCES)
    bounds = zip(encoded.offsets, encoded.offsets[1:], strict=False)
    cut = [slice(first, last) for first, last in bounds]
    rows = {
        name: [one[part].astype(np.int64) for part in cut] for name, one in encoded.inputs.items()
    }
    wanted = minilm_shared.encode(SENTENCES)
    found = run_onnx(folder / "model.onnx", rows)["sentence_embedding"]
    assert np.abs(found - wanted).max() < EXACT
    int8 = run_onnx(folder / "model_quantized.onnx", rows)["sentence_embedding"]
    assert least_cosine(int8, wanted) > INT8_COSINE
    assert np.abs(int8 @ int8.T - wanted @ wanted.T).max() < 0.03
    sizes = [(folder / name).stat().st_size for name in ("model_quantized.onnx", "model.onnx")]
    assert sizes[0] < 0.3 * sizes[1]
