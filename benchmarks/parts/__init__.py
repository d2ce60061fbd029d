# SPDX-License-Identifier: Apache-2.0
"""What the scripts of this folder's parent are made of; nothing here is run by hand."""
