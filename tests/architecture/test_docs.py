"""What the pages name exists: paths, links, commands, flags, settings, the folders of the README's tree. Each check is tried on pages that
break it."""
import functools
import os
import pathlib
import re
import shlex
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOP = ("sluice", "tests", "docs", "recipes", "data", "scripts", "cmake", "bench", "examples", ".ci")  # a path that begins so is one of the repository
FILE_ENDINGS = {"txt", "json", "jsonl", "yaml", "html", "md", "h", "cpp", "py", "safetensors"}  # `log.txt` is a file, not a setting


def pages(root):
    return [p for p in [root / "README.md", root / "CONTRIBUTING.md", root / "CHANGELOG.md", *sorted((root / "docs").rglob("*.md"))] if p.exists()]


def fences(text):
    """The fenced blocks as (language, content)."""
    return re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def inline_code(text):
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def without_their_names(text):
    """The page without what stands in the column `theirs` of a table: keys of other systems, which look like settings of ours."""
    out, theirs = [], False
    for line in text.splitlines():
        theirs = line.startswith("|") and (theirs or line.startswith("| theirs |"))
        out.append(line.split("|", 2)[2] if theirs else line)
    return "\n".join(out)


def command_lines(text):
    """Each command of the shell blocks, and each inline code, as words; continued lines joined, comments left out."""
    for language, block in fences(text):
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                yield from (c for c in split_commands(shlex.split(line, comments=True)))
    for code in inline_code(text):
        if code.startswith("sluice "):
            yield code.split()


def split_commands(words):
    command = []
    for word in [*words, "&&"]:
        if word in ("&&", "|", ";"):
            if command:
                yield command
            command = []
        else:
            command.append(word)


def exists(root, path):
    """Whether a path exists; a component in capitals (FOLDER, NAME) stands for any."""
    pattern = "/".join("*" if re.fullmatch(r"[A-Z]{3,}", part) and not (root / part).exists() else part for part in path.rstrip("/").split("/"))
    return any(root.glob(pattern)) if "*" in pattern else (root / pattern).exists()


def is_repository_path(word):
    return re.fullmatch(r"[\w.*-]+(/[\w.*-]+)+/?|[\w.-]+/", word) is not None and word.split("/")[0] in TOP


def missing_paths(root):
    out = []
    for page in pages(root):
        text, name = page.read_text(), page.relative_to(root)
        named = {code for code in inline_code(text) if is_repository_path(code)}
        for words in command_lines(text):
            named |= {w for word in words for w in [word.split("=")[-1]] if is_repository_path(w)}
        out += [f"{name}: {path} does not exist" for path in sorted(named) if not exists(root, path)]
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"[a-z]+:|#", link) and not (page.parent / link.split("#")[0]).exists():
                out.append(f"{name}: the link {link} leads nowhere")
    return out


