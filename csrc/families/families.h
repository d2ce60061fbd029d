/* families.h: what the file of a backbone family includes.
 *
 * csrc/families holds one file a family: it turns a configuration into the backbone's part of a
 * program. Nobody calls it by name: the network (model/) finds it in the generated table. It calls
 * model/ only and knows neither plans nor batches.
 *
 * Adding one: csrc/families/<name>.c that defines `const mtf_family mtf_family_<name>`, and <name> in
 * MTF_FAMILIES of cmake/sources.cmake. Where one file builds several, each is an object of its own and
 * listed in MTF_FAMILIES_OF_<name> there.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_FAMILIES_FAMILIES_H
#define MTF_FAMILIES_FAMILIES_H

#include "../base/status.h"
#include "../model/encoder.h"
#include "../model/registry.h"

#endif
