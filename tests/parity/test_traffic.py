"""What each rank sends in a step, counted, is what docs/communication.md says, layout by layout; it is what goes over the wire; and a trace shows when."""
import json
import os
import shutil
import subprocess
import uuid
from math import ceil

import pytest
from program import program, words, write_rows
from test_parallel import free_port, run_ranks

ROWS, LENGTH, MICRO_STEPS = 4, 32, 2  # rows of a micro-step on all ranks, tokens of each
VOCAB, H, FF, LAYERS, HEADS, KV, HEAD, EXPERTS = 512, 64, 128, 4, 4, 2, 16, 4
SIZES = {"model.vocab_size": VOCAB, "model.hidden_size": H, "model.intermediate_size": FF, "model.num_hidden_layers": LAYERS, "model.num_attention_heads": HEADS,
         "model.num_key_value_heads": KV, "model.max_position_embeddings": 64}
# Every token goes to every expert, so that what an all-to-all sends is known beforehand.
MODELS = {"llama": {**SIZES, "model.architecture": "llama"},
          "mixtral": {**SIZES, "model.architecture": "mixtral", "model.num_local_experts": EXPERTS, "model.num_experts_per_tok": EXPERTS, "moe.router_aux_loss_coef": 0.01}}

# name: (processes, data-parallel ranks among them, settings)
LAYOUTS = {
    "one process": (1, 1, {}),
    "dp2": (2, 2, {}),
    "dp4 zero1": (4, 4, {"zero_stage": 1}),
    "dp4 zero2": (4, 4, {"zero_stage": 2}),
    "dp4 zero3": (4, 4, {"zero_stage": 3}),
    "tp2": (2, 1, {"tensor_model_parallel_size": 2, "sequence_parallel": "false"}),
    "tp4 sp": (4, 1, {"tensor_model_parallel_size": 4}),
    "ep2": (2, 2, {"expert_model_parallel_size": 2}),
    "ep4 zero1": (4, 4, {"expert_model_parallel_size": 4, "zero_stage": 1}),
    "ep2 allgather": (2, 2, {"expert_model_parallel_size": 2, "dispatcher": "allgather"}),
    "ep2 etp2": (4, 4, {"expert_model_parallel_size": 2, "expert_tensor_parallel_size": 2}),
    "pp2": (2, 1, {"pipeline_model_parallel_size": 2}),
    "pp2 vpp2": (2, 1, {"pipeline_model_parallel_size": 2, "virtual_pipeline_model_parallel_size": 2}),
    "cp2": (2, 1, {"context_parallel_size": 2}),
    "tp2 ep2 dp2 zero2": (4, 2, {"tensor_model_parallel_size": 2, "expert_model_parallel_size": 2, "zero_stage": 2}),
    "pp2 ep2 dp2 zero3": (4, 2, {"pipeline_model_parallel_size": 2, "expert_model_parallel_size": 2, "zero_stage": 3}),
    "tp2 pp2 cp2": (8, 1, {"tensor_model_parallel_size": 2, "pipeline_model_parallel_size": 2, "context_parallel_size": 2}),
}


def command(family, layout, precision, data, output, steps):
    world, replicas, given = LAYOUTS[layout]
    settings = {"moe.token_dispatcher" if key == "dispatcher" else f"parallelism.{key}": value for key, value in given.items()}
    return world, ["train", "--output-dir", output, {**MODELS[family], "data.path": data, "data.format": "token_ids", "train.train_iters": steps, "train.precision": precision,
                                                     "train.micro_batch_size": ROWS // replicas, "train.global_batch_size": ROWS * MICRO_STEPS, "optimizer.schedule": "constant",
                                                     "log.traffic": "true", **settings}]


def sent_by(folder, rank):
    """Of the last step: {group: {exchange: bytes}}, with all groups of holders as one."""
    out = {}
    step = json.loads((folder / "traffic" / f"rank-{rank:05d}.jsonl").read_text().splitlines()[-1])
    for name, exchanges in step["groups"].items():
        group = out.setdefault("holders" if name.startswith("holders") else name, {})
        for exchange, counted in exchanges.items():
            if counted["bytes"]:
                group[exchange] = group.get(exchange, 0) + counted["bytes"]
    assert step["bytes"] == sum(sum(group.values()) for group in out.values())
    return {name: group for name, group in out.items() if group}


