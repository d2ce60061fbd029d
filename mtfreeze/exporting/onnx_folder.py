# SPDX-License-Identifier: Apache-2.0
"""A folder with a model in ONNX, as optimum, fastembed and transformers.js lay it out.

``onnx/model.onnx`` and ``onnx/model_quantized.onnx``; beside them ``config.json``, the tokenizer
and, for a model that was made for sentences, the files of sentence-transformers. Graphs are called
with ``input_ids``, ``attention_mask`` and, where the family has them, ``token_type_ids``; those of
images with ``pixel_values``, and ``preprocessor_config.json`` stands in the tokenizer's place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import as_items, check_choice, typed
from ..errors import ConfigError
from ..files.folder_swap import new_folder
from ..files.json_files import to_json
from ..files.user_paths import user_path
from ..files.whole_file import explained, make_folder, write_synced
from ..inputs.image_encoder import ImageEncoder
from ..model.sentence_files import settings_files
from ..model.state import ModelState
from ..quoting import quoted
from .head_outputs import axes_of, name_head
from .onnx_model import check_onnx, write_onnx
from .pixels import PIXELS
from .texts import IDS, INPUTS, MASK
from .translations import translate

if TYPE_CHECKING:
    from ..heads.head import Head

__all__ = ["FILES", "export_onnx"]

FILES: Mapping[str, bool] = {"model.onnx": False, "model_quantized.onnx": True}
"""Files of the folder ``onnx``, and whether their weights are in int8."""

_FOLDER = "onnx"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "mtfreeze.json")
"""Files of a model that can be trained on; a folder that has one is never replaced by an export."""

_SHAPES = ((480, 640), (640, 480), (500, 500))
"""Images that a processor brings to one size, or does not."""


def export_onnx(model: ModelState, path: Path, heads: Sequence[str] = ()) -> Path:
    """Write `model` in ONNX; see `MultiTaskModel.export_onnx`."""
    chosen = _chosen(model, heads)
    check_onnx()
    size = _size(model)
    target = user_path(path).resolve()
    _check_target(target, path)
    begin = f"cannot export the model to {quoted(str(path))}"
    untouched = "what was there before is untouched; free space or choose another place"
    with explained(begin, untouched):
        make_folder(target.parent)
    with new_folder(target, begin, untouched) as draft:
        files = _files(model, chosen)
        for name, data in files.items():
            place = draft / name
            place.parent.mkdir(exist_ok=True)
            write_synced(place, data)
        (draft / _FOLDER).mkdir()
        for name, int8 in FILES.items():
            _write(model, draft / _FOLDER / name, chosen, size, int8=int8)
    return path


def _size(model: ModelState) -> tuple[int, int] | None:
    """Return height and width of the images that a model's graph takes; None: any, or texts.

    Only a table of positions asks for one size.

    Raises
    ------
    ConfigError
        If images have many sizes and the graph can take but one.
    """
    encoder: object = model.encoder
    if not isinstance(encoder, ImageEncoder) or not any(
        node.op == "image_tokens" for node in model._core.nodes()
    ):
        return None
    read = {encoder.processor.fitted(np.zeros((*one, 3), np.uint8)).shape for one in _SHAPES}
    if len(read) > 1:
        raise ConfigError(
            "expected images of one size, for which a graph holds positions; found a "
            "preprocessor_config.json that leaves them as different as they are; add "
            '"do_center_crop": true and "crop_size" to it, and load the model again'
        )
    height, width, _ = read.pop()
    return height, width


def _chosen(model: ModelState, heads: object) -> list[Head]:
    names = as_items(heads)
    if names is None:
        raise TypeError(
            f"heads must be names of heads; found {typed(heads)}; give e.g. ['classifier'], or "
            "leave it out for the encoder alone"
        )
    found = [check_choice("head", name, model.heads) for name in names]
    return [model.heads[name] for name in dict.fromkeys(found)]


def _check_target(target: Path, path: Path) -> None:
    if target.exists() and not target.is_dir():
        raise ConfigError(
            f"expected a folder to export to; found the file {quoted(str(path))}; choose one"
        )
    held = {item.name for item in target.iterdir()} if target.is_dir() else set()
    if held and (_FOLDER not in held or held & set(_WEIGHTS)):
        raise ConfigError(
            f"expected a new or empty folder, or an earlier export; found {quoted(str(path))} with "
            "other files in it, which an export would replace; choose a folder of its own"
        )


def _write(
    model: ModelState,
    path: Path,
    heads: Sequence[Head],
    size: tuple[int, int] | None,
    *,
    int8: bool,
) -> None:
    """Write a file; none in int8 where there would be nothing in int8 in it."""
    encoder = {"last_hidden_state": "hidden"}
    if model.reads_images:
        encoder["image_embedding"] = "embedding"
    elif model._loaded.settings.has_modules:
        encoder = {"token_embeddings": "hidden", "sentence_embedding": "embedding"}
    wanted = [*encoder.values(), *(one.name for one in heads)]
    translation = translate(model._core, wanted, int8=int8, size=size)
    if int8 and not translation.weights.any_int8:
        return
    known = {info.name: info for info in model._core.outputs()}
    axes: dict[str, Sequence[str | int]] = {}
    for name, output in encoder.items():
        translation.graph.named(name, translation.values[output])
        axes[name] = axes_of(known[output], grid=output in translation.grids)
    keys = [info.key for info in model._core.params()]
    for one in heads:
        alone = len(heads) == 1
        axes.update(name_head(translation, one, known[one.name], keys, alone=alone))
    labels = {one.name: list(one.labels) for one in heads if one.labels}
    notes = {"labels": json.dumps(labels)} if labels else {}
    if model.reads_images:
        sides = ("height", "width") if size is None else size
        write_onnx(path, translation.graph, [PIXELS], axes, notes, pixels=("batch", 3, *sides))
        return
    others = [INPUTS.get(name, name) for name in translation.inputs]
    inputs = [IDS, MASK, *(name for name in others if name != IDS)]
    write_onnx(path, translation.graph, inputs, axes, notes)


def _files(model: ModelState, heads: Sequence[Head]) -> dict[str, bytes]:
    """Return the small files that go with the graphs."""
    settings = model._loaded.settings
    config: dict[str, Any] = dict(model.config)
    if len(heads) == 1 and heads[0].labels:  # for the one called "logits"
        labels = heads[0].labels
        config["id2label"] = {str(i): label for i, label in enumerate(labels)}
        config["label2id"] = {label: i for i, label in enumerate(labels)}
    files = {**model.encoder.files, "config.json": to_json(config)}
    if model.reads_images:
        return files
    files["tokenizer.json"] = model.encoder.tokenizer_json()
    return files | (settings_files(settings, model.token_width) if settings.has_modules else {})
