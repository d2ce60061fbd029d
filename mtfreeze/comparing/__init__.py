# SPDX-License-Identifier: Apache-2.0
"""Comparing freeze scenarios: run them all from one start, and say which differences are real."""
