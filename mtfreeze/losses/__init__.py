# SPDX-License-Identifier: Apache-2.0
"""Losses: how the losses of several tasks are weighed, and losses that the user brings.

The losses themselves are in the core (``csrc/losses``). Called by steps and training; knows no
model and no data set.
"""
