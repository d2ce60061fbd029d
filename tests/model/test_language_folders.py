# SPDX-License-Identifier: Apache-2.0
"""Language models as transformers' folders, without torch: there and back, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from support.bits import bits
from support.families import load_family, write_family
from support.texts import SENTENCES

STEM = "cls.predictions."
TEXTS = mtf.Examples.from_texts(list(SENTENCES))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_family(tmp_path_factory.mktemp("language") / "bert", "bert")


def saved(model: mtf.MultiTaskModel, folder: Path) -> dict[str, np.ndarray]:
    """Save the head ``lm`` as a model of transformers; return the file's tensors."""
    model.save_pretrained(folder, head="lm")
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "gpt2"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_head_goes_there_and_back(family: str, tied: bool, tmp_path: Path) -> None:
    """A tied one leaves its table out, or shares it; one of its own keeps it, bit for bit."""
    model = load_family(write_family(tmp_path / "base", family), heads=False)
    kind = mtf.CausalLM if family == "gpt2" else mtf.MaskedLM
    model.add_head("lm", kind(tied=tied), seed=3)
    model.freeze("backbone")
    mtf.fit(model, {"lm": mtf.Task(train=TEXTS)}, epochs=1, progress=False)
    saved(model, tmp_path / "task")
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "task")
    again.add_head("lm", from_pretrained=tmp_path / "task")
    assert again.heads["lm"].spec.tied is tied  # type: ignore[attr-defined]
    ours, theirs = bits(model.parameters()), bits(again.parameters())
    assert ours == {key: theirs[key] for key in ours}
    assert ("lm.weight" in ours) is not tied


def test_an_own_decoder_has_the_names_that_loaders_look_for(bert: Path, tmp_path: Path) -> None:
    for tied in (True, False):
        model = load_family(bert, heads=False).add_head("lm", mtf.MaskedLM(tied=tied))
        found = saved(model, tmp_path / str(tied))
        assert (f"{STEM}decoder.bias" in found) is not tied
        if not tied:
            np.testing.assert_array_equal(found[f"{STEM}decoder.bias"], found[f"{STEM}bias"])


def test_a_decoder_that_is_the_table_is_tied(bert: Path, tmp_path: Path) -> None:
    """Files may hold W twice; only other bits, or another shape, are a decoder of its own."""
    model = load_family(bert, heads=False).add_head("lm", mtf.MaskedLM())
    found = saved(model, tmp_path / "task")
    table = next(values for key, values in found.items() if "word_embeddings" in key)
    other = table.copy()
    other[0, 0] += 1
    for values, tied in ((table, True), (other, False)):
        save_file({**found, f"{STEM}decoder.weight": values}, tmp_path / "task/model.safetensors")
        again = load_family(bert, heads=False)
        again.add_head("lm", from_pretrained=tmp_path / "task")
        assert again.heads["lm"].spec.tied is tied  # type: ignore[attr-defined]


def test_heads_of_other_families_and_of_no_matrix(bert: Path, tmp_path: Path) -> None:
    model = load_family(bert, heads=False).add_head("lm", mtf.MaskedLM())
    found = saved(model, tmp_path / "task")
    roberta = load_family(write_family(tmp_path / "other", "roberta"), heads=False)
    with pytest.raises(mtf.ConfigError, match=r"language model of the family 'roberta'; found 'be"):
        roberta.add_head("lm", from_pretrained=tmp_path / "task")
    name = f"{STEM}transform.dense.weight"
    for spoilt in ({name: found[name][0]}, {}):
        rest = {key: values for key, values in found.items() if key != name}
        save_file({**rest, **spoilt}, tmp_path / "task" / "model.safetensors")
        with pytest.raises(
            mtf.CheckpointError, match=rf"tensor '{name}' of BertForMaskedLM, a mat"
        ):
            load_family(bert, heads=False).add_head("lm", from_pretrained=tmp_path / "task")
