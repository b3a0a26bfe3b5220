// What every rank but the leader does in a run: the same steps, without a folder of its own.
#pragma once
#include "sluice/dist/mesh.h"
#include "sluice/train/recipe.h"

namespace sluice::train {

// Trains along with run() on the leader. Throws StoppedByAnotherRank where the leader says why the run ends, Interrupted after it has saved.
void follow(const ResolvedRecipe& resolved, const dist::Mesh& mesh);

}  // namespace sluice::train
