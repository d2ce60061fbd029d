# SPDX-License-Identifier: Apache-2.0
"""Heads: the kinds of task that a backbone can have, one file a kind.

A kind owns what differs between tasks: what the user writes, targets, loss, decoding, metrics,
baseline, and the words for them. Called by models, steps, evaluation, comparisons and pictures;
calls data and inputs, and knows no model.
"""
