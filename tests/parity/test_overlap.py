"""Micro-batches that overlap: the same bits as without, and a picture of what lies in what."""
import json

import pytest
from program import TINY_RUN, files_under, metrics
from test_layouts import train_ranks
from test_parallel import OBJECTIVE, model_of, recipe, rows, run_ranks  # noqa: F401: fixtures

OVERLAP = {"parallelism.overlap_micro_batches": "true"}
STEPS = {"train.train_iters": 4, "train.micro_batch_size": 1, "train.gradient_accumulation_steps": 4}

# name: (processes, settings)
LAYOUTS = {
    "ep2": (2, {"parallelism.expert_model_parallel_size": 2}),
    "ep2 zero2": (2, {"parallelism.expert_model_parallel_size": 2, "parallelism.zero_stage": 2}),
    "ep2 allgather": (2, {"parallelism.expert_model_parallel_size": 2, "moe.token_dispatcher": "allgather"}),
    "ep2 tp2": (2, {"parallelism.expert_model_parallel_size": 2, "parallelism.tensor_model_parallel_size": 2}),
    "tp2": (2, {"parallelism.tensor_model_parallel_size": 2, "parallelism.sequence_parallel": "false"}),
    "cp2": (2, {"parallelism.context_parallel_size": 2}),
    "pp2 ep2": (4, {"parallelism.pipeline_model_parallel_size": 2, "parallelism.expert_model_parallel_size": 2}),
    "pp2 vpp2 ep2": (4, {"parallelism.pipeline_model_parallel_size": 2, "parallelism.virtual_pipeline_model_parallel_size": 2, "parallelism.expert_model_parallel_size": 2}),
}
FAMILIES = ["mixtral", "deepseek_v3"]
BOTH = ["ep2", "ep2 tp2", "pp2 ep2", "pp2 vpp2 ep2"]
CASES = [(family, layout) for layout in LAYOUTS for family in (FAMILIES if layout in BOTH else FAMILIES[:1])]


def require_same_bits(run, expected):
    """Every figure of every step, and the final weights."""
    timed = {"seconds", "tokens_per_second"}
    ours, theirs = ([{key: value for key, value in row.items() if key not in timed} for row in metrics(folder)] for folder in (run, expected))
    assert ours == theirs
    assert files_under(run / "hf")["model.safetensors"] == files_under(expected / "hf")["model.safetensors"]


def run_both(tmp_path, model, data, world, settings):
    for name, overlap in (("plain", {}), ("overlapped", OVERLAP)):
        run_ranks(world, *recipe(model, data, tmp_path / name, {**STEPS, **OBJECTIVE, **settings, **overlap}))
    return tmp_path / "overlapped", tmp_path / "plain"


@pytest.mark.parametrize("family, layout", CASES)
def test_overlapping_changes_no_bit(tmp_path, rows, model_of, family, layout):  # noqa: F811
    world, settings = LAYOUTS[layout]
    require_same_bits(*run_both(tmp_path, model_of(family, 4 if "vpp" in layout else None), rows, world, settings))


