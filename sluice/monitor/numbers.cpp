#include "sluice/monitor/numbers.h"

#include <cmath>
#include <cstdio>

namespace sluice::monitor {
namespace {

template <class... Args>
std::string print(const char* format, Args... args) {
  char text[64];
  const int length = std::snprintf(text, sizeof text, format, args...);
  return std::string(text, static_cast<std::size_t>(length) < sizeof text ? static_cast<std::size_t>(length) : sizeof text - 1);
}

}  // namespace

std::string format_fixed(double value, int decimals) {
  return std::abs(value) < 1e15 ? print("%.*f", decimals, value) : print("%.3e", value);
}

std::string format_short(double value) {
  const double size = std::abs(value);
  if (size >= 9.9995e8 || (size > 0 && size < 1e-3)) return print("%.3g", value);
  if (size >= 1e6) return print("%.3gM", value / 1e6);
  if (size >= 1e4) return print("%.3gk", value / 1e3);
  return print("%.4g", value);
}

std::string format_scientific(double value) { return print("%.1e", value); }

std::string format_grouped(double value) {
  std::string digits = format_fixed(value, 0);
  if (digits.find_first_not_of("-0123456789") != std::string::npos) return digits;
  const std::size_t first = digits[0] == '-' ? 1 : 0;
  for (std::size_t place = digits.size(); place > first + 3; place -= 3) digits.insert(place - 3, 1, ',');
  return digits;
}

std::string format_percent(double share) { return format_fixed(100 * share, 1) + " %"; }

std::string format_bytes(std::uint64_t bytes) {
  const char* const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  for (; value >= 1023.95 && unit < 5; ++unit) value /= 1024;
  return (unit == 0 ? print("%.0f ", value) : print(value < 99.95 ? "%.1f " : "%.0f ", value)) + units[unit];
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e12) return "--:--";
  const auto total = std::llround(seconds);
  const long long minutes = total / 60 % 60, hours = total / 3600 % 24, days = total / 86400;
  if (days > 0) return print("%lldd %02lld:%02lld", days, hours, minutes);
  if (hours > 0) return print("%lld:%02lld:%02lld", hours, minutes, total % 60);
  return print("%02lld:%02lld", minutes, total % 60);
}

}  // namespace sluice::monitor
