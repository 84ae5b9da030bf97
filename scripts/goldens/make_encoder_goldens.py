"""Tiny tokenizers in the forms of BERT (WordPiece) and RoBERTa (byte-level BPE), and what transformers makes of texts.

    python make_encoder_goldens.py ../../packages/headwater/test/fixtures/encoders

Needs transformers. The words are our own; nothing is downloaded.
"""
import json
import os
import sys

import tokenizers
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, decoders, trainers
out = sys.argv[1]
WORDS = """what when where who which how do does did can could will would please tell me my your our the a an of in on at to for from with and or not
weather rain snow sunny cloudy warm cold tomorrow today week forecast degrees outside
book order table flight ticket hotel room seat train bus night morning evening
play stop next song music album radio loud quiet volume pause
bank account balance money transfer pay bill card send euros dollars savings
turn light lamp kitchen bedroom door lock open close heat
is are was it there going want need like show find give make set up down off""".split()
CORPUS = [" ".join(WORDS[i:] + WORDS[:i]) for i in range(0, len(WORDS), 3)] + ["Is it cold? Yes, very!", "Über café naïve 東京 1234567890"]
bert = Tokenizer(models.WordPiece(unk_token="[UNK]"))
bert.normalizer = normalizers.BertNormalizer(lowercase=True)
bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
bert.decoder = decoders.WordPiece()
special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
bert.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=320, special_tokens=special, show_progress=False))
bert.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
fast = transformers.BertTokenizerFast(tokenizer_object=bert, unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]", mask_token="[MASK]")
roberta = Tokenizer(models.BPE())
roberta.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
roberta.decoder = decoders.ByteLevel()
rs = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
roberta.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=rs, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
roberta.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
rfast = transformers.RobertaTokenizerFast(tokenizer_object=roberta, unk_token="<unk>", sep_token="</s>", pad_token="<pad>", cls_token="<s>", mask_token="<mask>", bos_token="<s>", eos_token="</s>")
TEXTS = ["what is the weather tomorrow", "Book a table, please!", "", "Überraschung: café & naïve 東京!", "pay 12 dollars to my savings-account", "a [MASK] <mask> b", "  two  spaces\tand\ttabs\n", "unwahrscheinlichkeiten 🙂"]
gold = {"made": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}}
for name, t in (("tiny-bert", fast), ("tiny-roberta", rfast)):
    d = f"{out}/{name}"; os.makedirs(d, exist_ok=True); t.save_pretrained(d)
    gold[name] = [{"text": x, "ids": t(x)["input_ids"], "plain": t(x, add_special_tokens=False)["input_ids"]} for x in TEXTS]
    # transformers' own truncation, which keeps the frame
    gold[name] += [{"text": "what is the weather tomorrow morning in my kitchen", "maxLength": n, "ids": t("what is the weather tomorrow morning in my kitchen", truncation=True, max_length=n)["input_ids"]} for n in (4, 5, 8)]
json.dump(gold, open(f"{out}/goldens.json", "w"), indent=1, ensure_ascii=False)
