# SPDX-License-Identifier: Apache-2.0
"""Freezing: selectors, the freeze state, pins, digests, and the words for all of them.

A model is whatever has a core, an index of names and heads (`Freezable`). Called by models, plans,
prices and pictures; calls the core, heads and families.
"""
