// The processes as a grid with named axes: data, tensor, pipeline, context, and the expert grid that lies inside data.
#pragma once
#include <memory>

#include "sluice/dist/group.h"

namespace sluice::dist {

// One group an axis. Layouts differ only in what these groups are; code that holds a Mesh never asks how many processes there are.
struct Mesh {
  std::unique_ptr<Group> world, data, tensor, pipeline, context, expert;
};

// Every axis is this process alone.
Mesh single_process_mesh();

}  // namespace sluice::dist
