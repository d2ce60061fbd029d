# SPDX-License-Identifier: Apache-2.0
"""The page on leaving lists the form of head that each family's class of transformers computes."""

from __future__ import annotations

from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.families import FAMILIES, HeadLayout
from support.families import load_family, write_family
from support.places import DOCS

SEQUENCE, IMAGE = "ForSequenceClassification", "ForImageClassification"


def form(layout: HeadLayout) -> dict[str, Any]:
    """Return the arguments of the description of such a head that are not the usual ones."""
    given: dict[str, Any] = {"pooling": layout.pooling}
    if layout.hidden:
        given |= {"hidden": ("width",), "activation": layout.activation}
    if not layout.logits_bias:
        given["bias"] = False
    return given | {name: default for name, (_, default) in layout.options.items()}


def written(given: dict[str, Any]) -> str:
    """Return arguments as the page has them, a width as the name of it."""
    parts = [
        "hidden=(model.width,)" if name == "hidden" else f"{name}={value!r}".replace("'", '"')
        for name, value in given.items()
    ]
    return ", ".join(parts)


def rows() -> list[str]:
    by_form: dict[str, list[str]] = {}
    for name, family in sorted(FAMILIES.items()):
        for end in (SEQUENCE, IMAGE):
            if family.class_stem and end in family.head_layouts:
                by_form.setdefault(written(form(family.head_layouts[end])), []).append(name)
    return [
        f"| {', '.join(f'`{name}`' for name in names)} | `{given}` |"
        for given, names in by_form.items()
    ]


def test_the_page_has_every_form() -> None:
    page = (DOCS / "leaving.md").read_text(encoding="utf-8").splitlines()
    missing = [row for row in rows() if row not in page]
    assert not missing, "the page needs these rows:\n" + "\n".join(missing)
    assert sum(line.startswith("| `") and "pooling=" in line for line in page) == len(rows())


@pytest.mark.parametrize("pooling", ["mean", "max", "cls"])
def test_a_head_of_another_form_is_told_ways_out(
    tiny_model: mtf.MultiTaskModel, pooling: str, tmp_path: Any
) -> None:
    tiny_model.add_head("mood", mtf.SequenceClassification(["a", "b"], pooling=pooling))
    with pytest.raises(mtf.ConfigError, match=r"'hidden': \(48,\).*export_onnx\(folder, heads="):
        tiny_model.save_pretrained(tmp_path / "task", head="mood")


def test_heads_for_words_leave_as_they_are_made() -> None:
    end = "ForTokenClassification"
    layouts = {name: family.head_layouts.get(end) for name, family in FAMILIES.items()}
    made = mtf.TokenClassification(["O", "B-x"])
    assert made.hidden == () and made.bias and layouts["bert"] is not None
    other = {name for name, layout in layouts.items() if layout is not None and layout.hidden}
    assert other == {"modernbert"}, "the page says so"


def test_a_pooling_that_a_configuration_may_name(tmp_path: Any) -> None:
    """The class over ModernBERT takes two poolings, and no others by the same key."""
    model = load_family(write_family(tmp_path / "in", "modernbert"), heads=False)
    given = form(FAMILIES["modernbert"].head_layouts[SEQUENCE]) | {"hidden": (model.width,)}
    for pooling in ("mean", "max"):
        spec = mtf.SequenceClassification(["a", "b"], **{**given, "pooling": pooling})
        model.add_head(pooling, spec)
    model.save_pretrained(tmp_path / "mean", head="mean")
    told = "expected {'pooling': 'cls'}; found {'pooling': 'max'}"
    with pytest.raises(mtf.ConfigError, match=told):
        model.save_pretrained(tmp_path / "max", head="max")