class Formula:
    """docs/communication.md, for these two models. Sizes by the names used there."""

    def __init__(self, family, layout, precision, rank):
        self.world, _, given = LAYOUTS[layout]
        self.moe = family == "mixtral"
        self.t, self.c, self.p = (given.get(f"{axis}_model_parallel_size" if axis != "context" else "context_parallel_size", 1) for axis in ("tensor", "context", "pipeline"))
        self.v = given.get("virtual_pipeline_model_parallel_size", 1)
        self.stage_size = self.world // self.p
        self.ep = given.get("expert_model_parallel_size", 1)
        self.et = given.get("expert_tensor_parallel_size", 1 if self.ep > 1 else self.t)
        self.d = self.world // (self.t * self.c * self.p)
        self.zero = given.get("zero_stage", 0)
        self.sp = self.t > 1 and given.get("sequence_parallel") != "false"
        self.gathers = given.get("dispatcher") == "allgather"
        self.e = 2 if precision == "bf16" else 4
        self.stage = rank // self.stage_size
        self.rows = ROWS // self.d
        self.T = self.rows * LENGTH // self.c
        holds_last_tokens = rank % self.stage_size // self.t % self.c == 0  # context rank 0 has each row's first and last chunk
        self.targets = self.T - self.rows if holds_last_tokens else self.T  # what follows a row's last token is not known
        self.sent = {}

    def add(self, group, ranks, exchange, n, times=1):
        cost = {"all-reduce": 2 * (ranks - 1) * n // ranks, "all-gather": (ranks - 1) * n, "reduce-scatter": (ranks - 1) * n}.get(exchange, n)
        if ranks > 1 and cost * times:
            of_group = self.sent.setdefault(group, {})
            of_group[exchange] = of_group.get(exchange, 0) + cost * times

    @property
    def layers(self):
        return LAYERS // self.p

    @property
    def first(self):
        return self.stage == 0

    @property
    def last(self):
        return self.stage == self.p - 1

    def parameters(self):
        """(holders, elements, bytes each in computation, whether in a layer), one for each run."""
        whole, part = self.d * self.c * self.t, self.d * self.c
        kv_holders = part * max(1, self.t // KV)
        matrices = {part: 2 * H * HEADS * HEAD // self.t + (0 if self.moe else 3 * H * FF // self.t)}
        matrices[kv_holders] = matrices.get(kv_holders, 0) + 2 * H * KV * HEAD // min(self.t, KV)
        if self.moe:
            holders = self.stage_size // (self.ep * self.et)
            matrices[holders] = matrices.get(holders, 0) + EXPERTS * 3 * H * FF // (self.ep * self.et)
        layer = [(holders, elements, self.e) for holders, elements in matrices.items()] + [(whole, 2 * H + (EXPERTS * H if self.moe else 0), 4)]
        runs = [(*run, True) for run in layer] * self.layers
        tables = self.first + self.last  # embedding and head
        runs.append((part, tables * VOCAB * H // self.t, self.e, False))
        return runs + ([(whole, H, 4, False)] if self.last else [])

    def gradients_and_weights(self):
        for n, elements, e, in_layer in self.parameters():
            piece = ceil(elements / (64 * n)) * 64
            if self.zero == 0:
                self.add("holders", n, "all-reduce", 4 * elements)
                continue
            self.add("holders", n, "reduce-scatter", 4 * piece, MICRO_STEPS if in_layer and self.zero >= 2 else 1)
            self.add("holders", n, "all-gather", e * piece, 2 * MICRO_STEPS if in_layer and self.zero == 3 else 1)

    def tensor(self):
        regions = (1 if self.moe else 2) * self.layers + self.first  # attention, feed-forward, embedding
        share = self.T * H // self.t
        if self.sp:
            scattered = (1 if self.moe else 2) * self.layers + self.last  # what enters: attention, feed-forward, head
            self.add("tensor", self.t, "all-gather", share * self.e, MICRO_STEPS * scattered)
            self.add("tensor", self.t, "all-gather", share * 4, MICRO_STEPS * regions)
            self.add("tensor", self.t, "reduce-scatter", share * 4, MICRO_STEPS * (regions + scattered))
        else:
            self.add("tensor", self.t, "all-reduce", self.T * H * 4, MICRO_STEPS * 2 * regions)
            if self.moe:  # tokens are shared out before the router, and gathered behind the experts
                self.add("tensor", self.t, "all-gather", share * 4, MICRO_STEPS * self.layers)
                self.add("tensor", self.t, "reduce-scatter", share * 4, MICRO_STEPS * self.layers)

    def experts(self):
        group = self.ep * self.et
        tokens = self.T // self.t
        width, choices = H, 2 * EXPERTS
        each = self.layers * MICRO_STEPS
        if self.gathers:
            rows = tokens
            self.add("experts", group, "all-gather", rows * (width * self.e + choices * 4) + rows * width * 4, each)
            self.add("experts", group, "reduce-scatter", rows * width * 4 + rows * (width + choices) * 4, each)
            self.add("experts", group, "all-reduce", 8, each)
        else:
            rows = tokens * (group - 1)
            there_and_back = rows * (width * self.e + choices * 4) + rows * width * 4
            self.add("experts", group, "all-to-all", 2 * there_and_back + 8 * (group - 1), each)

    def context(self):
        heads = max(1, KV // self.t)
        self.add("context", self.c, "all-gather", 2 * self.T * heads * HEAD * self.e, self.layers * MICRO_STEPS)
        self.add("context", self.c, "reduce-scatter", 2 * self.T * heads * HEAD * 4, self.layers * MICRO_STEPS)

    def pipeline(self):
        message = self.T * H // (self.t if self.sp else 1) + (EXPERTS if self.moe else 0)
        stages = self.p * self.v
        own = [self.stage + chunk * self.p for chunk in range(self.v)]
        messages = sum(stage < stages - 1 for stage in own) + sum(stage > 0 for stage in own)
        self.add("pipeline", self.p, "send", message * 4, MICRO_STEPS * messages)

    def figures(self):
        self.add("replica", self.d * self.c, "all-reduce", 8, 4 + (MICRO_STEPS * self.v if self.moe else 0))
        self.add("world", self.world, "all-reduce", 8, 8 + (2 if self.moe else 0))
        if not self.moe:
            return
        self.add("world", self.world, "all-reduce", LAYERS * EXPERTS * 4)
        self.add("stage", self.stage_size, "all-reduce", self.layers // self.v * EXPERTS * 4, MICRO_STEPS * self.v)

    def bytes(self):
        self.gradients_and_weights()
        if self.t > 1:
            self.tensor()
        if self.moe and self.ep * self.et > 1:
            self.experts()
        self.context()
        self.pipeline()
        self.figures()
        if self.t > 1 and self.last:  # cross entropy: maximum, sum, and the target's logit of each token that is learned from
            own = self.sent.setdefault("tensor", {})
            own["all-reduce"] = own.get("all-reduce", 0) + 3 * (2 * (self.t - 1) * self.targets * 4 // self.t) * MICRO_STEPS
        return self.sent


@pytest.fixture(scope="session")
def rows(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("rows") / "rows.jsonl", [{"input_ids": [(7 * r + 3 * t) % 90 + 3 for t in range(LENGTH)]} for r in range(64)])


CASES = [("mixtral", layout, "fp32") for layout in LAYOUTS] + [("llama", layout, "fp32") for layout in ("dp4 zero3", "tp2", "tp4 sp", "pp2 vpp2", "tp2 pp2 cp2")]
CASES += [("mixtral", "tp2", "bf16"), ("mixtral", "tp2 ep2 dp2 zero2", "bf16"), ("mixtral", "ep2 allgather", "bf16"), ("llama", "dp4 zero3", "bf16"), ("llama", "tp4 sp", "bf16"), ("llama", "cp2", "bf16")]


@pytest.mark.parametrize(("family", "layout", "precision"), CASES, ids=lambda value: value.replace(" ", "-"))
def test_each_rank_sends_what_the_formula_says(tmp_path, rows, family, layout, precision):
    world, arguments = command(family, layout, precision, rows, tmp_path / "run", 2)
    run_ranks(world, *arguments)
    for rank in range(world):
        assert sent_by(tmp_path / "run", rank) == Formula(family, layout, precision, rank).bytes(), f"rank {rank}"


@pytest.fixture
def wire():
    """A network of its own, whose loopback device nobody else uses: how to begin a command in it, and how many bytes have gone over it."""
    if not shutil.which("ip"):
        pytest.skip("needs iproute2's ip")
    name = f"sluice-{uuid.uuid4().hex[:6]}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode != 0:
        pytest.skip("network namespaces cannot be made here: needs root")
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        within = ["ip", "netns", "exec", name]

        def sent():
            lines = subprocess.run([*within, "cat", "/proc/net/dev"], capture_output=True, text=True, check=True).stdout.splitlines()
            return int(next(line for line in lines if line.strip().startswith("lo:")).split()[9])

        yield within, sent
    finally:
        subprocess.run(["ip", "netns", "delete", name])


@pytest.mark.parametrize("layout", ["dp4 zero3", "tp2 ep2 dp2 zero2"])
def test_what_is_counted_goes_over_the_wire(tmp_path, rows, wire, layout):
    within, sent = wire

    def run(steps):
        world, arguments = command("mixtral", layout, "fp32", rows, tmp_path / f"run{steps}", steps)
        before, port = sent(), free_port()
        everybody = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        ranks = [subprocess.Popen([*within, program(), *words(arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env={**everybody, "RANK": str(rank)}) for rank in range(world)]
        said = [rank.communicate(timeout=300)[0] for rank in ranks]
        assert all(rank.returncode == 0 for rank in ranks), "\n".join(said)
        return sent() - before, sum(sum(sum(group.values()) for group in sent_by(tmp_path / f"run{steps}", rank).values()) for rank in range(world))

    (few, counted), (many, _) = run(4), run(24)
    on_the_wire = (many - few) / 20
    assert counted <= on_the_wire <= 1.15 * counted, f"{on_the_wire:.0f} bytes a step, counted {counted}"


def events_of(trace):
    """(what the main thread did, what was exchanged), each [(name, begin, end)] in microseconds."""
    own, exchanged = [], []
    for event in json.loads(trace.read_text()):
        if event["ph"] == "X":
            (own if event["tid"] == 0 else exchanged).append((event["name"], event["ts"], event["ts"] + event["dur"]))
    return own, exchanged


@pytest.mark.parametrize("zero", [0, 2])
def test_a_trace_shows_gradients_summed_while_the_backward_pass_goes_on(tmp_path, rows, zero):
    world, arguments = command("llama", "dp2", "fp32", rows, tmp_path / "run", 4)
    run_ranks(world, *arguments, "log.trace=true", "log.trace_steps=2", f"parallelism.zero_stage={zero}")
    own, exchanged = events_of(tmp_path / "run" / "trace" / "rank-00001.json")
    assert [name for name, _, _ in own].count("update") == 2, "of two steps"
    sums = [event for event in exchanged if event[0].startswith("reduce-scatter holders" if zero else "all-reduce holders")]
    backward = [event for event in own if event[0] == "backward"]
    waiting = [event for event in own if event[0] == "waiting"]
    for begin, end in [(begin, end) for _, begin, end in backward[MICRO_STEPS - 1::MICRO_STEPS]]:
        meanwhile = [(max(a, begin), min(b, end)) for _, a, b in sums if a < end and b > begin]
        assert meanwhile, "no sum is under way during a backward pass"
        shared = sum(b - a for a, b in meanwhile)
        waited = sum(max(0, min(d, b) - max(c, a)) for a, b in meanwhile for _, c, d in waiting)
        assert waited < shared, "the backward pass does nothing but wait"
