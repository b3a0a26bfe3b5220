#!/usr/bin/env bash
# Trains the quickstart model on DATA (bundled questions by default), exports it, and asks it one question of each category.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-data/questions/train.jsonl}
run=runs/quickstart
sluice=build/release/sluice
overrides=()

if [ -e "$run" ]; then
  old="$run.$(date -r "$run" +%Y%m%d-%H%M%S)"
  mv "$run" "$old"
  echo "quickstart: the earlier run is now $old"
fi
if [ "$data" != data/questions/train.jsonl ]; then
  # Someone's own questions: label those that have no category, hold some out, and learn a tokenizer from them.
  prepared=runs/quickstart-data
  mkdir -p "$prepared"
  "$sluice" data annotate --input "$data" --output "$prepared/annotated.jsonl" --keep-labels
  "$sluice" data train-tokenizer --input "$prepared/annotated.jsonl" --output "$prepared/tokenizer" --vocab-size 2048
  overrides+=(data.path="$prepared/annotated.jsonl" data.validation_path= data.validation_fraction=0.1 model.tokenizer="$prepared/tokenizer")
fi

"$sluice" train --config quickstart "${overrides[@]}"

# The first held-out question of each category, with its answer; of someone's own data, the first of each category there.
questions=data/questions/validation.jsonl
[ "$data" = data/questions/train.jsonl ] || questions=runs/quickstart-data/annotated.jsonl
echo
echo "One question of each category, answered by the model just trained ($run/hf):"
.venv/bin/python - "$questions" <<'PICK' | while IFS=$'\t' read -r category question expected; do
import json, sys
seen = set()
for line in open(sys.argv[1]):
    row = json.loads(line)
    if row["expert_label"] in seen:
        continue
    seen.add(row["expert_label"])
    answer = row["answer"]
    answer = answer["text"] if isinstance(answer, dict) else answer
    print(row["expert_label"], " ".join(row["question"].split()), answer[0] if isinstance(answer, list) else answer, sep="\t")
PICK
  answer=$("$sluice" generate --model "$run/hf" --prompt "$(printf 'Question: %s\nAnswer:' "$question")" --max-tokens 16)
  printf '\n  %s\n  %s\n   %s   (expected: %s)\n' "$category" "$question" "$answer" "$expected"
done

cat <<NEXT

What to try next:
  open $run/report.html                        curves, expert load, what each category's tokens chose
  build/release/sluice monitor $run            the same in the terminal
  build/release/sluice eval --model $run/hf --data data/questions/validation.jsonl --json
  build/release/sluice train --config quickstart routing_supervision.weight=0,0.1 --output-dir runs/sweep
  make quickstart DATA=your_questions.jsonl    your own {"question", "answer"} lines
NEXT
