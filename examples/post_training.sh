#!/usr/bin/env bash
# Post-training from rows to an answer: looks at the data, fine-tunes, evaluates, merges or exports, and asks.
#
#   bash examples/post_training.sh [MODE]
#     sft          every weight, from a checkpoint of ours (a run or step folder)
#     hf           every weight, from a Hugging Face folder
#     lora         adapters of a Hugging Face folder, merged at the end
#     export       the newest of these runs as a Hugging Face folder
#     interactive  asks which (the default)
#
# Variables: MODEL (default: a small model that is trained first), DATA (rows in Alpaca's columns; default: the sample beside this script),
# TEMPLATE (default: alpaca; chat is the model's own), STEPS (default: 60), OUTPUT (default: runs/post_training), SLUICE (the program).
set -euo pipefail
cd "$(dirname "$0")/.."
data=${DATA:-examples/sample_instructions.jsonl}
template=${TEMPLATE:-alpaca}
steps=${STEPS:-60}
output=${OUTPUT:-runs/post_training}
sluice=${SLUICE:-build/release/sluice}

say() { printf '\n== %s\n' "$*"; }

# Says a command on standard error, and runs it.
run() {
  printf '+ %s\n' "$*" >&2
  "$@"
}

# A small Llama that has read the bundled questions: $output/base is the run, $output/base/hf the Hugging Face folder.
make_small_model() {
  if [ -e "$output/base/hf/config.json" ]; then return; fi
  say "a small model to begin with"
  run "$sluice" train model.architecture=llama model.tokenizer=data/tokenizer model.vocab_size=2048 model.hidden_size=128 model.intermediate_size=256 \
    model.num_hidden_layers=4 model.num_attention_heads=4 model.num_key_value_heads=2 model.max_position_embeddings=512 model.tie_word_embeddings=true \
    data.path=data/questions/train.jsonl data.format=qa train.train_iters=200 train.micro_batch_size=16 optimizer.lr=2e-3 log.interval=50 \
    checkpoint.export_hf=true output_dir="$output/base" --overwrite
}

# Every tenth row is held out.
prepare() {
  say "1. prepare: what is trained on"
  mkdir -p "$output"
  awk 'NR % 10 != 0' "$data" > "$output/train.jsonl"
  awk 'NR % 10 == 0' "$data" > "$output/held_out.jsonl"
  run "$sluice" data preview --input "$output/train.jsonl" --tokenizer "$1" --format alpaca --template "$template" --seq-length 512 --samples 2
}

# fine_tune NAME RECIPE MODEL [SETTING ...]
fine_tune() {
  local name=$1 recipe=$2 model=$3
  shift 3
  say "2. fine-tune: $recipe from $model"
  run "$sluice" train --config "$recipe" model.load="$model" data.path="$output/train.jsonl" data.validation_path="$output/held_out.jsonl" \
    data.format=alpaca data.template="$template" data.seq_length=512 data.packing=best_fit train.train_iters="$steps" train.micro_batch_size=2 \
    train.global_batch_size=4 optimizer.warmup_iters=$((steps / 10)) memory.recompute=none checkpoint.save_interval=0 log.interval=10 \
    output_dir="$output/$name" --overwrite "$@"
}

# evaluate WHEN MODEL
evaluate() {
  run "$sluice" eval --model "$2" --data "$output/held_out.jsonl" --format alpaca --template "$template" --seq-length 512 --json > "$output/eval_$1.json"
  printf '%s: %s\n' "$1" "$(cat "$output/eval_$1.json")"
}

compare() {
  say "3. evaluate: held-out rows before and after"
  evaluate before "$1"
  evaluate after "$2"
}

# export_run RUN: as a Hugging Face folder, RUN-hf.
export_run() {
  rm -rf "$1-hf"
  if [ -e "$1/checkpoints/$(cat "$1/checkpoints/latest")/adapter_config.json" ]; then
    say "4. merge the adapters into the base model, and export"
    run "$sluice" merge --adapter "$1" --to "$1-hf"
  else
    say "4. export"
    run "$sluice" convert --from "$1" --to "$1-hf" --format hf
  fi
}

ask() {
  local question="Why does ice float on water?"
  say "5. ask: $question"
  if [ "$template" = alpaca ]; then
    run "$sluice" generate --model "$1" --max-tokens 40 --prompt "Below is an instruction that describes a task. Write a response that appropriately completes the request.

### Instruction:
$question

### Response:
"
  else
    run "$sluice" generate --model "$1" --max-tokens 40 --chat --prompt "$question"
  fi
}

# workflow MODE RECIPE MODEL TOKENIZER [SETTING ...]
workflow() {
  local mode=$1 recipe=$2 model=$3 tokenizer=$4
  shift 4
  prepare "$tokenizer"
  fine_tune "$mode" "$recipe" "$model" "$@"
  compare "$model" "$output/$mode"
  export_run "$output/$mode"
  ask "$output/$mode-hf"
}

# A small model learns at rates at which a large one would break. It has a million parameters: it shows the way, its answers make little sense.
rate() { if [ -z "${MODEL:-}" ]; then echo "optimizer.lr=$1 optimizer.min_lr=0"; fi; }

newest_run() {
  local folder newest=""
  for folder in "$output"/sft "$output"/hf "$output"/lora; do
    if [ -e "$folder/checkpoints/latest" ] && { [ -z "$newest" ] || [ "$folder" -nt "$newest" ]; }; then newest=$folder; fi
  done
  if [ -z "$newest" ]; then
    echo "there is no run in $output yet: run the mode sft, hf or lora first" >&2
    exit 2
  fi
  echo "$newest"
}

mode=${1:-interactive}
if [ "$mode" = interactive ]; then
  if [ ! -t 0 ]; then
    echo "the mode interactive needs a terminal; give sft, hf, lora or export" >&2
    exit 2
  fi
  PS3="Which? "
  select mode in sft hf lora export; do [ -n "$mode" ] && break; done
fi
case $mode in
  sft | hf | lora)
    if [ -z "${MODEL:-}" ]; then make_small_model; fi
    if [ "$mode" = lora ]; then read -r -a learning <<< "$(rate 5e-3)"; else read -r -a learning <<< "$(rate 1e-3)"; fi
    base=${MODEL:-$output/base/hf}
    if [ "$mode" = sft ]; then workflow sft sft "${MODEL:-$output/base}" "$base" checkpoint.export_hf=false ${learning[@]+"${learning[@]}"}
    elif [ "$mode" = hf ]; then workflow hf sft "$base" "$base" checkpoint.export_hf=false ${learning[@]+"${learning[@]}"}
    else workflow lora lora "$base" "$base" lora.target_modules=all-linear ${learning[@]+"${learning[@]}"}
    fi ;;
  export)
    newest=$(newest_run)
    export_run "$newest"
    ask "$newest-hf" ;;
  *)
    echo "'$mode' is no mode: interactive, sft, hf, lora or export" >&2
    exit 2 ;;
esac
