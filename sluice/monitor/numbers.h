// Numbers as people read them.
#pragma once
#include <cstdint>
#include <string>

namespace sluice::monitor {

std::string format_fixed(double value, int decimals);  // 2.3456; "nan", "inf"
std::string format_short(double value);                // at most four significant digits: 0.0213, 1.2e-05, 12.3k, 4.5M
std::string format_scientific(double value);           // 1.0e-05
std::string format_grouped(double value);              // 4,321 (rounded)
std::string format_percent(double share);              // 12.5 %
std::string format_bytes(std::uint64_t bytes);         // 1.2 GiB
std::string format_duration(double seconds);           // 03:12, 1:02:03, 2d 03:04; "--:--" when not finite

}  // namespace sluice::monitor
