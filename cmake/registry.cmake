# SPDX-License-Identifier: Apache-2.0
# Writes <build>/registry.c, the tables of model families and kinds of heads declared in
# csrc/model/registry.h, from the lists MTF_FAMILIES and MTF_HEADS of cmake/sources.cmake.
set(MTF_REGISTRY_DECLARATIONS "")
set(MTF_FAMILY_ENTRIES "")
set(MTF_HEAD_ENTRIES "")
foreach(_name IN LISTS MTF_FAMILIES)
    string(APPEND MTF_REGISTRY_DECLARATIONS "extern const mtf_family mtf_family_${_name};\n")
    string(APPEND MTF_FAMILY_ENTRIES "    &mtf_family_${_name},\n")
endforeach()
foreach(_name IN LISTS MTF_HEADS)
    string(APPEND MTF_REGISTRY_DECLARATIONS "extern const mtf_head_kind mtf_head_${_name};\n")
    string(APPEND MTF_HEAD_ENTRIES "    &mtf_head_${_name},\n")
endforeach()
set(MTF_REGISTRY_SOURCE "${CMAKE_CURRENT_BINARY_DIR}/registry.c")
configure_file(cmake/registry.c.in "${MTF_REGISTRY_SOURCE}" @ONLY)
