// A YAML file as a tree, with errors that name the file, the line, the column and what stands there.
#pragma once
#include <yaml-cpp/yaml.h>

#include <string>

#include "sluice/base/file.h"

namespace sluice::config {

struct YamlFile {
  std::string name;  // as given, for errors
  std::string text;  // ends with a line end
  YAML::Node root;   // marks are places in `text`
};

// Error for what is no YAML, and for several documents in one file.
YamlFile read_yaml(const fs::path& path);

// The text of a scalar of the file. Error for one in quotes that are never closed, of which yaml-cpp makes all the rest of the file.
std::string scalar_text(const YAML::Node& scalar, const YamlFile& file);

}  // namespace sluice::config
