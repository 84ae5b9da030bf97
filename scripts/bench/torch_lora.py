"""The yardstick for training speed: one LoRA training step of a Llama-shaped model with PyTorch, transformers and PEFT on CPU.

    python3 -m venv .venv && . .venv/bin/activate && pip install torch transformers peft
    python torch_lora.py --model DIR_WITH_CONFIG_JSON --batch 4 --seq 128 --rank 8 --dtype float32|amp|bfloat16 [--targets q_proj,v_proj]

Prints one JSON line: median seconds per optimizer step of 5 after 1 warm-up, tokens/s, peak RSS. Run it in turn with ours, on the same
machine, same shapes, same targets, full-sequence labels, no dropout.
"""
import argparse, json, resource, time
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig
from peft import LoraConfig, get_peft_model

parser = argparse.ArgumentParser()
parser.add_argument("--model", help="folder with config.json (weights optional); default: SmolLM2-135M shapes")
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--seq", type=int, default=128)
parser.add_argument("--rank", type=int, default=8)
parser.add_argument("--dtype", default="float32")
parser.add_argument("--targets", default="q_proj,v_proj")
a = parser.parse_args()
torch.manual_seed(0)
if a.model:
    config = AutoConfig.from_pretrained(a.model)
else:
    config = LlamaConfig(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
                         vocab_size=49152, max_position_embeddings=2048, tie_word_embeddings=True)
model = AutoModelForCausalLM.from_config(config)
model = get_peft_model(model, LoraConfig(r=a.rank, lora_alpha=2 * a.rank, lora_dropout=0.0, target_modules=a.targets.split(",")))
if a.dtype == "bfloat16":
    model = model.to(torch.bfloat16)
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
ids = torch.randint(0, config.vocab_size, (a.batch, a.seq))


def step():
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.dtype == "amp"):
        loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


step()
times = []
for _ in range(5):
    start = time.perf_counter()
    loss = step()
    times.append(time.perf_counter() - start)
median = sorted(times)[2]
print(json.dumps({"engine": f"torch {torch.__version__} + peft", "dtype": a.dtype, "batch": a.batch, "seq": a.seq, "rank": a.rank,
                  "targets": a.targets, "secondsPerStep": round(median, 4), "tokensPerSecond": round(a.batch * a.seq / median, 1),
                  "loss": round(loss, 4), "threads": torch.get_num_threads(),
                  "peakRssMB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}))
