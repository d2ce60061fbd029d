# SPDX-License-Identifier: Apache-2.0
"""The exporting methods of a model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..checks import check_path
from ..model.state import ModelState, reads

__all__ = ["ExportingMethods"]


class ExportingMethods(ModelState):
    """Methods of `MultiTaskModel` that write it for other programs."""

    @reads
    def export_onnx(self, folder: str | os.PathLike[str], heads: Sequence[str] = ()) -> Path:
        """Write the encoder and chosen heads in ONNX, for programs that run without mtfreeze.

        ``onnx/model.onnx`` in fp32 and ``onnx/model_quantized.onnx`` with weights in int8; beside
        them ``config.json`` and the tokenizer. Inputs are padded int64 of any batch and length:
        ``input_ids``, ``attention_mask`` and, for families that have them, ``token_type_ids``.
        Outputs are ``last_hidden_state``, or ``token_embeddings`` and ``sentence_embedding`` of a
        model that was made for sentences; ``logits`` of one head, ``<head>_logits`` of several.
        What is larger than 2 GB has its weights in ``<name>_data``. Needs the package ``onnx``:
        the extra ``mtfreeze[onnx]``.

        Parameters
        ----------
        folder : str or path
            New or empty, or an earlier export, which is replaced as a whole.
        heads : sequence of str
            Names of heads; by default none, the encoder alone.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        ConfigError
            If there is no such head; if the folder holds something else; if the package is missing.
        OSError
            If the disk is full or fails; an earlier export is then untouched.

        Examples
        --------
        >>> folder = model.export_onnx("exported", heads=["classifier"])
        >>> sorted(path.name for path in (folder / "onnx").iterdir())
        ['model.onnx', 'model_quantized.onnx']
        """
        from .onnx_folder import export_onnx

        return export_onnx(self, check_path("folder", folder), heads)
