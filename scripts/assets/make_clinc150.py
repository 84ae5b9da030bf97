"""Writes assets/clinc150/{train,validation,test}.csv from a checkout of github.com/clinc/oos-eval (its `data/` folder).

Usage: python3 scripts/assets/make_clinc150.py SOURCE packages/headwater/assets/clinc150
Needs data_full.json and domains.json in SOURCE; Python 3 standard library only. Out-of-scope rows are left out;
rows keep the order of the source.
"""

import csv
import json
import pathlib
import sys

SPLITS = {"train": "train", "val": "validation", "test": "test"}


def main(source: pathlib.Path, target: pathlib.Path) -> None:
    rows = json.loads((source / "data_full.json").read_text("utf-8"))
    domains = json.loads((source / "domains.json").read_text("utf-8"))
    domain_of = {intent: domain for domain, intents in domains.items() for intent in intents}
    assert len(domain_of) == 150 and len(domains) == 10, "expected 150 intents in 10 domains"
    target.mkdir(parents=True, exist_ok=True)
    for split, name in SPLITS.items():
        with open(target / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["text", "intent", "domain"])
            writer.writerows([text, intent, domain_of[intent]] for text, intent in rows[split])
        print(f"{name}.csv: {len(rows[split])} rows")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
