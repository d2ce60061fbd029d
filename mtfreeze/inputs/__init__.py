# SPDX-License-Identifier: Apache-2.0
"""Inputs: texts and words -> named arrays with row spaces, packed without padding.

The tokenizer is here. Called by models, steps and features; knows data sets and no model.
"""
