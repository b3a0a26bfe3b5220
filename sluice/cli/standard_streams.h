// Standard input, output and error: open when the program starts, and whole when it ends.
#pragma once
#include <ostream>
#include <string>

namespace sluice::cli {

// Opens those of descriptors 0 to 2 that the caller has closed, so that no file of ours gets their numbers and what is printed with it.
// Writing to a closed standard output then fails, as it should; what would go to a closed standard error is dropped.
void open_standard_streams();

// Error when something printed to standard output has not arrived (a full disk, say): an answer that is cut must not look like one.
void require_output_written();

// Writes `text` to `out` so that its reader has it now. Error when it cannot be written.
void write_now(std::ostream& out, const std::string& text);

}  // namespace sluice::cli
