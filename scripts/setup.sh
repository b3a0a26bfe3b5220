#!/usr/bin/env bash
# Installs what is missing: Debian packages (as root or with sudo) and the Python tools in .venv. Quick when nothing is.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(ninja-build cmake g++ pkg-config python3-venv libyaml-cpp-dev nlohmann-json3-dev libcli11-dev libpcre2-dev libsentencepiece-dev zlib1g-dev libgtest-dev libgloo-dev)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]}"
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "error: these Debian packages are missing: ${missing[*]}; install them as root, then run this again" >&2; exit 2; }
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

stamp=.venv/.lock-installed
if [ ! -x .venv/bin/python ]; then
  echo "setup: making .venv"
  python3 -m venv .venv
fi
if ! cmp -s scripts/requirements.lock "$stamp"; then
  echo "setup: installing Python packages into .venv"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement scripts/requirements.lock
  cp scripts/requirements.lock "$stamp"
fi
if ! cmp -s scripts/requirements-transformers4.lock .venv/.lock-transformers4-installed; then
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target .venv/transformers4 --requirement scripts/requirements-transformers4.lock
  cp scripts/requirements-transformers4.lock .venv/.lock-transformers4-installed
fi
