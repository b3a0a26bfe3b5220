#!/usr/bin/env python3
"""Writes sluice/text/unicode_tables.cpp from the Unicode Character Database that this Python carries.

Run it from the root of the project: python3 scripts/make_unicode_tables.py > sluice/text/unicode_tables.cpp
"""
import unicodedata

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
WIDTH = 138


def rows(items):
    line = " "
    for item in items:
        if len(line) + 1 + len(item) > WIDTH:
            yield line
            line = " "
        line += " " + item
    yield line


def array(kind, name, items):
    print(f"\nconstexpr {kind} {name}Rows[] = {{")
    print("\n".join(rows(items)))
    print("};")


def decompositions():
    for code in CODES:
        parts = unicodedata.decomposition(chr(code))
        if not parts or parts.startswith("<"):
            continue
        parts = [int(p, 16) for p in parts.split()]
        composes = len(parts) == 2 and unicodedata.normalize("NFC", chr(code)) == chr(code)
        yield f"{{{code:#x},{parts[0]:#x},{parts[1] if len(parts) == 2 else 0:#x},{int(composes)}}},"


def combining_classes():
    """Runs of neighbouring codes with one class."""
    run = None
    for code in CODES + [None]:
        value = unicodedata.combining(chr(code)) if code is not None else 0
        if run and value == run[2] and code == run[1] + 1:
            run[1] = code
            continue
        if run:
            yield f"{{{run[0]:#x},{run[1]:#x},{run[2]}}},"
        run = [code, code, value] if value else None


def lower_cases():
    """Runs of codes at one distance from each other and from their lower case."""
    pairs = [(c, ord(chr(c).lower()) - c) for c in CODES if len(chr(c).lower()) == 1 and chr(c).lower() != chr(c)]
    at = 0
    while at < len(pairs):
        first, delta = pairs[at]
        end = at + 1
        step = pairs[end][0] - first if end < len(pairs) and pairs[end][1] == delta and pairs[end][0] - first <= 2 else 1
        while end < len(pairs) and pairs[end][1] == delta and pairs[end][0] == pairs[end - 1][0] + step:
            end += 1
        yield f"{{{first:#x},{pairs[end - 1][0]:#x},{step},{delta}}},"
        at = end


print(f"// Written by scripts/make_unicode_tables.py from the Unicode Character Database {unicodedata.unidata_version}; do not edit.")
print("// The data are facts of the Unicode Standard, (c) Unicode, Inc., https://www.unicode.org/license.txt")
print('#include "sluice/text/unicode_tables.h"\n\n// clang-format off\nnamespace sluice::text {\nnamespace {')
array("Decomposition", "kDecomposition", decompositions())
array("CombiningRange", "kCombining", combining_classes())
array("LowerRange", "kLower", lower_cases())
print("\n}  // namespace\n")
print("std::span<const Decomposition> decompositions() { return kDecompositionRows; }")
print("std::span<const CombiningRange> combining_ranges() { return kCombiningRows; }")
print("std::span<const LowerRange> lower_ranges() { return kLowerRows; }")
print("\n}  // namespace sluice::text")
