# SPDX-License-Identifier: Apache-2.0
"""Metrics: figures from what was right and what was predicted, and the schemes of entity tags.

Plain arrays and names in, numbers out. Called by heads, evaluation and comparisons; knows no model
and no data set.
"""
