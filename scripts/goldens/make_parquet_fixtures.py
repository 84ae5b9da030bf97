"""Writes the small Parquet files of test/fixtures/data with pyarrow, one per compression.

Usage: python3 scripts/goldens/make_parquet_fixtures.py packages/headwater/test/fixtures/data
"""

import datetime
import pathlib
import sys

import pyarrow
import pyarrow.parquet

ROWS = [
    {
        "messages": [{"role": "user", "content": f"Frage {i}: wie groß?"}, {"role": "assistant", "content": f"{i} m"}],
        "site": f"site-{i % 3}",
        "count": i * 10_000_000_000,
        "score": i / 4 if i % 5 else None,
        "day": datetime.datetime(2026, 1, 1 + i, tzinfo=datetime.timezone.utc),
    }
    for i in range(12)
]


def main(folder: pathlib.Path) -> None:
    table = pyarrow.Table.from_pylist(ROWS)
    for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4"):
        pyarrow.parquet.write_table(table, folder / f"chats-{codec}.parquet", compression=codec, row_group_size=5)
    print(pyarrow.__version__)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
