/* What every file with emulated tiles shares (amx_emulation.h).
 * SPDX-License-Identifier: Apache-2.0 */
#include "amx_emulation.h"

int amx_faults;
int amx_configured;
