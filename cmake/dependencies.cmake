# What Sluice stands on. Debian packages, and libtorch from the wheel in .venv (scripts/setup.sh installs both).
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
find_package(GTest REQUIRED)

# Sets `result` to the folder of a Python package: `given`, or where that is empty the one in .venv.
function(find_package_folder result package given)
  if(given)
    set(${result} ${given} PARENT_SCOPE)
  else()
    file(GLOB found ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/${package})
    set(${result} ${found} PARENT_SCOPE)
  endif()
endfunction()

# Lets programs look for the libraries in `folder` from their own place first, where it lies in the checkout: one that was moved or copied
# takes those of its own .venv.
function(find_at_run_time folder)
  cmake_path(IS_PREFIX CMAKE_SOURCE_DIR ${folder} NORMALIZE is_inside)
  if(is_inside)
    file(RELATIVE_PATH from_program ${CMAKE_RUNTIME_OUTPUT_DIRECTORY} ${folder})
    set(CMAKE_BUILD_RPATH ${CMAKE_BUILD_RPATH} "$ORIGIN/${from_program}" PARENT_SCOPE)
  endif()
endfunction()

# libtorch by its files rather than by its CMake package: that of a CUDA wheel asks for a whole CUDA toolkit even where none of it is used.
# What such a wheel's libraries need in turn lies in other wheels and is found when the program starts, hence the linker's option.
if(SLUICE_TORCH)
  set(SLUICE_TORCH_PREFIX "" CACHE PATH "Folder of the torch package; empty = the one in .venv")
  find_package_folder(torch_prefix torch "${SLUICE_TORCH_PREFIX}")
  find_at_run_time(${torch_prefix}/lib)
  find_library(torch_cpu torch_cpu PATHS ${torch_prefix}/lib NO_DEFAULT_PATH REQUIRED)
  find_library(torch_c10 c10 PATHS ${torch_prefix}/lib NO_DEFAULT_PATH REQUIRED)
  # The wheel's own OpenMP runtime, so that our kernels and libtorch share one pool of threads (two pools fight for the cores).
  file(GLOB torch_gomp ${torch_prefix}/lib/libgomp*.so* ${torch_prefix}/../torch.libs/libgomp*.so*)
  if(NOT torch_gomp)
    message(FATAL_ERROR "${torch_prefix} holds no libgomp: run scripts/setup.sh")
  endif()
  add_library(sluice_openmp INTERFACE)
  target_link_libraries(sluice_openmp INTERFACE ${torch_gomp})
  add_library(sluice_libtorch INTERFACE)
  target_include_directories(sluice_libtorch SYSTEM INTERFACE ${torch_prefix}/include ${torch_prefix}/include/torch/csrc/api/include)
  target_link_libraries(sluice_libtorch INTERFACE ${torch_cpu} ${torch_c10} sluice_openmp)
  target_link_options(sluice_libtorch INTERFACE -Wl,--unresolved-symbols=ignore-in-shared-libs)
endif()

# Arrow's C++ libraries by their files, from the wheel of pyarrow in .venv: headers and libraries lie in it, Debian has none.
option(SLUICE_PARQUET "Read Parquet, by the Arrow of the pyarrow wheel" ON)
if(SLUICE_PARQUET)
  set(SLUICE_ARROW_PREFIX "" CACHE PATH "Folder of the pyarrow package; empty = the one in .venv")
  find_package_folder(arrow_prefix pyarrow "${SLUICE_ARROW_PREFIX}")
  find_at_run_time("${arrow_prefix}")
  # The wheel's libraries carry their version in the name and no link without it.
  file(GLOB arrow_library ${arrow_prefix}/libarrow.so.*)
  file(GLOB arrow_parquet_library ${arrow_prefix}/libparquet.so.*)
  if(NOT arrow_library OR NOT arrow_parquet_library)
    message(FATAL_ERROR "no Arrow in '${arrow_prefix}': run scripts/setup.sh, or build without Parquet: -DSLUICE_PARQUET=OFF")
  endif()
  add_library(sluice_arrow INTERFACE)
  target_include_directories(sluice_arrow SYSTEM INTERFACE ${arrow_prefix}/include)
  target_link_libraries(sluice_arrow INTERFACE ${arrow_parquet_library} ${arrow_library})
endif()
