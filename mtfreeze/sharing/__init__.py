# SPDX-License-Identifier: Apache-2.0
"""Sharing: the card of a model folder, and putting a folder on the Hugging Face hub.

Plain facts in, text out; a folder in, its place on the hub out. It knows no model. Called by models
when they are saved and pushed; calls the checks and the package ``huggingface_hub``, which is
imported only when something is fetched or pushed.
"""
