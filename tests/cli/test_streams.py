"""Standard streams and signals: what is printed arrives or is missed, and a signal ends every command in the same way."""
import json
import os
import signal
import subprocess
import time

import pytest
from program import ROOT, TINY_RUN, metrics, program, start, train, words, write_rows

QUESTIONS = ROOT / "data" / "questions" / "validation.jsonl"


def closing(*descriptors):
    def close():
        for descriptor in descriptors:
            os.close(descriptor)
    return close


def run(*arguments, **options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    return subprocess.run([program(), *words(arguments)], env=environment, timeout=120, **options)


def printing(tmp_path, tiny_mixtral):
    """A command of each kind that prints its answer."""
    tokens = tmp_path / "tokens.json"
    tokens.write_text("[[5, 6, 7]]")
    rows = write_rows(tmp_path / "rows.jsonl", [{"input_ids": [5, 6, 7, 8]}] * 2)
    return {
        "help": ["--help"],
        "version": ["--version"],
        "train": ["train", TINY_RUN, "--output-dir", tmp_path / "run", "--dry-run"],
        "generate": ["generate", "--model", tiny_mixtral, "--tokens", tokens, "--max-tokens", 2, "--json"],
        "eval": ["eval", "--model", tiny_mixtral, "--data", rows, "--format", "token_ids", "--json"],
        "stats": ["data", "stats", "--input", QUESTIONS, "--json"],
        "annotate": ["data", "annotate", "--input", QUESTIONS, "--output", "/dev/stdout"],
        "recipes": ["recipes", "show", "quickstart"],
        "doctor": ["doctor"],
        "bench": ["bench", "train", "--json", "--hidden", 64, "--ffn", 64, "--layers", 1, "--vocab", 100, "--seq", 8, "--batch", 1, "--steps", 1],
    }


KINDS = ["help", "version", "train", "generate", "eval", "stats", "annotate", "recipes", "doctor", "bench"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_is_lost_is_an_error(tmp_path, tiny_mixtral, kind):
    with open("/dev/full", "w") as full:
        done = run(*printing(tmp_path, tiny_mixtral)[kind], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2, done.stderr
    assert ("standard output" in done.stderr or "/dev/stdout" in done.stderr) and "fix:" in done.stderr and "bug" not in done.stderr


def test_an_answer_to_a_closed_output_is_an_error(tmp_path):
    done = run("data", "stats", "--input", QUESTIONS, stderr=subprocess.PIPE, text=True, preexec_fn=closing(1))
    assert done.returncode == 2 and "standard output" in done.stderr


def test_no_file_gets_what_is_printed_to_a_closed_stream(tmp_path):
    for name, closed in [("all open", ()), ("all closed", (0, 1, 2))]:
        done = run("data", "annotate", "--input", QUESTIONS, "--output", tmp_path / name, preexec_fn=closing(*closed))
        assert done.returncode == 0, "standard output was not needed"
    assert (tmp_path / "all open").read_bytes() == (tmp_path / "all closed").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_has_seen_enough_ends_a_printing_command_quietly(tmp_path, tiny_mixtral, kind):
    process = start(*printing(tmp_path, tiny_mixtral)[kind])
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(timeout=120) == -signal.SIGPIPE
    assert "error" not in error and "bug" not in error
    process.stderr.close()


def test_a_training_run_outlives_the_pipes_that_show_it(tmp_path):
    process = start("train", TINY_RUN, "--output-dir", tmp_path / "run")
    process.stdout.close()
    process.stderr.close()
    assert process.wait(timeout=120) == 0
    assert len(metrics(tmp_path / "run")) == 4 and "step" in (tmp_path / "run" / "log.txt").read_text()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "finished"


LONG = {"train.train_iters": 100_000, "checkpoint.save_interval": 0}


def start_training(run, **options):
    process = start("train", TINY_RUN, LONG, "--output-dir", run, **options)
    while not (run / "metrics.jsonl").exists() or len((run / "metrics.jsonl").read_text().splitlines()) < 2:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    return process


def ending(process):
    process.communicate(timeout=120)
    return process.returncode


def test_a_lost_terminal_ends_a_run_after_it_has_saved(tmp_path):
    process = start_training(tmp_path / "run")
    process.send_signal(signal.SIGHUP)
    assert ending(process) == 130
    steps = len(metrics(tmp_path / "run"))
    assert (tmp_path / "run" / "checkpoints" / "latest").read_text().strip() == f"step-{steps:08}"
    train(tmp_path / "run", "--resume", "latest", {"train.train_iters": steps + 1})


def test_nohup_is_honoured(tmp_path):
    process = start_training(tmp_path / "run", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.send_signal(signal.SIGHUP)
    steps = len(metrics(tmp_path / "run"))
    while len(metrics(tmp_path / "run")) < steps + 3:
        assert process.poll() is None, "the signal was to be ignored"
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert ending(process) == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_has_nothing_to_save(tmp_path, tiny_mixtral, number):
    """A pipe that nobody writes to stands for a file that takes long to read."""
    os.mkfifo(tmp_path / "tokens.json")
    process = start("logits", "--model", tiny_mixtral, "--tokens", tmp_path / "tokens.json", "--output", tmp_path / "out.safetensors")
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(number)
    assert ending(process) == 130
    assert not (tmp_path / "out.safetensors").exists()


def catches(process, number):
    """Whether the process has a handler for the signal by now."""
    with open(f"/proc/{process.pid}/status") as status:
        caught = next(line for line in status if line.startswith("SigCgt:"))
    return int(caught.split()[1], 16) >> (number - 1) & 1


def test_a_signal_while_the_libraries_start_ends_the_program_as_later(tmp_path):
    """Their constructors take most of the start, before main: without handlers the signal itself would end the program."""
    loaded = subprocess.run([program(), "--version"], capture_output=True, text=True, env={**os.environ, "LD_DEBUG": "files"}).stderr.splitlines()
    calls = [line.split("calling ")[1] for line in loaded if "calling preinit:" in line or "calling init:" in line]
    libraries = [i for i, call in enumerate(calls) if "libtorch" in call]
    assert libraries and calls[0].startswith("preinit:"), calls[:3]
    process = start("train", TINY_RUN, LONG, "--output-dir", tmp_path / "run")
    while process.poll() is None and not catches(process, signal.SIGINT):
        pass
    process.send_signal(signal.SIGINT)
    assert ending(process) == 130


def test_logits_are_not_written_over_a_device(tmp_path, tiny_mixtral):
    (tmp_path / "tokens.json").write_text("[[5, 6, 7]]")
    (tmp_path / "link").symlink_to(tmp_path / "out.safetensors")
    command = ["logits", "--model", tiny_mixtral, "--tokens", tmp_path / "tokens.json", "--output"]
    for output, names in [("/dev/null", "a device"), (tmp_path, "folder"), (tmp_path / "no" / "out", str(tmp_path / "no"))]:
        done = run(*command, output, capture_output=True, text=True)
        assert done.returncode == 2 and names in done.stderr, done.stderr
    assert run(*command, tmp_path / "link").returncode == 0
    assert (tmp_path / "link").is_symlink() and (tmp_path / "out.safetensors").stat().st_size > 0
    assert not os.path.isfile("/dev/null")
