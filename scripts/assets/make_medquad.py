"""Writes assets/medquad/{train,validation,test}.jsonl.gz from the published MedQuAD collections.

Usage: python3 scripts/assets/make_medquad.py SOURCE packages/headwater/assets/medquad
SOURCE holds one `N_Site_QA.tar.gz` per collection (the XML as in github.com/abachaa/MedQuAD, collections 1-9).
Python 3 standard library only; the same input gives the same bytes.

Rules: white space is collapsed; pairs with an empty question or answer and exact duplicates are dropped; an answer
longer than MAX_ANSWER characters is cut after the last whole sentence that fits (at the last word if the first
sentence is longer). Splits are by topic (a document's Focus), so that neither a document nor a topic described by
several sites is in two splits; each site gives 10 % of its pairs to test and 10 % to validation, in hash order.
"""

import collections
import gzip
import hashlib
import json
import pathlib
import re
import sys
import tarfile
import xml.etree.ElementTree as xml

MAX_ANSWER = 480
SENTENCE_END = re.compile(r"[.!?](?=\s)")
PERCENT = {"test": 10, "validation": 10}


def clean(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").strip()


def capped(answer: str) -> str:
    if len(answer) <= MAX_ANSWER:
        return answer
    ends = [match.end() for match in SENTENCE_END.finditer(answer) if match.end() <= MAX_ANSWER]
    return answer[: ends[-1]] if ends else answer[:MAX_ANSWER].rsplit(" ", 1)[0]


def assign_splits(sizes: dict[str, collections.Counter]) -> dict[str, str]:
    """sizes: site -> topic -> pairs. Sites from small to large fill their test and validation quota in hash order."""
    split_of: dict[str, str] = {}
    for site in sorted(sizes, key=lambda name: (sum(sizes[name].values()), name)):
        topics = sizes[site]
        held = {split: sum(n for t, n in topics.items() if split_of.get(t) == split) for split in PERCENT}
        order = sorted(topics, key=lambda topic: hashlib.sha256(topic.encode()).hexdigest())
        for topic in (topic for topic in order if topic not in split_of):
            quota = sum(topics.values()) / 100
            short = [split for split, percent in PERCENT.items() if held[split] < percent * quota]
            split_of[topic] = short[0] if short else "train"
            if short:
                held[short[0]] += topics[topic]
    return split_of


def documents(source: pathlib.Path):
    for archive in sorted(source.glob("*.tar.gz")):
        with tarfile.open(archive) as tar:
            for member in sorted(tar.getmembers(), key=lambda m: m.name):
                if member.name.endswith(".xml"):
                    # The file name, because one published `id` is shared by several documents.
                    yield pathlib.Path(member.name).stem, xml.fromstring(tar.extractfile(member).read())


def pairs(source: pathlib.Path):
    seen = set()
    for name, document in documents(source):
        for pair in document.iter("QAPair"):
            question, answer = clean(pair.findtext("Question")), clean(pair.findtext("Answer"))
            if question and answer and (question, answer) not in seen:
                seen.add((question, answer))
                topic = clean(document.findtext("Focus")).lower()
                yield topic, {
                    "site": document.get("source"),
                    "document": name,
                    "type": pair.find("Question").get("qtype"),
                    "question": question,
                    "answer": capped(answer),
                }


def main(source: pathlib.Path, target: pathlib.Path) -> None:
    items = list(pairs(source))
    sizes: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for topic, row in items:
        sizes[row["site"]][topic] += 1
    split_of = assign_splits(sizes)
    rows = {name: [row for topic, row in items if split_of[topic] == name] for name in ("train", *PERCENT)}
    target.mkdir(parents=True, exist_ok=True)
    for name, chosen in rows.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chosen)
        (target / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
        print(f"{name}: {len(chosen)} rows", dict(sorted(collections.Counter(r["site"] for r in chosen).items())))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
