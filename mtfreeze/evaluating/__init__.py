# SPDX-License-Identifier: Apache-2.0
"""Evaluating: what the heads of a model score on data, alone or in the middle of a run.

Called by training, comparisons and the user; calls steps, features and heads.
"""
