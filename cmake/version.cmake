# SPDX-License-Identifier: Apache-2.0
# Reads MTF_VERSION from csrc/include/mtfreeze.h, the one place where the version is written.
set(_header "${CMAKE_CURRENT_SOURCE_DIR}/csrc/include/mtfreeze.h")
file(STRINGS "${_header}" _version_line REGEX "MTF_VERSION_TEXT \"" LIMIT_COUNT 1)
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" MTF_VERSION "${_version_line}")
if(NOT MTF_VERSION)
    message(FATAL_ERROR "no line '#define MTF_VERSION_TEXT \"X.Y.Z\"' in ${_header}")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${_header}")
