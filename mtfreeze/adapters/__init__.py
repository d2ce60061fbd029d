# SPDX-License-Identifier: Apache-2.0
"""Adapters: few parameters beside a backbone's linear layers; what they are, and PEFT's files.

Called by models, comparisons and the command line; calls families, files and checks. It knows no
model: an adapter is a description by the paths of layers.
"""
