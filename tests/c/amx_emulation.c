/* What every file with emulated tiles shares (amx_emulation.h).
 * SPDX-License-Identifier: Apache-2.0 */
#include "amx_emulation.h"

_Thread_local int amx_faults;
_Thread_local int amx_configured;
