# SPDX-License-Identifier: Apache-2.0
"""Files: JSON, safetensors and folders on a disk, read with care and written whole or not at all.

Knows bytes, names and errors; no model, no tokenizer. Called by whatever reads or writes a folder;
calls nothing of the package but its errors and words.
"""