def flags_in(help_text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", help_text)) | {"--help"}


def subcommands_in(help_text):
    return set(re.findall(r"^  ([a-z][a-z-]*)  ", help_text, re.MULTILINE))


def settings_in(help_text):
    return set(re.findall(r"^  ([a-z_]+(?:\.[a-z0-9_]+)?) \(.*\)$", help_text, re.MULTILINE))


def wrong_commands(root, help_of):
    """help_of(words) is what `sluice WORDS --help` prints."""
    out = []
    for page in pages(root):
        for words in command_lines(page.read_text()):
            if words[0] not in ("sluice", "build/release/sluice") or len(words) < 2 or words[1].isupper():
                continue
            if words[1].startswith("--"):
                continue
            path, says = [words[1]], f"{page.relative_to(root)}: `{' '.join(words)}`"
            if words[1] not in subcommands_in(help_of(())):
                out.append(f"{says}: there is no such command")
                continue
            if words[1] == "data" and len(words) > 2:
                path.append(words[2])
                if words[2] not in subcommands_in(help_of(("data",))):
                    out.append(f"{says}: there is no such command")
                    continue
            known = flags_in(help_of(tuple(path)))
            for word in words[2:]:
                if word == "--":  # what follows is another program's
                    break
                flag = word.split("=")[0].replace("_", "-")
                if flag.startswith("--") and flag not in known:
                    out.append(f"{says}: {flag} is not a flag of it")
    return out


def wrong_settings(root, help_of):
    known = settings_in(help_of(("train",)))
    sections = {key.split(".")[0] for key in known if "." in key}
    out = []
    for page in pages(root):
        text = page.read_text()
        named = [code.split("=")[0] for code in inline_code(without_their_names(text)) if " -- " not in code]
        named += [word.split("=")[0] for words in command_lines(text) for word in words[1:] if "=" in word and not word.startswith("-") and "--" not in words]
        for key in named:
            match = re.fullmatch(r"([a-z_]+)\.([a-z0-9_]+|\*)", key)
            if not match or match.group(1) not in sections or match.group(2) in FILE_ENDINGS:
                continue
            if match.group(2) != "*" and key not in known:
                out.append(f"{page.relative_to(root)}: {key} is not a setting")
    return out


def tree_differences(root):
    """Folders of sluice/ against those that the README's tree lists under it."""
    blocks = [block for _, block in fences((root / "README.md").read_text()) if block.startswith("sluice/")]
    assert len(blocks) == 1, "README.md has no tree that begins with sluice/"
    listed = set(re.findall(r"^  ([a-z]+)/  ", blocks[0], re.MULTILINE))
    present = {p.name for p in (root / "sluice").iterdir() if p.is_dir() and any(p.iterdir())}
    return [f"README.md lists sluice/{name}/, which does not exist" for name in sorted(listed - present)] + [
        f"README.md does not list sluice/{name}/" for name in sorted(present - listed)]


@functools.lru_cache(maxsize=None)
def program_help(words):
    program = pathlib.Path(os.environ.get("SLUICE", ROOT / "build" / "release" / "sluice"))
    if not program.exists():
        pytest.skip(f"{program} is not built: run `make build`, or set SLUICE")
    done = subprocess.run([program, *words, "--help"], capture_output=True, text=True, timeout=60, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, f"sluice {' '.join(words)} --help: {done.stderr}"
    return done.stdout


def test_every_path_and_link_leads_somewhere():
    assert len(pages(ROOT)) > 10
    assert not missing_paths(ROOT), "\n".join(missing_paths(ROOT))


def test_every_command_and_flag_exists():
    wrong = wrong_commands(ROOT, program_help)
    assert not wrong, "\n".join(wrong)


def test_every_setting_exists():
    assert {"optimizer.lr", "routing_supervision.weight", "output_dir"} <= settings_in(program_help(("train",)))
    wrong = wrong_settings(ROOT, program_help)
    assert not wrong, "\n".join(wrong)


def test_the_readmes_tree_is_the_tree():
    assert not tree_differences(ROOT), "\n".join(tree_differences(ROOT))


# --- the checks can fail ---

HELP = {
    (): "sluice\n\n  train       train a model\n  data        label and split\n",
    ("train",): "  --config RECIPE   a file\n  --data-file   data.path\n\nsettings, with defaults:\n  data.path (\"\")\n      The file.\n  log.interval (1)\n      Steps.\n",
    ("data",): "  split      parts\n",
    ("data", "split"): "Options:\n  -h,--help   Print\n  --input TEXT REQUIRED  File\n",
}


@pytest.fixture
def page(tmp_path):
    """Writes README.md in a small repository whose tree, paths and links are right, with `text` added."""
    def write(text):
        (tmp_path / "sluice" / "base").mkdir(parents=True, exist_ok=True)
        (tmp_path / "sluice" / "base" / "error.h").touch()
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "docs" / "tour.md").write_text("`sluice/base/error.h`, `sluice/NAME/*.h`, [up](../README.md)\n")
        (tmp_path / "README.md").write_text("[tour](docs/tour.md#top), [out](https://example.org/x)\n\n```\nsluice/\n  base/    files\n```\n" + text)
        return tmp_path
    return write


def all_wrong(root):
    return missing_paths(root) + wrong_commands(root, HELP.__getitem__) + wrong_settings(root, HELP.__getitem__) + tree_differences(root)


def test_pages_that_are_right_pass(page):
    root = page("`log.txt`, `data.path=x`, `log.*`, `runs/x`, `sluice COMMAND --help`\n\n| theirs | ours |\n| --- | --- |\n| `data.max_length` | `data.path` |\n\n"
                "```sh\nsluice train --config a --data_file b \\\n  data.path=c log.interval=2   # --nonsense\nsluice data split --input x && make test\n```\n")
    assert all_wrong(root) == []


@pytest.mark.parametrize("text, says", [
    ("`sluice/base/gone.h`", "sluice/base/gone.h does not exist"),
    ("`sluice/gone/`", "sluice/gone/ does not exist"),
    ("`docs/NAME/*.md`", "docs/NAME/*.md does not exist"),
    ("[gone](docs/gone.md)", "docs/gone.md leads nowhere"),
    ("```sh\nsluice train data.path=data/gone.jsonl\n```\n", "data/gone.jsonl does not exist"),
    ("```sh\nsluice convert --from a\n```\n", "no such command"),
    ("use `sluice convert`", "no such command"),
    ("```sh\nsluice data cut --input a\n```\n", "no such command"),
    ("```sh\nsluice train --confg a\n```\n", "--confg is not a flag"),
    ("```sh\nmake x && sluice data split --in a\n```\n", "--in is not a flag"),
    ("```sh\nsluice train \\\n  --nonsense\n```\n", "--nonsense is not a flag"),
    ("```sh\nsluice train data.pth=3\n```\n", "data.pth is not a setting"),
    ("`log.intervall`", "log.intervall is not a setting"),
    ("| theirs | ours |\n| --- | --- |\n| `data.max_length` | `data.pth` |\n", "data.pth is not a setting"),
    ("| ours | theirs |\n| --- | --- |\n| `data.pth` | `data.path` |\n", "data.pth is not a setting"),
])
def test_a_page_that_is_wrong_is_found(page, text, says):
    found = all_wrong(page(text))
    assert len(found) == 1 and says in found[0], found


def test_a_tree_that_differs_is_found(page):
    root = page("")
    (root / "sluice" / "extra").mkdir()
    assert tree_differences(root) == []  # an empty folder is none
    (root / "sluice" / "extra" / "x.h").touch()
    assert tree_differences(root) == ["README.md does not list sluice/extra/"]
    (root / "sluice" / "base" / "error.h").unlink()
    (root / "sluice" / "base").rmdir()
    assert tree_differences(root)[0] == "README.md lists sluice/base/, which does not exist"
