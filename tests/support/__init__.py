# SPDX-License-Identifier: Apache-2.0
"""What tests of several rooms share: small models, tasks and data, and how to compare them."""
