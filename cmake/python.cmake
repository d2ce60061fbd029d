# SPDX-License-Identifier: Apache-2.0
# The extension module mtfreeze._core and what the package carries beside it (component `python`).
find_package(Python 3.10 COMPONENTS Interpreter Development.Module NumPy REQUIRED)
Python_add_library(_core MODULE WITH_SOABI ${MTF_PYTHON_SOURCES})
mtf_set_flags(_core)
target_include_directories(_core SYSTEM PRIVATE ${Python_NumPy_INCLUDE_DIRS})
target_link_libraries(_core PRIVATE mtfcore)
install(TARGETS _core DESTINATION mtfreeze COMPONENT python)
# The demo's data goes along, so that `mtfreeze demo` runs from any folder; domains/ has the same rows.
install(DIRECTORY "${PROJECT_SOURCE_DIR}/examples/data/" DESTINATION mtfreeze/_examples
    COMPONENT python PATTERN domains EXCLUDE)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/examples/images/" DESTINATION mtfreeze/_examples/images
    COMPONENT python)
