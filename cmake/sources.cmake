# SPDX-License-Identifier: Apache-2.0
# Every source file of the core by name; a new file is one line here.
# Results: MTF_CORE_SOURCES, MTF_PYTHON_SOURCES, and MTF_<LEVEL>_SOURCES of each ISA level.

# Model families: csrc/families/<name>.c defines mtf_family_<name>. A new family is one line here, and
# a second one where its file defines several: MTF_FAMILIES_OF_<name> lists them.
set(MTF_FAMILIES
    albert
    bert
    deberta_v2
    detr
    dinov2
    distilbert
    electra
    gpt2
    gte
    llama
    modernbert
    mobilenet_v2
    mpnet
    nomic_bert
    resnet
    roberta
    vgg
    vit
)
set(MTF_FAMILIES_OF_dinov2 dinov2 dinov2_with_registers)
set(MTF_FAMILIES_OF_gte gte new)
set(MTF_FAMILIES_OF_llama llama qwen2 qwen3)
set(MTF_FAMILIES_OF_roberta roberta xlm_roberta camembert)
set(MTF_FAMILIES_OF_vit vit deit vit_fc_norm)
# Kinds of heads: csrc/heads/<name>.c defines mtf_head_<name>. A new kind is one line here.
set(MTF_HEADS
    detection
    language_model
    multi_label_classification
    pair_classification
    question_answering
    regression
    sequence_classification
    similarity
    token_chain
    token_classification
)
# Losses: csrc/losses/<name>.c defines mtf_loss_<name>. A new loss is one line here.
set(MTF_LOSSES
    binary_cross_entropy
    crf
    cross_entropy
    mse
    set
    soft_targets
    span
)

set(_base alloc.c cpu.c flops.c quota.c random.c status.c threads.c work.c)
set(_blas affine.c gemm.c openblas.c packed.c runtime.c taps.c)
set(_kernels
    count.c
    table.c
    ref/activation.c
    ref/adamw.c
    ref/attention.c
    ref/bf16.c
    ref/column_affine.c
    ref/copy_runs.c
    ref/column_statistics.c
    ref/dropout.c
    ref/elementary.c
    ref/gated.c
    ref/gemm.c
    ref/largest.c
    ref/layernorm.c
    ref/pack.c
    ref/packed.c
    ref/reduce.c
    ref/rmsnorm.c
    ref/rotary.c
    ref/taps.c
)
set(_ops
    activation.c
    adaptive_mean.c
    add.c
    attention.c
    batch_norm.c
    checks.c
    concat.c
    convolution.c
    convolution_bf16.c
    convolution_bwd.c
    depthwise.c
    depthwise_bwd.c
    disentangled.c
    disentangled_bwd.c
    distance_rows.c
    dropout.c
    embedding.c
    gated.c
    grid_max_pool.c
    image_cubic.c
    image_tokens.c
    layer_mix.c
    layernorm.c
    linear.c
    linear_bwd.c
    low_rank.c
    max_pool.c
    mean_pool.c
    norm.c
    normalize.c
    pair_features.c
    pick.c
    pool.c
    relative.c
    repeat_rows.c
    rmsnorm.c
    rotary.c
    row_pool.c
    scale_columns.c
    sine_positions.c
    transitions.c
    windows.c
)
set(_model
    activations.c
    adapter.c
    batch_norm.c
    config.c
    dense.c
    encoder.c
    layers.c
    network.c
    parts.c
    pooling.c
    program.c
    program_nodes.c
    registry.c
    residual_net.c
    rotary_attention.c
    rotary_encoder.c
    sizes.c
    spaces.c
    values.c
    vision_encoder.c
)
set(_losses assignment.c boxes.c losses.c values.c)
set(_heads features.c layers.c)
set(_plan
    batch.c
    blocks.c
    features.c
    forms.c
    grids.c
    places.c
    plan.c
    price.c
    run.c
    scratch.c
    workspace.c
)
set(_object infer.c nodes.c object.c outline.c)
set(_train apply.c finite.c forward.c state.c statistics.c step.c)
set(_avx2
    activation.c
    adamw.c
    attention.c
    attention_bwd.c
    bf16.c
    column_affine.c
    column_statistics.c
    dropout.c
    elementary.c
    fill.c
    gated.c
    gemm.c
    largest.c
    layernorm.c
    pack.c
    packed.c
    packed_bf16.c
    packed_int8.c
    reduce.c
    rmsnorm.c
    rotary.c
    taps.c
)
set(_avx512 activation.c attention.c attention_bwd.c copy_runs.c dropout.c elementary.c fill.c layernorm.c pack.c pack_reduced.c packed.c)
set(_avx512vnni fill.c packed_int8.c)
set(_avx512bf16 fill.c packed_bf16.c)
set(_amx affine_product.c fill.c packed_bf16.c packed_int8.c)
set(_python
    args.c
    arrays.c
    batch.c
    config.c
    errors.c
    forward.c
    freezing.c
    inputs.c
    losses.c
    memory.c
    methods.c
    model.c
    module.c
    moments.c
    nodes.c
    offsets.c
    outline.c
    outputs.c
    params.c
    plan.c
    results.c
    runtime.c
    train.c
    values.c
    watch.c
    whole.c
)

# mtf_listed(OUT FOLDER FILE...): appends the full paths.
function(mtf_listed out folder)
    list(TRANSFORM ARGN PREPEND "${PROJECT_SOURCE_DIR}/csrc/${folder}/" OUTPUT_VARIABLE paths)
    set(${out} ${${out}} ${paths} PARENT_SCOPE)
endfunction()

set(MTF_CORE_SOURCES "")
set(MTF_PYTHON_SOURCES "")
mtf_listed(MTF_CORE_SOURCES base ${_base})
mtf_listed(MTF_CORE_SOURCES blas ${_blas})
mtf_listed(MTF_CORE_SOURCES kernels ${_kernels})
mtf_listed(MTF_CORE_SOURCES ops ${_ops})
mtf_listed(MTF_CORE_SOURCES losses ${_losses})
mtf_listed(MTF_CORE_SOURCES model ${_model})
mtf_listed(MTF_CORE_SOURCES heads ${_heads})
mtf_listed(MTF_CORE_SOURCES plan ${_plan})
mtf_listed(MTF_CORE_SOURCES object ${_object})
mtf_listed(MTF_CORE_SOURCES train ${_train})
foreach(_name IN LISTS MTF_FAMILIES)
    mtf_listed(MTF_CORE_SOURCES families ${_name}.c)
endforeach()
foreach(_name IN LISTS MTF_HEADS)
    mtf_listed(MTF_CORE_SOURCES heads ${_name}.c)
endforeach()
foreach(_name IN LISTS MTF_LOSSES)
    mtf_listed(MTF_CORE_SOURCES losses ${_name}.c)
endforeach()
# From low to high, each with all below it; flags and probes in cmake/isa.cmake.
set(MTF_ISA_LEVELS avx2 avx512 avx512vnni avx512bf16 amx)
foreach(_name IN LISTS MTF_ISA_LEVELS)
    string(TOUPPER ${_name} _level)
    set(MTF_${_level}_SOURCES "")
    mtf_listed(MTF_${_level}_SOURCES kernels/${_name} ${_${_name}})
endforeach()
mtf_listed(MTF_PYTHON_SOURCES python ${_python})
