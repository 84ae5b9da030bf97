"""Writes assets/preferences-hh/{train,validation,test}.jsonl.gz from Anthropic's HH-RLHF, harmless-base, test split.

Usage: python3 scripts/assets/make_preferences_hh.py SOURCE packages/headwater/assets/preferences-hh
SOURCE is harmless-base/test.jsonl.gz of github.com/anthropics/hh-rlhf. Python 3 standard library only; the same input
gives the same bytes.

Rules: the prompt is the dialogue up to the last time that the assistant is about to speak, the answers are its last
turns, without white space around them. Pairs whose prompts differ, with an empty answer or with the same answer twice are
dropped, and those in which prompt and longer answer take more than MAX_CHARACTERS: short dialogues fit a small model
whole. Splits are by the first thing that the human says, so that dialogues with the same beginning are in one split; test
and validation are filled in hash order.
"""

import gzip
import hashlib
import json
import pathlib
import sys

MAX_CHARACTERS = 600
ASSISTANT = "\n\nAssistant:"
SIZES = {"test": 350, "validation": 100}


def split_dialogue(dialogue: str) -> tuple[str, str]:
    before, marker, answer = dialogue.rpartition(ASSISTANT)
    return before + marker, answer.strip()


def pairs(source: pathlib.Path):
    for line in gzip.open(source, "rt", encoding="utf-8"):
        row = json.loads(line)
        prompt, chosen = split_dialogue(row["chosen"])
        other, rejected = split_dialogue(row["rejected"])
        if prompt != other or not chosen or not rejected or chosen == rejected:
            continue
        if len(prompt) + max(len(chosen), len(rejected)) <= MAX_CHARACTERS:
            yield {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def beginning(row: dict[str, str]) -> str:
    return row["prompt"].split(ASSISTANT)[0].strip().lower()


def split_of_beginnings(rows: list[dict[str, str]]) -> dict[str, str]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[beginning(row)] = counts.get(beginning(row), 0) + 1
    split_of, filled = {}, dict.fromkeys(SIZES, 0)
    for text in sorted(counts, key=lambda name: hashlib.sha256(name.encode()).hexdigest()):
        split = next((name for name, size in SIZES.items() if filled[name] < size), "train")
        split_of[text] = split
        if split in filled:
            filled[split] += counts[text]
    return split_of


def main(source: pathlib.Path, target: pathlib.Path) -> None:
    rows = list(pairs(source))
    split_of = split_of_beginnings(rows)
    target.mkdir(parents=True, exist_ok=True)
    for name in ("train", *SIZES):
        chosen = [row for row in rows if split_of[beginning(row)] == name]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chosen)
        (target / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
        print(f"{name}: {len(chosen)} rows")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
