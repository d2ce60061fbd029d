# SPDX-License-Identifier: Apache-2.0
"""Language heads beside transformers' classes: folders both ways, losses, all gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mtfreeze as mtf
from mtfreeze.data.labels import IGNORE
from mtfreeze.families import FAMILIES
from mtfreeze.families.language_layouts import LANGUAGE_LAYOUTS
from mtfreeze.heads.language import LanguageHead
from mtfreeze.inputs.head_spaces import POSITIONS
from mtfreeze.inputs.packing import IDS
from mtfreeze.steps.by_hand import make_batch
from support.families import CASES, NAMES, load_family, write_family
from support.texts import SENTENCES

pytestmark = [
    pytest.mark.parity,
    pytest.mark.long,
    pytest.mark.usefixtures("torch", "transformers"),
]

TOLERANCE = 2e-5
WITH_CLASS = [
    name for name in NAMES if CASES[name].config["model_type"].replace("_", "-") in LANGUAGE_LAYOUTS
]


def language_head(model: mtf.MultiTaskModel, **options: Any) -> LanguageHead:
    causal = model.index.family.causal
    if causal:
        options.pop("probability", None)
    return (mtf.CausalLM if causal else mtf.MaskedLM)(**options)


def with_head(folder: Path, **options: Any) -> mtf.MultiTaskModel:
    """Return the model with a language head, its own weights of a size that shows."""
    model = load_family(folder, heads=False)
    model.add_head("lm", language_head(model, **options))
    rng = np.random.default_rng(7)
    for key, values in model.parameters().items():
        if key.startswith("lm."):
            model.set_parameter(key, values + 0.2 * rng.standard_normal(values.shape))
    return model


def auto(transformers: Any, model: mtf.MultiTaskModel) -> Any:
    return getattr(transformers, LANGUAGE_LAYOUTS[model.index.family.model_type].name)


def texts() -> Any:
    return mtf.Examples.from_texts(list(SENTENCES))


def reference(
    torch: Any, theirs: Any, batch: Any, labels: NDArray[np.int32]
) -> tuple[float, list[NDArray[np.float32]]]:
    """Return transformers' mean loss over the drawn places, its gradients left in `theirs`; and the
    logits there, text by text."""
    ids, places = batch.inputs[IDS], batch.inputs[POSITIONS]
    tokens, picked = batch.offsets["tokens"], batch.offsets["picked"]
    total, logits = 0.0, []
    for s in range(batch.n_sequences):
        row = torch.from_numpy(ids[tokens[s] : tokens[s + 1]].astype(np.int64))[None]
        at = places[picked[s] : picked[s + 1]]
        found = theirs(input_ids=row).logits[0][at.tolist()]
        logits.append(found.detach().numpy())
        gold = torch.from_numpy(labels[picked[s] : picked[s + 1]].astype(np.int64))
        total = total + torch.nn.functional.cross_entropy(found, gold, reduction="sum")
    mean = total / int((labels != IGNORE).sum())
    mean.backward()
    return float(mean.detach()), logits


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", WITH_CLASS)
def test_loss_and_gradients(
    name: str, tied: bool, tmp_path: Path, torch: Any, transformers: Any
) -> None:
    model = with_head(write_family(tmp_path / "in", name), tied=tied, probability=0.4)
    folder = tmp_path / "out"
    model.save_pretrained(folder, head="lm")
    theirs, report = auto(transformers, model).from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["mismatched_keys"], report
    theirs = theirs.eval()
    rows = {"lm": mtf.Task(train=texts())}
    batch = make_batch(model, rows)
    (loss,) = batch.losses
    mean, logits = reference(torch, theirs, batch.batch, loss.targets)
    (ours,) = model._core.forward(batch.batch.for_core(), ["lm"])
    np.testing.assert_allclose(ours, np.concatenate(logits), atol=TOLERANCE * 10, rtol=1e-4)
    gradients = model.gradients(rows)
    found = float(np.mean(_surprise(ours, loss.targets)))
    assert found == pytest.approx(mean, abs=1e-5)
    by_name = {
        FAMILIES[model.index.family.model_type].plain_name(key): value.grad
        for key, value in theirs.named_parameters()
    }
    compared = 0
    for key, gradient in gradients.items():
        expected = by_name.get(key.removeprefix("backbone."))
        if expected is not None and key.startswith("backbone."):
            largest = float(expected.abs().max())
            np.testing.assert_allclose(
                gradient, expected.numpy(), atol=1e-4 * largest + 1e-7, err_msg=key
            )
            compared += 1
    assert compared > 10
    again = mtf.MultiTaskModel.from_pretrained(folder)
    again.add_head("lm", from_pretrained=folder)
    assert again.heads["lm"].spec.tied == tied  # type: ignore[attr-defined]
    (read,) = again._core.forward(batch.batch.for_core(), ["lm"])
    assert read.tobytes() == ours.tobytes()


def _surprise(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> NDArray[np.float64]:
    z = logits.astype(np.float64)
    log_p = (
        z - np.log(np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True)) - z.max(1)[:, None]
    )
    found: NDArray[np.float64] = -log_p[np.arange(len(labels)), labels]
    return found


@pytest.mark.parametrize("name", WITH_CLASS)
def test_a_folder_of_transformers_is_read(
    name: str, tmp_path: Path, torch: Any, transformers: Any
) -> None:
    folder = write_family(tmp_path / "in", name)
    plain = load_family(folder, heads=False)
    cls = auto(transformers, plain)
    torch.manual_seed(0)
    theirs = cls.from_pretrained(folder).eval()
    out = tmp_path / "theirs"
    theirs.save_pretrained(out)
    for file in plain.encoder.files:
        (out / file).write_bytes(plain.encoder.files[file])
    model = mtf.MultiTaskModel.from_pretrained(out)
    model.add_head("lm", from_pretrained=out)
    assert model.heads["lm"].trained
    batch = make_batch(model, {"lm": mtf.Task(train=texts())})
    with torch.no_grad():
        ids, tokens = batch.batch.inputs[IDS], batch.batch.offsets["tokens"]
        places, picked = batch.batch.inputs[POSITIONS], batch.batch.offsets["picked"]
        expected = [
            theirs(
                input_ids=torch.from_numpy(ids[tokens[s] : tokens[s + 1]].astype(np.int64))[None]
            )
            .logits[0][places[picked[s] : picked[s + 1]].tolist()]
            .numpy()
            for s in range(batch.batch.n_sequences)
        ]
    (ours,) = model._core.forward(batch.batch.for_core(), ["lm"])
    np.testing.assert_allclose(ours, np.concatenate(expected), atol=TOLERANCE * 10, rtol=1e-4)
