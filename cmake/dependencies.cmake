# What Sluice stands on. Debian packages, and libtorch from the wheel in .venv (scripts/setup.sh installs both).
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
find_package(GTest REQUIRED)

if(SLUICE_TORCH)
  if(NOT SLUICE_TORCH_PREFIX)
    file(GLOB SLUICE_TORCH_PREFIX ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
  endif()
  find_package(Torch REQUIRED HINTS ${SLUICE_TORCH_PREFIX})
  # The wheel's own OpenMP runtime, so that our kernels and libtorch share one pool of threads (two pools fight for the cores).
  file(GLOB SLUICE_GOMP ${SLUICE_TORCH_PREFIX}/lib/libgomp*.so*)
endif()
