/* resnet.c: residual networks over images from config.json; model/residual_net.h has the computation.
 *
 * Parameter keys are the hub's tensor names behind "backbone." (without "resnet.").
 * SPDX-License-Identifier: Apache-2.0 */
#include "../model/residual_net.h"
#include "families.h"

extern const mtf_family mtf_family_resnet;

static mtf_status build(mtf_program *p, const mtf_config *config, mtf_error *err)
{
    mtf_residual_net net;
    MTF_TRY(mtf_residual_read(&net, config, err));
    const mtf_tensor_id x = mtf_residual_build(p, &net, "backbone");
    mtf_end_layers(p, net.n_stages, x);
    return mtf_build_pooling(p, config, x, NULL, err);
}

const mtf_family mtf_family_resnet = {"resnet", build};
