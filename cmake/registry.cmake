# SPDX-License-Identifier: Apache-2.0
# Writes <build>/registry.c: the tables of model families and heads, from the lists of names in
# cmake/sources.cmake. csrc/model/<name>.c defines `const mtf_family mtf_family_<name>`, and
# csrc/model/<name>.c of a head `const mtf_head_kind mtf_head_<name>`.
set(MTF_FAMILY_DECLARATIONS "")
set(MTF_FAMILY_ENTRIES "")
foreach(_name IN LISTS MTF_FAMILIES)
    string(APPEND MTF_FAMILY_DECLARATIONS "extern const mtf_family mtf_family_${_name};\n")
    string(APPEND MTF_FAMILY_ENTRIES "    &mtf_family_${_name},\n")
endforeach()
set(MTF_HEAD_DECLARATIONS "")
set(MTF_HEAD_ENTRIES "")
foreach(_name IN LISTS MTF_HEADS)
    string(APPEND MTF_HEAD_DECLARATIONS "extern const mtf_head_kind mtf_head_${_name};\n")
    string(APPEND MTF_HEAD_ENTRIES "    &mtf_head_${_name},\n")
endforeach()
set(MTF_REGISTRY_SOURCE "")
if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/csrc/model/registry.c.in")
    set(MTF_REGISTRY_SOURCE "${CMAKE_CURRENT_BINARY_DIR}/registry.c")
    configure_file(csrc/model/registry.c.in "${MTF_REGISTRY_SOURCE}" @ONLY)
endif()
