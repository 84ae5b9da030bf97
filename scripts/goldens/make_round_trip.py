"""A PEFT user's round trip: packages/headwater/test/fixtures/round-trip (see its README.md).

    pip install torch==2.13.0 transformers==5.17.0 peft==0.21.0
    python scripts/goldens/make_round_trip.py     # Node 24 on the PATH

Headwater trains an adapter; PEFT loads it. PEFT trains another one; Headwater goes on from it; PEFT loads what came of it.
"""
import json, pathlib, shutil, subprocess, warnings
import peft, torch, transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")
here = pathlib.Path(__file__).resolve().parents[2] / "packages/headwater/test/fixtures/round-trip"
TOKENS = [1 + 7 * i for i in range(12)]


def base():
    return AutoModelForCausalLM.from_pretrained(here / "../huggingface/llama", dtype=torch.float32)


def headwater(what):
    subprocess.run(["node", "write-adapters.ts", what], cwd=here, check=True)


def logits(model):
    with torch.no_grad():
        return model.eval()(torch.tensor([TOKENS])).logits[0].contiguous()


def batch(rows):
    length = max(len(row["tokens"]) for row in rows)
    ids, labels, mask = (torch.full((len(rows), length), fill) for fill in (0, -100, 0))
    for i, row in enumerate(rows):
        for t, (token, counted) in enumerate(zip(row["tokens"], row["supervised"])):
            ids[i, t], mask[i, t] = token, 1
            labels[i, t] = token if counted else -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def train_in_peft():
    torch.manual_seed(11)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(base(), config).train()
    rows = batch(json.loads((here / "examples.json").read_text()))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=5e-3, weight_decay=0.01)
    for _ in range(6):
        optimizer.zero_grad()
        model(**rows).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
    model.peft_config["default"].base_model_name_or_path = "llama"
    model.save_pretrained(here / "from-peft")
    (here / "from-peft/README.md").unlink(missing_ok=True)


for folder in ("trained-here", "from-peft", "continued-here"):
    shutil.rmtree(here / folder, ignore_errors=True)
headwater("trained")
train_in_peft()
headwater("continued")
result = {"tokens": torch.tensor(TOKENS, dtype=torch.int32), "base": logits(base())}
for folder in ("trained-here", "from-peft", "continued-here"):
    result[folder] = logits(PeftModel.from_pretrained(base(), here / folder))
    print(folder, "differs from the base by", ((result[folder] - result["base"]).norm() / result["base"].norm()).item())
versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
save_file(result, here / "peft-logits.safetensors", metadata=versions)
