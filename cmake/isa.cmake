# SPDX-License-Identifier: Apache-2.0
# Which ISA folders join, by compile probe, and the flags that only their files get.
# MTF_COMPILES_AVX2 says that the compiler can; whether the CPU can is asked at run time (base/cpu.c).
include(CheckCSourceCompiles)
set(MTF_AVX2_FLAGS "-mavx2;-mfma")
if(MSVC)
    set(MTF_AVX2_FLAGS "/arch:AVX2")
endif()
string(REPLACE ";" " " CMAKE_REQUIRED_FLAGS "${MTF_AVX2_FLAGS}")
check_c_source_compiles("
    #include <immintrin.h>
    int main(void) {
        __m256 a = _mm256_set1_ps(1.0f);
        a = _mm256_fmadd_ps(a, a, a);
        __m256i b = _mm256_add_epi32(_mm256_castps_si256(a), _mm256_set1_epi32(1));
        return _mm256_extract_epi32(b, 0) == 0;
    }" MTF_COMPILES_AVX2)
unset(CMAKE_REQUIRED_FLAGS)

set_source_files_properties(${MTF_AVX2_SOURCES} PROPERTIES COMPILE_OPTIONS "${MTF_AVX2_FLAGS}")
