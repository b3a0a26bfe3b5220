// Every tensor of a folder is used exactly once and every parameter filled exactly once, or there is no conversion.
#pragma once
#include <set>
#include <string>
#include <vector>

namespace sluice::convert {

class CoverageCheck {
 public:
  // `names`: what the folder holds.
  CoverageCheck(std::string folder, const std::set<std::string>& names) : folder_(std::move(folder)), unused_(names) {}

  bool use(const std::string& name) { return unused_.erase(name) > 0; }  // false: there is none, or it was used before
  void missing(const std::string& name) { missing_.push_back(name); }
  void wrong_shape(const std::string& name, const std::vector<std::int64_t>& found, const std::vector<std::int64_t>& expected);
  void ignore(const std::string& name) { unused_.erase(name); }

  // Error that lists all faults together.
  void finish() const;

 private:
  std::string folder_;
  std::set<std::string> unused_;
  std::vector<std::string> missing_, shapes_;
};

}  // namespace sluice::convert
