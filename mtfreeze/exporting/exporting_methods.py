# SPDX-License-Identifier: Apache-2.0
"""The exporting methods of a model."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..checks import check_optional_flag, check_path, typed
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
        Models of images read ``pixel_values`` (batch, 3, height, width), prepared, float32, and
        give ``last_hidden_state`` and ``image_embedding``; a head that finds boxes gives ``logits``
        and ``pred_boxes`` of all queries. Where no product of the backbone is in it, as of a
        ResNet, there is no file in int8. What is larger than 2 GB has its weights in
        ``<name>_data``. Needs the package ``onnx``: the extra ``mtfreeze[onnx]``.

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
            If there is no such head; if the folder holds something else; if the package is missing;
            if the model is a vision transformer whose images have no one size.
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

    def push_to_hub(
        self,
        repo: str,
        *,
        head: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        endpoint: str | None = None,
    ) -> str:
        """Save the model to the Hugging Face hub, as one commit, with its card.

        Parameters
        ----------
        repo : str
            ``"user/name"``; made if it is not there.
        head : str, optional
            Push this head with the backbone as a task model of transformers, as `save_pretrained`
            writes it.
        private : bool, optional
            Whether a new model is private; by default as the user's settings on the hub say.
        token : str, optional
            Of somebody who may write there; by default the one that ``hf auth login`` stored.
        endpoint : str, optional
            Address of another hub than ``https://huggingface.co``.

        Returns
        -------
        str
            Where the commit is to be seen.

        Raises
        ------
        TypeError, ConfigError
            If an argument does not hold, the hub is switched off (``HF_HUB_OFFLINE``), or it
            refuses the request.
        CheckpointError
            If a weight is infinite or NaN; nothing is pushed then.
        ConnectionError
            If the hub cannot be reached, or fails.

        Notes
        -----
        A card on the hub that somebody else wrote, or changed, stays. Heads and weights of an
        earlier model there that this one does not have are deleted by the same commit.
        """
        from ..model.saving import save_model
        from ..sharing.upload import check_online, check_repo, check_token, push_folder

        name, secret = check_repo(repo), check_token(token)
        if endpoint is not None and not isinstance(endpoint, str):
            raise TypeError(
                f"endpoint must be the address of a hub (str); found {typed(endpoint)}; leave it "
                "out for huggingface.co"
            )
        check_optional_flag("private", private)
        check_online(name)
        with tempfile.TemporaryDirectory(prefix="mtfreeze-push-") as place:
            folder = Path(place, "model")
            # Only this reads the model; pushing may take its time.
            self.reading().run(save_model, self, folder, head, name)
            return push_folder(folder, name, private=private, token=secret, endpoint=endpoint)
