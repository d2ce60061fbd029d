# SPDX-License-Identifier: Apache-2.0
# Finds the shared library of the build requirement `scipy-openblas32`. Nothing links against it: it is
# copied into the package (mtfreeze/_libs) and loaded from there at run time by absolute path.
# On Linux without its table of local symbols, which only debuggers read: 0.9 MB.
# Result: MTF_OPENBLAS_FILES (library, companions, licence; empty without it) and MTF_OPENBLAS_LIBRARY,
# which a build without Python may set by hand so that the C tests cover OpenBLAS too.
set(MTF_OPENBLAS_LIBRARY "" CACHE FILEPATH "shared OpenBLAS to use (found by itself where Python is)")
set(MTF_OPENBLAS_FILES "${MTF_OPENBLAS_LIBRARY}")
if(MTF_BLAS STREQUAL "openblas" AND NOT MTF_OPENBLAS_LIBRARY)
    set(_need QUIET)
    if(MTF_PYTHON)
        set(_need REQUIRED)
    endif()
    find_package(Python 3.10 COMPONENTS Interpreter ${_need})
    if(Python_Interpreter_FOUND)
        execute_process(
            COMMAND "${Python_EXECUTABLE}" "${CMAKE_CURRENT_LIST_DIR}/find_openblas.py"
            OUTPUT_VARIABLE MTF_OPENBLAS_FILES OUTPUT_STRIP_TRAILING_WHITESPACE)
    endif()
    if(MTF_OPENBLAS_FILES)
        list(GET MTF_OPENBLAS_FILES 0 MTF_OPENBLAS_LIBRARY)
        if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND CMAKE_STRIP)
            get_filename_component(_name "${MTF_OPENBLAS_LIBRARY}" NAME)
            set(_stripped "${CMAKE_CURRENT_BINARY_DIR}/openblas/${_name}")
            file(MAKE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/openblas")
            execute_process(
                COMMAND "${CMAKE_STRIP}" --strip-unneeded -o "${_stripped}" "${MTF_OPENBLAS_LIBRARY}"
                RESULT_VARIABLE _failed)
            if(_failed)
                message(WARNING "${CMAKE_STRIP} failed: OpenBLAS is carried as it is")
            else()
                list(REMOVE_AT MTF_OPENBLAS_FILES 0)
                list(PREPEND MTF_OPENBLAS_FILES "${_stripped}")
                set(MTF_OPENBLAS_LIBRARY "${_stripped}")
            endif()
        endif()
    elseif(MTF_PYTHON)
        message(FATAL_ERROR "the build requirement scipy-openblas32 is not installed for "
            "${Python_EXECUTABLE}: build through pip, or pass -DMTF_BLAS=ref")
    endif()
endif()
message(STATUS "mtfreeze ${MTF_VERSION}: MTF_BLAS=${MTF_BLAS} ${MTF_OPENBLAS_LIBRARY}")
