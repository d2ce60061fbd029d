# SPDX-License-Identifier: Apache-2.0
"""Images: files and arrays -> pixels as a model expects them.

`picture` decodes, `processor` resizes, crops and normalises as ``preprocessor_config.json`` says,
`augmentations` varies, `frames` says where boxes then lie, `decoding` runs ahead on threads. Called
by `data`, `inputs` and `heads`; nothing here knows a row of data or a model. Pillow is imported
where an image is decoded or resized, and not before.
"""

from __future__ import annotations

from .augmentations import Augment
from .picture import MOST_PIXELS, Picture
from .processor import Processor

__all__ = ["MOST_PIXELS", "Augment", "Picture", "Processor"]
