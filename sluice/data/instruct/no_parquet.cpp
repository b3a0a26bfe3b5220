// In place of parquet_rows.cpp in a build without Arrow (-DSLUICE_PARQUET=OFF).
#include "sluice/base/error.h"
#include "sluice/data/instruct/rows.h"

namespace sluice::data {

std::unique_ptr<RowSource> open_parquet(const fs::path& path, const WantedColumns&) {
  throw Error(path.string() + " is Parquet, which this build of sluice leaves out",
              "build with -DSLUICE_PARQUET=ON, or give the rows as .jsonl");
}

}  // namespace sluice::data
