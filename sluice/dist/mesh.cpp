#include "sluice/dist/mesh.h"

namespace sluice::dist {

Mesh single_process_mesh() { return {self_group(), self_group(), self_group(), self_group(), self_group(), self_group()}; }

}  // namespace sluice::dist
