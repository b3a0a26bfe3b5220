#!/usr/bin/env python3
"""Writes sluice/text/unicode_{tables,classes,newer,scripts,compatibility}.cpp: what HF's `tokenizers` knows of Unicode.

Its parts carry Unicode data of several ages (regular expressions 16.0, normal forms 12.0, marks 9.0, punctuation and control characters 8.0,
case and numbers of its Rust compiler), so the tables are taken from it, character by character, rather than from one version of the Unicode Character Database.
Run it from the root of the project: .venv/bin/python scripts/make_unicode_tables.py
"""
import ctypes
import pathlib
import unicodedata

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
WIDTH = 138
FOLDER = pathlib.Path("sluice/text")


def form(name):
    normalizer = getattr(normalizers, name)()
    return normalizer.normalize_str


nfc, nfd, nfkd, lower = form("NFC"), form("NFD"), form("NFKD"), form("Lowercase")


def rows(items):
    line = " "
    for item in items:
        if len(line) + 1 + len(item) > WIDTH:
            yield line
            line = " "
        line += " " + item
    yield line


def array(kind, name, items):
    return "\n".join([f"constexpr {kind} {name}Rows[] = {{", *rows(items), "};\n"])


def decompositions():
    """{code, first, second, composes}: one step, as the Unicode Character Database has it, of the characters that HF decomposes."""
    for code in CODES:
        if nfd(chr(code)) == chr(code) or 0xAC00 <= code < 0xAC00 + 11172:
            continue
        parts = [int(p, 16) for p in unicodedata.decomposition(chr(code)).split()]
        composes = len(parts) == 2 and nfc(nfd(chr(code))) == chr(code)
        yield f"{{{code:#x},{parts[0]:#x},{parts[1] if len(parts) == 2 else 0:#x},{int(composes)}}},"


def runs(values):
    """[first, last, value] of neighbouring codes with one value; `values` maps codes to values."""
    run = None
    for code in sorted(values):
        if run and values[code] == run[2] and code == run[1] + 1:
            run[1] = code
            continue
        if run:
            yield run
        run = [code, code, values[code]]
    if run:
        yield run


def combining_classes():
    """HF knows a mark's class when it moves the mark behind, or before, one of another class."""
    values = {}
    for code in CODES:
        value = unicodedata.combining(chr(code))
        pair = chr(code) + "\u0334" if value > 1 else "\u0301" + chr(code)
        if value and nfd(pair) != pair:
            values[code] = value
    for first, last, value in runs(values):
        yield f"{{{first:#x},{last:#x},{value}}},"


def lower_cases():
    """Runs of codes at one distance from each other and from their lower case."""
    pairs = [(c, ord(lower(chr(c))) - c) for c in CODES if len(lower(chr(c))) == 1 and lower(chr(c)) != chr(c)]
    at = 0
    while at < len(pairs):
        first, delta = pairs[at]
        end = at + 1
        step = pairs[end][0] - first if end < len(pairs) and pairs[end][1] == delta and pairs[end][0] - first <= 2 else 1
        while end < len(pairs) and pairs[end][1] == delta and pairs[end][0] == pairs[end - 1][0] + step:
            end += 1
        yield f"{{{first:#x},{pairs[end - 1][0]:#x},{step},{delta}}},"
        at = end


def ranges_where(holds):
    for first, last, _ in runs({code: True for code in CODES if holds(chr(code))}):
        yield f"{{{first:#x},{last:#x}}},"


def scripts():
    """{code: number of its script} for the characters that UnicodeScripts knows; those that are of no script join any other."""
    split = pre_tokenizers.UnicodeScripts().pre_tokenize_str
    joined = lambda a, b: len(split(a + b)) == 1  # noqa: E731
    numbers, examples, previous = {}, [], None
    for code in CODES:
        c = chr(code)
        if unicodedata.category(c) in ("Cn", "Co") or joined("a", c) and joined("\u0430", c):
            continue  # of no script
        if previous is not None and joined(previous, c):
            numbers[code] = numbers[ord(previous)]
        else:
            same = [i for i, example in enumerate(examples) if joined(example, c)]
            numbers[code] = same[0] if same else len(examples)
            examples += [] if same else [c]
        previous = c
    for first, last, number in runs(numbers):
        yield f"{{{first:#x},{last:#x},{number}}},"


def removed_by(normalizer):
    return lambda c: normalizer.normalize_str("a" + c + "b") == "ab"


def isolated_by(pre_tokenizer):
    return lambda c: len(pre_tokenizer.pre_tokenize_str("a" + c + "b")) == 3


CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cn Co L M N P S Z C LC".split()
BINARY = "Alphabetic Lowercase Uppercase Cased Emoji Emoji_Presentation Ideographic".split()
SCRIPTS = ("Arabic Balinese Common Cyrillic Devanagari Egyptian_Hieroglyphs Han Hiragana Kannada Katakana Khitan_Small_Script Khojki Lao Latin Myanmar Unknown "
           "Arab Bali Zyyy Cyrl Deva Egyp Hani Hira Knda Kana Kits Khoj Laoo Latn Mymr Zzzz").split()
BLOCKS = [CODES[at : at + 4096] for at in range(0, len(CODES), 4096)]


def matched_by_hf(pattern):
    remove = normalizers.Replace(Regex(pattern), "").normalize_str
    return {code for block in BLOCKS for code in set(block) - set(map(ord, remove("".join(map(chr, block)))))}


