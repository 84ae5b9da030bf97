"""Renders chat templates with transformers' apply_chat_template, as goldens for models/chat-template.ts.

Usage: python3 scripts/goldens/make_chat_goldens.py TEMPLATES OUT.json
TEMPLATES holds *.jinja files. Needs transformers and jinja2; their versions are written to the file. The clock of
`strftime_now` stands at NOW.
"""

import datetime
import json
import pathlib
import sys

import jinja2
import tokenizers
import transformers
from transformers.utils import chat_template_utils

NOW = datetime.datetime(2026, 3, 7, 9, 5, 2)
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": 'Weather of a "city" <now> & later',
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "default": 3}},
            "required": ["city"],
        },
    },
}

CONVERSATIONS = {
    "user": [{"role": "user", "content": "Hi there!"}],
    "one-turn": [
        {"role": "user", "content": "  What is 2 + 2?\n"},
        {"role": "assistant", "content": " It is **4**.\n\n"},
    ],
    "system-two-turns": [
        {"role": "system", "content": "You are terse.\nAnswer in German."},
        {"role": "user", "content": "Name a colour."},
        {"role": "assistant", "content": "Blau"},
        {"role": "user", "content": "Another one? Größe 10 % <b> & 'x' \"y\""},
    ],
    "three-turns": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c\r\n\r\nd"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\ne"},
        {"role": "user", "content": "{{ not jinja }} {% raw %}"},
        {"role": "assistant", "content": "生活 🤷🏽\u200d♀️"},
    ],
    "user-twice": [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}],
    "assistant-first": [{"role": "assistant", "content": "Welcome."}, {"role": "user", "content": "Hello"}],
    "tool-call": [
        {"role": "user", "content": "Weather in Bern?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Bern", "days": 2}}}
            ],
        },
        {"role": "tool", "name": "get_weather", "content": '{"celsius": 3.5}'},
        {"role": "assistant", "content": "3.5 °C"},
    ],
}
# (conversation, tools, further variables)
CASES = [(name, None, {}) for name in CONVERSATIONS] + [
    ("tool-call", [WEATHER], {}),
    ("user", [WEATHER], {}),
    ("user", None, {"enable_thinking": False}),
]


class FixedDate(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def make_tokenizer():
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **SPECIAL)


def render(tokenizer, template, conversation, tools, generate, variables) -> dict:
    try:
        text = tokenizer.apply_chat_template(
            CONVERSATIONS[conversation],
            tools=tools,
            chat_template=template,
            add_generation_prompt=generate,
            tokenize=False,
            **variables,
        )
        return {"text": text}
    except jinja2.exceptions.TemplateError as error:
        return {"error": str(error)}
    except TypeError as error:
        return {"broken": str(error)}


def main(folder: pathlib.Path, out: pathlib.Path) -> None:
    chat_template_utils.datetime = FixedDate
    tokenizer = make_tokenizer()
    cases = []
    for path in sorted(folder.glob("*.jinja")):
        template = path.read_text("utf-8")
        for conversation, tools, variables in CASES:
            for generate in (False, True):
                result = render(tokenizer, template, conversation, tools, generate, variables)
                cases.append(
                    {
                        "template": path.stem,
                        "conversation": conversation,
                        "tools": bool(tools),
                        "variables": variables,
                        "addGenerationPrompt": generate,
                        **result,
                    }
                )
    golden = {
        "versions": {"transformers": transformers.__version__, "jinja2": jinja2.__version__},
        "nowMs": int(NOW.replace(tzinfo=datetime.timezone.utc).timestamp() * 1000),
        "specialTokens": SPECIAL,
        "tools": [WEATHER],
        "conversations": CONVERSATIONS,
        "cases": cases,
    }
    out.write_text(json.dumps(golden, ensure_ascii=True, indent=1) + "\n", "utf-8")
    kinds = [key for case in cases for key in ("text", "error", "broken") if key in case]
    print({kind: kinds.count(kind) for kind in set(kinds)})


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:3]))
