# SPDX-License-Identifier: Apache-2.0
# Where the library of the package `scipy-openblas32` lies, for the C tests. Nothing links against it:
# the levels that need it load it at run time, by its absolute path.
# Result: MTF_OPENBLAS_LIBRARY, empty where it is not installed; it may be set by hand.
set(MTF_OPENBLAS_LIBRARY "" CACHE FILEPATH "shared OpenBLAS to test with (found by itself with Python)")
if(MTF_BLAS STREQUAL "openblas" AND MTF_TESTS AND NOT MTF_OPENBLAS_LIBRARY)
    find_package(Python 3.10 COMPONENTS Interpreter QUIET)
    if(Python_Interpreter_FOUND)
        execute_process(
            COMMAND "${Python_EXECUTABLE}" "${CMAKE_CURRENT_LIST_DIR}/find_openblas.py"
            OUTPUT_VARIABLE MTF_OPENBLAS_LIBRARY OUTPUT_STRIP_TRAILING_WHITESPACE)
    endif()
endif()
message(STATUS "mtfreeze ${MTF_VERSION}: MTF_BLAS=${MTF_BLAS} ${MTF_OPENBLAS_LIBRARY}")
