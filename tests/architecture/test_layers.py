"""The shape of the tree: LAYERS is kept, files stay short, headers are for readers. Each check is tried on a made-up tree that breaks it."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = {".h", ".cpp", ".cu", ".cuh"}
MAX_LINES = 600


def read_layers(path):
    """Returns ({folder: height}, {(folder, sibling)}): lowest first, `folder>sibling` = may include it on its own line."""
    height, allowed = {}, set()
    lines = [line.split("#")[0].split() for line in path.read_text().splitlines()]
    for level, words in enumerate(filter(None, lines)):
        for word in words:
            folder, *siblings = word.split(">")
            assert folder not in height, f"{path}: {folder} stands twice"
            height[folder] = level
            allowed |= {(folder, sibling) for sibling in siblings}
    for folder, sibling in allowed:
        assert height.get(sibling) == height[folder], f"{path}: {folder}>{sibling}, but {sibling} is not on {folder}'s line"
    return height, allowed


def files(root, suffixes, *folders):
    for folder in folders:
        yield from sorted(p for p in (root / folder).rglob("*") if p.suffix in suffixes and "__pycache__" not in p.parts)


def wrong_includes(root):
    height, allowed = read_layers(root / "LAYERS")
    out = []
    for path in files(root, CODE, "sluice"):
        here = path.relative_to(root / "sluice").parts[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*[<"](?:\./)*(?:sluice/([\w.-]+)/|(\.\.)/)', line)
            if not match:
                continue
            there = match.group(1)
            where = f"{path.relative_to(root)}:{number}"
            if there is None:
                out.append(f'{where}: a path with ".." (fix: write "sluice/FOLDER/FILE.h")')
            elif there not in height:
                out.append(f"{where}: {there}/ is not in LAYERS")
            elif there != here and height[there] >= height.get(here, -1) and (here, there) not in allowed:
                out.append(f"{where}: {here}/ may not include {there}/ (fix: move the shared part below both)")
    return out


def folders_without_layer(root):
    height, _ = read_layers(root / "LAYERS")
    return sorted(p.name for p in (root / "sluice").iterdir() if p.is_dir() and any(p.iterdir()) and p.name not in height)


def long_files(root):
    out = []
    for path in files(root, CODE | {".py"}, "sluice", "tests"):
        count = len(path.read_text().splitlines())
        if count > MAX_LINES:
            out.append(f"{path.relative_to(root)}: {count} lines, more than {MAX_LINES} (fix: one subject a file)")
    return out


def unreadable_headers(root):
    out = []
    for path in files(root, {".h", ".cuh"}, "sluice", "tests"):
        name, lines = path.relative_to(root), path.read_text().splitlines()
        if not lines or not re.match(r"//\s*\S", lines[0]):
            out.append(f"{name}: the first line does not say what the header is for")
        if "#pragma once" not in lines:
            out.append(f"{name}: no #pragma once")
        if any(re.match(r"\s*using\s+namespace\b", line) for line in lines):
            out.append(f"{name}: using namespace in a header")
    return out


CHECKS = [wrong_includes, folders_without_layer, long_files, unreadable_headers]


@pytest.mark.parametrize("check", CHECKS)
def test_the_tree_keeps(check):
    assert any(files(ROOT, CODE, "sluice")), "no sources found: the check would pass on nothing"
    assert not check(ROOT), "\n".join(check(ROOT))


# --- the checks can fail ---

HEADER = "// What it is for.\n#pragma once\n"


@pytest.fixture
def tree(tmp_path):
    """A small tree that keeps every rule; `write` adds to it."""
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return tmp_path
    write("LAYERS", "# lowest first\nbase\nconfig monitor>config\ndata\n")
    write("sluice/base/error.h", HEADER)
    write("sluice/config/fields.h", HEADER + '#include "sluice/base/error.h"\n')
    write("sluice/monitor/report.h", HEADER + '#include "sluice/config/fields.h"\n')
    write("sluice/data/row.h", HEADER + '#include "sluice/data/other.h"\n#include <vector>\n')
    write("tests/unit/base/base_test.cpp", "int x;\n")
    return write


def test_a_tree_that_keeps_the_rules_passes(tree):
    root = tree("sluice/data/row.cpp", '#include "sluice/data/row.h"\n')
    assert [check(root) for check in CHECKS] == [[], [], [], []]


@pytest.mark.parametrize("name, include, says", [
    ("sluice/base/x.cpp", '#include "sluice/data/row.h"', "base/ may not include data/"),
    ("sluice/config/x.cpp", '#include "sluice/monitor/report.h"', "config/ may not include monitor/"),  # the sibling rule has a direction
    ("sluice/base/x.cpp", '#  include <sluice/config/fields.h>', "base/ may not include config/"),
    ("sluice/base/x.cpp", '#include "sluice/misc/x.h"', "misc/ is not in LAYERS"),
    ("sluice/base/x.cpp", '#include "../data/row.h"', '".."'),
])
def test_an_include_against_the_order_is_found(tree, name, include, says):
    found = wrong_includes(tree(name, "int y;\n" + include + "\n"))
    assert len(found) == 1 and found[0].startswith(f"{name}:2: ") and says in found[0]


def test_a_folder_that_layers_does_not_name_is_found(tree):
    assert folders_without_layer(tree("sluice/extra/x.h", HEADER)) == ["extra"]


@pytest.mark.parametrize("name", ["sluice/base/long.cpp", "tests/unit/base/long_test.cpp", "tests/cli/test_long.py"])
def test_a_file_one_line_too_long_is_found(tree, name):
    assert long_files(tree(name, "\n" * MAX_LINES)) == []
    assert [line.split(":")[0] for line in long_files(tree(name, "\n" * (MAX_LINES + 1)))] == [name]


@pytest.mark.parametrize("text, says", [
    ("#pragma once\n", "first line"),
    ("", "first line"),
    ("//\n#pragma once\n", "first line"),
    ("// For something.\nint x();\n", "no #pragma once"),
    (HEADER + "namespace a {\n  using namespace std;\n}\n", "using namespace"),
])
def test_a_header_against_the_rules_is_found(tree, text, says):
    assert any(says in line for line in unreadable_headers(tree("sluice/base/bad.h", text)))


@pytest.mark.parametrize("layers, says", [("base\nbase\n", "twice"), ("base\ndata>base\n", "not on data's line")])
def test_a_layers_file_that_contradicts_itself_is_refused(tmp_path, layers, says):
    (tmp_path / "LAYERS").write_text(layers)
    with pytest.raises(AssertionError, match=says):
        read_layers(tmp_path / "LAYERS")
