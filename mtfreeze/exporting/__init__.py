# SPDX-License-Identifier: Apache-2.0
"""Exporting: a model in the languages of other programs; today ONNX.

One walk over the nodes of the core's program, one translation an operation, so that a new family
needs nothing here. Called by models; calls model, heads and files. The package ``onnx`` is imported
only when something is written.
"""