VARIANTS = {
    "three micro-batches, capacity": {"train.gradient_accumulation_steps": 3, "moe.expert_capacity_factor": 1.25},
    "bf16": {"train.precision": "bf16"},
    "recompute": {"memory.recompute": "full"},
    "selective": {"memory.recompute": "selective", "memory.recompute_modules": "[layernorm,moe]"},
    "global batch": {"moe.aux_loss_scope": "global_batch"},
    "per sequence": {"moe.aux_loss": "per_sequence"},
    "learned target": {"routing_supervision.weight": 0.1, "routing_supervision.target": "learned"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_overlapping_changes_no_bit_of(tmp_path, rows, model_of, variant):  # noqa: F811
    world, settings = LAYOUTS["ep2 tp2"]
    require_same_bits(*run_both(tmp_path, model_of("mixtral", None), rows, world, {**settings, **VARIANTS[variant]}))


def test_saved_activations_are_gathered_in_their_lane(tmp_path, rows, model_of):  # noqa: F811
    world, settings = LAYOUTS["tp2"]
    distributed = {"memory.recompute": "full", "memory.distribute_saved_activations": "true"}
    require_same_bits(*run_both(tmp_path, model_of("mixtral", None), rows, world, {**settings, **distributed}))


def end_of(event):
    return event["ts"] + event["dur"]


class Trace:
    """Of one rank: its passes by the thread that ran them, when each thread waited, and its all-to-alls."""

    def __init__(self, path):
        events = json.loads(path.read_text())
        names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
        spans = [event for event in events if event["ph"] == "X"]
        self.threads = sorted(row for row, name in names.items() if name.startswith("computation"))
        self.passes = [event for event in spans if event["name"] in ("forward", "backward")]
        self.waiting = [event for event in spans if event["name"] == "waiting"]
        self.exchanges = [event for event in spans if event["name"].startswith("all-to-all experts")]

    def computing_us(self, thread, begin, end):
        """How long the thread computed in a pass from `begin` to `end`."""
        def inside(events):
            return sum(max(0, min(end_of(event), end) - max(event["ts"], begin)) for event in events if event["tid"] == thread)
        return inside(self.passes) - inside([w for w in self.waiting if any(w["tid"] == p["tid"] and p["ts"] <= w["ts"] and end_of(w) <= end_of(p) for p in self.passes)])

    def hidden_us(self):
        """All-to-alls of one micro-batch in which another's pass computed: for how long."""
        lanes = {thread: ", lane 2" if number == 1 else "" for number, thread in enumerate(self.threads)}
        return sum(self.computing_us(thread, event["ts"], end_of(event)) for event in self.exchanges for thread in self.threads
                   if event["name"] != "all-to-all experts" + lanes[thread])


# Wide enough that passes take milliseconds.
TRACED = {**STEPS, "train.train_iters": 2, "train.micro_batch_size": 4, "model.hidden_size": 128, "model.intermediate_size": 256, "log.trace": "true", "checkpoint.export_hf": "false"}


def traces(tmp_path, *arguments):
    run_ranks(2, "train", TINY_RUN, "--output-dir", tmp_path / "run", {**TRACED, "parallelism.expert_model_parallel_size": 2}, *arguments)
    return [Trace(path) for path in sorted((tmp_path / "run" / "trace").iterdir())]


def test_one_micro_batch_computes_in_an_exchange_of_another(tmp_path):
    for trace in traces(tmp_path, "--overlap-moe-expert-parallel-comm"):
        assert len(trace.threads) == 2 and {event["tid"] for event in trace.passes} == set(trace.threads)
        hidden = trace.hidden_us()
        print(f"computed for {hidden / 1e3:.1f} ms in others' all-to-alls, which took {sum(event['dur'] for event in trace.exchanges) / 1e3:.1f} ms")
        assert hidden > 1000


def test_without_overlap_no_two_passes_run_at_once(tmp_path):
    for trace in traces(tmp_path):
        assert len(trace.threads) == 1 and trace.hidden_us() == 0
        in_order = sorted(trace.passes, key=lambda event: event["ts"])
        assert all(end_of(a) <= b["ts"] for a, b in zip(in_order, in_order[1:]))


REFUSED = {
    "parallelism.zero_stage": {"parallelism.zero_stage": 3},
    "memory.offload": {"memory.offload": "[gradients]", "memory.offload_dir": "."},
    "lora.use_lora": {"lora.use_lora": "true"},
}


IDLE = {
    "nothing is exchanged within a pass": STEPS,
    "a step has one micro-batch": {**LAYOUTS["ep2"][1], "train.gradient_accumulation_steps": 1},
}


def refusal_of(tmp_path, settings):
    return train_ranks(2, tmp_path / "run", {**OVERLAP, **settings}, status=1).stderr


@pytest.mark.parametrize("setting", REFUSED)
def test_what_two_passes_cannot_share_is_refused(tmp_path, setting):
    assert f"parallelism.overlap_micro_batches = true with {setting} = " in refusal_of(tmp_path, {**STEPS, **LAYOUTS["ep2"][1], **REFUSED[setting]})


@pytest.mark.parametrize("reason", IDLE)
def test_overlap_without_effect_is_said(tmp_path, reason):
    assert f"parallelism.overlap_micro_batches has no effect: {reason}" in refusal_of(tmp_path, IDLE[reason])
