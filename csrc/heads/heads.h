/* heads.h: what the file of a kind of head includes.
 *
 * csrc/heads holds the kinds of heads: each appends its unit, its parameters and its output to the
 * program of a backbone. Nobody calls one by name: the network (model/) finds it in the generated
 * table. It calls model/ only and knows neither families nor plans nor batches.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_HEADS_HEADS_H
#define MTF_HEADS_HEADS_H

#include "../base/status.h"
#include "../model/registry.h"

#endif
