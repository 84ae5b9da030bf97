"""Writes assets/clinc150/thirty/{train,validation,test}.csv: the rows of thirty of the 150 intents.

Usage: python3 scripts/assets/make_clinc30.py packages/headwater/assets/clinc150
Of each domain the intents 1, 6 and 11 in the order of the alphabet; rows keep their order. Python 3 standard library only.
"""

import csv
import pathlib
import sys


def main(folder: pathlib.Path) -> None:
    intents: dict[str, set[str]] = {}
    for row in csv.DictReader(open(folder / "train.csv", encoding="utf-8", newline="")):
        intents.setdefault(row["domain"], set()).add(row["intent"])
    kept = {intent for own in intents.values() for intent in sorted(own)[::5][:3]}
    assert len(kept) == 30, "expected ten domains of fifteen intents"
    target = folder / "thirty"
    target.mkdir(exist_ok=True)
    for name in ("train", "validation", "test"):
        rows = list(csv.DictReader(open(folder / f"{name}.csv", encoding="utf-8", newline="")))
        with open(target / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["text", "intent", "domain"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(row for row in rows if row["intent"] in kept)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
