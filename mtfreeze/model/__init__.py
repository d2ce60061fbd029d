# SPDX-License-Identifier: Apache-2.0
"""Model: what a model holds, and the work behind its methods: load, save, encode, predict.

`MultiTaskModel` puts the methods together. Called by all that has a model in its hands; calls
freezing, heads, inputs, families and files.
"""
