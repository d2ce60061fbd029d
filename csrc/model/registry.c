/* registry.c: the family and the kind of head that a configuration names.
 *
 * The tables are generated from the lists of cmake/sources.cmake, so messages list what they hold.
 * SPDX-License-Identifier: Apache-2.0 */
#include "registry.h"

#include "../base/status.h"
#include "parts.h" /* the input that every family's pooling may have */

#include <string.h>

mtf_status mtf_family_find(const mtf_config *config, const mtf_family **family, mtf_error *err)
{
    const char *type = NULL;
    mtf_name_list known = {"", 0};
    MTF_TRY(mtf_config_get_text(config, "model_type", &type, err));
    if (type == NULL) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "configuration key \"model_type\" is missing; it names the family");
    }
    for (size_t i = 0; mtf_family_table[i] != NULL; i++) {
        if (strcmp(mtf_family_table[i]->model_type, type) == 0) {
            *family = mtf_family_table[i];
            return MTF_OK;
        }
        mtf_list_name(&known, mtf_family_table[i]->model_type);
    }
    return mtf_fail(err, MTF_ERR_CONFIG,
                    "model_type \"%.100s\" is not supported; this build has: %s", type, known.text);
}

mtf_status mtf_family_build(const mtf_family *family, mtf_program *program,
                            const mtf_config *config, mtf_error *err)
{
    MTF_TRY(mtf_declare_skip(program, config, err));
    return family->build(program, config, err);
}

mtf_status mtf_head_kind_find(const mtf_config *config, const char *name,
                              const mtf_head_kind **kind, mtf_error *err)
{
    const char *wanted = NULL;
    mtf_name_list known = {"", 0};
    MTF_TRY(mtf_config_get_text(config, "kind", &wanted, err));
    for (size_t i = 0; mtf_head_table[i] != NULL; i++) {
        if (wanted != NULL && strcmp(mtf_head_table[i]->kind, wanted) == 0) {
            *kind = mtf_head_table[i];
            return MTF_OK;
        }
        mtf_list_name(&known, mtf_head_table[i]->kind);
    }
    return mtf_fail(err, MTF_ERR_CONFIG,
                    "head \"%s\" has the kind \"%.100s\", which does not exist; this build has: %s",
                    name, wanted != NULL ? wanted : "(none)", known.text);
}
