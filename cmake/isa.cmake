# SPDX-License-Identifier: Apache-2.0
# Which ISA folders join, by compile probe, and the flags that only their files get.
# MTF_COMPILES_<LEVEL> says that the compiler can; whether the CPU can is asked at run time (base/cpu.c).
# Levels are a chain: one that does not compile leaves out those above it, too.
include(CheckCSourceCompiles)

# mtf_isa_level(NAME FLAGS BELOW BODY): BODY are statements of main that must compile with FLAGS.
function(mtf_isa_level name flags below body)
    string(TOUPPER ${name} level)
    if(below AND NOT MTF_COMPILES_${below})
        set(MTF_COMPILES_${level} 0 PARENT_SCOPE)
        return()
    endif()
    string(REPLACE ";" " " CMAKE_REQUIRED_FLAGS "${flags}")
    check_c_source_compiles("
        #include <immintrin.h>
        int main(void) { ${body} }" MTF_COMPILES_${level})
    set_source_files_properties(${MTF_${level}_SOURCES} PROPERTIES COMPILE_OPTIONS "${flags}")
endfunction()

if(MSVC)
    set(_avx2_flags "/arch:AVX2")
    set(_avx512_flags "/arch:AVX512")
    set(_vnni_flags "/arch:AVX512")
    set(_bf16_flags "/arch:AVX512")
    set(_amx_flags "/arch:AVX512")
else()
    set(_avx2_flags "-mavx2;-mfma")
    set(_avx512_flags "${_avx2_flags};-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl")
    set(_vnni_flags "${_avx512_flags};-mavx512vnni")
    set(_bf16_flags "${_vnni_flags};-mavx512bf16")
    set(_amx_flags "${_bf16_flags};-mamx-tile;-mamx-bf16;-mamx-int8")
endif()

mtf_isa_level(avx2 "${_avx2_flags}" "" "
    __m256 a = _mm256_set1_ps(1.0f);
    a = _mm256_fmadd_ps(a, a, a);
    __m256i b = _mm256_add_epi32(_mm256_castps_si256(a), _mm256_set1_epi32(1));
    return _mm256_extract_epi32(b, 0) == 0;")
mtf_isa_level(avx512 "${_avx512_flags}" AVX2 "
    __m512 a = _mm512_maskz_loadu_ps((__mmask16)1, (float[16]){1.0f});
    a = _mm512_and_ps(_mm512_fmadd_ps(a, a, a), a);
    __m512i b = _mm512_add_epi8(_mm512_castps_si512(a), _mm512_set1_epi8(1));
    return _mm512_reduce_add_epi32(b) == 0;")
mtf_isa_level(avx512vnni "${_vnni_flags}" AVX512 "
    __m512i a = _mm512_set1_epi8(1);
    return _mm512_reduce_add_epi32(_mm512_dpbusd_epi32(a, a, a)) == 0;")
mtf_isa_level(avx512bf16 "${_bf16_flags}" AVX512VNNI "
    __m512 a = _mm512_set1_ps(1.0f);
    __m512bh b = _mm512_cvtne2ps_pbh(a, a);
    return _mm512_reduce_add_ps(_mm512_dpbf16_ps(a, b, b)) == 0;")
mtf_isa_level(amx "${_amx_flags}" AVX512BF16 "
    char configuration[64] = {1};
    _tile_loadconfig(configuration);
    _tile_zero(0);
    _tile_dpbusd(0, 1, 2);
    _tile_dpbf16ps(0, 1, 2);
    _tile_release();
    return 0;")