def matched_by_pcre2(pattern):
    pcre2 = ctypes.CDLL("libpcre2-8.so.0")
    version = ctypes.create_string_buffer(24)
    pcre2.pcre2_config_8(10, version)  # PCRE2_CONFIG_UNICODE_VERSION
    assert version.value == b"14.0.0", f"the tables are the differences to PCRE2 10.42, not to one with Unicode {version.value}"
    pcre2.pcre2_compile_8.restype = pcre2.pcre2_match_data_create_8.restype = ctypes.c_void_p
    pcre2.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(ctypes.c_size_t)
    size, failure, place = ctypes.c_size_t, ctypes.c_int(), ctypes.c_size_t()
    utf_and_ucp = 0x000A0000
    code = pcre2.pcre2_compile_8(pattern.encode(), size(len(pattern)), utf_and_ucp, ctypes.byref(failure), ctypes.byref(place), None)
    assert code, pattern
    data = ctypes.c_void_p(pcre2.pcre2_match_data_create_8(1, None))
    found = pcre2.pcre2_get_ovector_pointer_8(data)
    codes = set()
    for block in BLOCKS:
        text, at = "".join(map(chr, block)).encode(), 0
        while pcre2.pcre2_match_8(ctypes.c_void_p(code), text, size(len(text)), size(at), 0, data, None) > 0:
            at = found[1]
            codes.update(map(ord, text[found[0] : at].decode()))
    return codes


def newer():
    """{first, last, properties}: the characters of which HF's regular expressions and PCRE2's know different properties."""
    values = {}
    for name in CATEGORIES + BINARY + SCRIPTS:
        hf, ours = matched_by_hf(f"\\p{{{name}}}"), matched_by_pcre2(f"\\p{{sc:{name}}}+" if name in SCRIPTS else f"\\p{{{name}}}+")
        for codes, sign in ((hf - ours, " "), (ours - hf, " !")):
            for code in codes:
                values[code] = values.get(code, "") + sign + name.lower().replace("_", "")
    for first, last, value in runs(values):
        yield f'{{{first:#x},{last:#x},"{value} "}},'


def escaped(character):
    code = ord(character)
    if code < 0x80:
        return "\\" * (character in '"\\?') + character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def compatibility():
    """Full compatibility decompositions where they differ from the canonical ones, as UTF-8."""
    for code in CODES:
        whole = nfkd(chr(code))
        if whole != nfd(chr(code)):
            text = "".join(escaped(c) for c in whole)
            yield f'{{{code:#x},"{text}"}},'


def source(header, tables, functions):
    return f"""// Written by scripts/make_unicode_tables.py from what tokenizers {tokenizers.__version__} does; do not edit.
// The data are facts of the Unicode Standard, (c) Unicode, Inc., https://www.unicode.org/license.txt
#include "sluice/text/{header}"

// clang-format off
namespace sluice::text {{
namespace {{

{chr(10).join(tables)}
}}  // namespace

{functions}
}}  // namespace sluice::text
"""


def bert(**options):
    return normalizers.BertNormalizer(**{"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False, **options})


(FOLDER / "unicode_tables.cpp").write_text(source("unicode_tables.h", [
    array("Decomposition", "kDecomposition", decompositions()),
    array("CombiningRange", "kCombining", combining_classes()),
    array("LowerRange", "kLower", lower_cases()),
], """std::span<const Decomposition> decompositions() { return kDecompositionRows; }
std::span<const CombiningRange> combining_ranges() { return kCombiningRows; }
std::span<const LowerRange> lower_ranges() { return kLowerRows; }
"""))
(FOLDER / "unicode_classes.cpp").write_text(source("unicode_tables.h", [
    array("CodeRange", "kMark", ranges_where(removed_by(normalizers.StripAccents()))),
    array("CodeRange", "kNonspacingMark", ranges_where(removed_by(bert(strip_accents=True)))),
    array("CodeRange", "kControl", ranges_where(removed_by(bert(clean_text=True)))),
    array("CodeRange", "kPunctuation", ranges_where(isolated_by(pre_tokenizers.Punctuation()))),
    array("CodeRange", "kNumeric", ranges_where(isolated_by(pre_tokenizers.Digits(individual_digits=True)))),
], """std::span<const CodeRange> mark_ranges() { return kMarkRows; }
std::span<const CodeRange> nonspacing_mark_ranges() { return kNonspacingMarkRows; }
std::span<const CodeRange> control_ranges() { return kControlRows; }
std::span<const CodeRange> punctuation_ranges() { return kPunctuationRows; }
std::span<const CodeRange> numeric_ranges() { return kNumericRows; }
"""))
(FOLDER / "unicode_newer.cpp").write_text(source("unicode_tables.h", [array("NewerRange", "kNewer", newer())],
    "std::span<const NewerRange> newer_ranges() { return kNewerRows; }\n"))
(FOLDER / "unicode_scripts.cpp").write_text(source("unicode_tables.h", [array("ScriptRange", "kScript", scripts())],
    "std::span<const ScriptRange> script_ranges() { return kScriptRows; }\n"))
(FOLDER / "unicode_compatibility.cpp").write_text(source("unicode_tables.h", [array("Compatibility", "kCompatibility", compatibility())],
    "std::span<const Compatibility> compatibilities() { return kCompatibilityRows; }\n"))
