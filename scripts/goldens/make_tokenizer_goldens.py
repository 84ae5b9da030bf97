"""Writes golden encodings and decodings computed by Hugging Face's own libraries.

Usage: python3 scripts/goldens/make_tokenizer_goldens.py TOKENIZERS MODELS OUT.json
TOKENIZERS holds folders gpt2, t5-small, phi3-mini, qwen2.5 (qwen2.5: vocab.json, merges.txt, tokenizer_config.json);
MODELS holds seed-lm-7m and stories260K. Needs transformers and tokenizers; their versions are written to the file.

The meaning of a tokenizer.json is what `tokenizers.Tokenizer.from_file` does with it (transformers 5 rebuilds Llama
tokenizers from parts and then differs after special tokens); qwen2.5 has none and comes from transformers' Qwen2Tokenizer.
"""

import json
import pathlib
import sys

import tokenizers
import transformers

TEXTS = [
    "",
    "Hello, world!",
    "  leading, trailing and   inner  spaces  ",
    "Line one\nline two\r\n\r\n\tindented\n\n\n",
    "I'LL say it's they're WE'VE don't 'quoted' words",
    "In 2016 it cost $1,234.50, i.e. 3.14159 times 42%.",
    "def main(argv: list[str]) -> int:\n    return len(argv) # no-op\n",
    "Voilà l'été : œuvre, naïveté, Straße, İstanbul",
    "cafe\u0301 versus caf\u00e9",
    "生活的真谛是什么？ 日本語のテキスト 한국어 문장",
    "مرحبا بالعالم שלום עולם नमस्ते दुनिया",
    "🤷🏽\u200d♀️ family 👨\u200d👩\u200d👧 flags 🇩🇪 ✨",
    "non\u00a0breaking \u2003em\u2028line\u0085next \ufeffbom",
    "zero\u200bwidth and control \u0007 bell",
    "<s>not a begin token</s> <|endoftext|><|im_start|>user\nhi<|im_end|><|end|> x <pad>",
    "<|user|>\nHi<|end|>\n<|assistant|>\n  yes",
    "ΑΒΓ αβγ ½ ² ³ ① Ⅷ ﬁ ﬀ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "https://example.org/a/b?c=d&e=f#g user@example.org",
    "\n",
    " ",
    "▁already ▁▁metaspace",
]


def from_file(folder: pathlib.Path):
    backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.no_truncation()
    backend.no_padding()
    return backend


def golden(backend) -> list[dict]:
    rows = []
    for text in TEXTS:
        ids = backend.encode(text).ids
        rows.append(
            {
                "text": text,
                "ids": ids,
                "plainIds": backend.encode(text, add_special_tokens=False).ids,
                "decoded": backend.decode(ids, skip_special_tokens=True),
                "decodedWithSpecial": backend.decode(ids, skip_special_tokens=False),
            }
        )
    return rows


def main(folders: pathlib.Path, models: pathlib.Path, out: pathlib.Path) -> None:
    backends = {name: from_file(folders / name) for name in ("gpt2", "t5-small", "phi3-mini")}
    backends |= {name: from_file(models / name) for name in ("seed-lm-7m", "stories260K")}
    qwen = transformers.AutoTokenizer.from_pretrained(folders / "qwen2.5")
    backends["qwen2.5"] = qwen.backend_tokenizer
    result = {
        "versions": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__},
        "tokenizers": {name: golden(backend) for name, backend in sorted(backends.items())},
    }
    out.write_text(json.dumps(result, ensure_ascii=True, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:4]))
