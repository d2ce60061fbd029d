# SPDX-License-Identifier: Apache-2.0
# Warnings, optimisation and sanitizers for every target of ours.
# Baseline instruction set everywhere (ISA flags are per file, cmake/isa.cmake), never -ffast-math, and no
# contraction of a*b+c: the same bits from every compiler. A kernel that wants fma says so by intrinsics.
include(CheckCCompilerFlag)
string(REPLACE "," ";" _sanitizers "${MTF_SANITIZE}")
foreach(_name IN LISTS _sanitizers)
    if(NOT _name MATCHES "^(address|undefined|thread)$")
        message(FATAL_ERROR "MTF_SANITIZE knows address, undefined and thread, found '${_name}'")
    endif()
endforeach()

# mtf_set_flags(TARGET): language mode, warnings, floating point, coverage, sanitizers.
function(mtf_set_flags target)
    if(MSVC)
        target_compile_options(${target} PRIVATE /W4 /fp:precise $<$<BOOL:${MTF_WERROR}>:/WX>)
        return()
    endif()
    target_compile_definitions(${target} PRIVATE _POSIX_C_SOURCE=200809L)
    target_compile_options(${target} PRIVATE
        -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
        -ffp-contract=off $<$<CONFIG:Release>:-O3> $<$<BOOL:${MTF_WERROR}>:-Werror>)
    if(MTF_COVERAGE)
        target_compile_options(${target} PRIVATE --coverage -fprofile-update=atomic)
        target_link_options(${target} PUBLIC --coverage)
    endif()
    foreach(name IN LISTS _sanitizers)
        target_compile_options(${target} PRIVATE
            -fsanitize=${name} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
        target_link_options(${target} PUBLIC -fsanitize=${name})
    endforeach()
endfunction()
