# SPDX-License-Identifier: Apache-2.0
"""Jobs on images: folders and tables of them, how they vary, and what errors say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.cli.build import build_model, build_tasks
from mtfreeze.cli.job import Config, parse_config
from mtfreeze.cli.job_yaml import parse_yaml
from support.vision_folders import COLOURS, coloured, write_vision_folder

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")


def job(data: str, name: str = "m") -> Config:
    """Return a job with one line of data."""
    raw = parse_yaml(
        f"model: {{name: {name}}}\n"
        f"heads: {{colour: {{task: sequence_classification, labels: [{', '.join(COLOURS)}]}}}}\n"
        f"data: {{colour: {{train: pictures, {data}}}}}\n",
        "job",
    )
    return parse_config(raw)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("true", mtf.Augment()),
        ("false", None),
        ("null", None),
        ("{}", mtf.Augment()),
        ("{flip: false, crop: null, colour: 1e-1}", mtf.Augment(False, None, 0.1)),
        ("{crop: [0.5, 1], variants: 3, seed: 7}", mtf.Augment(crop=(0.5, 1), variants=3, seed=7)),
    ],
)
def test_how_images_vary(written: str, found: mtf.Augment | None) -> None:
    assert job(f"augment: {written}").data["colour"]["augment"] == found


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{color: 0.1}", "unknown key of 'data.colour.augment' 'color'; expected one of"),
        ("{color: 0.1}", "did you mean 'colour'?"),
        ("{flip: 1}", "data.colour.augment.flip must be true or false; found int 1"),
        ("{crop: [0.9, 0.2]}", "data.colour.augment: crop must be the least and then the largest"),
        ("{crop: [0.9, big]}", "data.colour.augment.crop[1] must be a number"),
        ("{crop: 0.5}", "data.colour.augment: crop must be the least and the largest share"),
        ("{variants: 0}", "data.colour.augment: variants must be at least 1"),
        ("{variants: 2.5}", "data.colour.augment: variants must be"),
        ("{seed: many}", "data.colour.augment.seed must be a number"),
        ("flips", "data.colour.augment must be a section of keys and values"),
    ],
)
def test_errors_name_the_key(written: str, said: str) -> None:
    with pytest.raises(mtf.ConfigError) as refused:
        job(f"augment: {written}")
    assert said in str(refused.value)


def test_a_job_trains_on_a_folder_and_on_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["file,colour"]
    for number, (pixels, label) in enumerate(coloured(6)):
        place = tmp_path / "pictures" / label / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place)
        lines.append(f"pictures/{label}/{number}.png,{label}")
    (tmp_path / "table.csv").write_text("\n".join(lines), "utf-8")
    model = write_vision_folder(tmp_path / "model")
    where = str(tmp_path / "pictures")
    table = str(tmp_path / "table.csv")
    for train, more in ((where, {}), (table, {"image": "file", "label": "colour"})):
        data: dict[str, Any] = {"train": train, "augment": {"variants": 2}, **more}
        config = parse_config(
            {
                "model": {"name": str(model)},
                "heads": {"colour": {"task": "sequence_classification", "labels": list(COLOURS)}},
                "data": {"colour": data},
            }
        )
        built = build_model(config)
        tasks = build_tasks(config, built)
        assert tasks["colour"].augment == mtf.Augment(variants=2)
        mtf.fit(built.freeze("backbone"), tasks, epochs=2)
        # two variants of six images, each of which an epoch sees
        seen = "for 12 images" if train == where else "for 0 images, found for 12"
        assert f"frozen prefix: computed {seen}" in capsys.readouterr().out


def test_texts_do_not_vary(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text("good\tred\nbad\tblue\n", "utf-8")
    config = parse_config(
        {
            "model": {"name": str(tiny_folder)},
            "heads": {"colour": {"task": "sequence_classification", "labels": list(COLOURS)}},
            "data": {"colour": {"train": str(tmp_path / "rows.tsv"), "augment": True}},
        }
    )
    model = build_model(config)
    with pytest.raises(mtf.DataError, match="augment="):
        mtf.fit(model, build_tasks(config, model), epochs=1, progress=False)
