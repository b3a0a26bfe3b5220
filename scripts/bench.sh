#!/usr/bin/env bash
# Our training step against its peers, in turn, on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python bench/compare.py "$@"
