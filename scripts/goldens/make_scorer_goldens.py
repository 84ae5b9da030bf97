"""Model outputs and the scores that the reference scorers' rules give them: packages/headwater/test/fixtures/scorers.

    pip install nltk==3.10.3
    python scripts/goldens/make_scorer_goldens.py

The rules are written down here a second time, with Python's own `re`, from their published forms:

- GSM8K: openai/grade-school-math, dataset.py (`extract_answer`); EleutherAI/lm-evaluation-harness, tasks/gsm8k/gsm8k.yaml
  version 3 (filters strict-match and flexible-extract; exact_match with regexes_to_ignore and ignore_case).
- Letters: lm-evaluation-harness, tasks/mmlu/generative version 3; tasks/mmlu/flan_n_shot/generative (MultiChoiceRegexFilter).
- pass@k: Chen et al. 2021 (arXiv:2107.03374), equation 1, here with exact fractions.
- ROUGE-L: Lin 2004; google-research/rouge (tokenize.py, rouge_scorer.py) with NLTK's Porter stemmer.
- Macro-F1: scikit-learn's definition of f1_score(average='macro').
- Quantiles: numpy's default (linear).
"""
import json, math, pathlib, re, sys, unicodedata
from fractions import Fraction
from nltk.stem.porter import PorterStemmer

here = pathlib.Path(__file__).resolve().parents[2] / "packages/headwater/test/fixtures/scorers"
INVALID = "[invalid]"


def first_group(match):
    if isinstance(match, tuple):
        found = [part for part in match if part]
        return found[0] if found else INVALID
    return match


def filtered(pattern, select, text):
    found = re.findall(pattern, text)
    return first_group(found[select]).strip() if found else INVALID


def gsm8k_equal(prediction, reference):
    for pattern in [",", r"\$", r"(?s).*#### ", r"\.$"]:
        prediction, reference = re.sub(pattern, "", prediction), re.sub(pattern, "", reference)
    return prediction.lower() == reference.lower()


def gsm8k(output, solution):
    strict = filtered(r"#### (\-?[0-9\.\,]+)", 0, output)
    flexible = filtered(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1, output)
    return {
        "output": output, "solution": solution, "strict": strict, "flexible": flexible,
        "strictMatch": gsm8k_equal(strict, solution), "flexibleMatch": gsm8k_equal(flexible, solution),
    }


SOLUTION = "Janet sells 16 - 3 - 4 = <<16-3-4=9>>9 duck eggs a day.\nShe makes 9 * 2 = $<<9*2=18>>18 every day.\n#### 18"
THOUSANDS = "That is 80,000 - 10,000 = <<80000-10000=70000>>70,000.\n#### 70,000"
NEGATIVE = "5 - 8 = <<5-8=-3>>-3\n#### -3"
DECIMAL = "It costs 2.50.\n#### 2.50"
GSM8K = [
    (" 16 - 7 = 9, 9 * 2 = 18.\n#### 18", SOLUTION), (" The answer is 18.", SOLUTION), (" The answer is $18", SOLUTION),
    ("#### 18.00", SOLUTION), ("#### 18.", SOLUTION), ("#### $18", SOLUTION), ("#### 18 dollars\n", SOLUTION),
    ("#### 17\nNo wait.\n#### 18", SOLUTION), ("#### 18\n#### 17", SOLUTION), ("####18", SOLUTION), ("####  18", SOLUTION),
    ("18", SOLUTION), ("8", SOLUTION), ("so 9*2 = 18 ...", SOLUTION), ("18 eggs, 7 of them eaten", SOLUTION),
    ("", SOLUTION), ("no number at all", SOLUTION), ("#### eighteen", SOLUTION), ("x = 18, y", SOLUTION), ("018", SOLUTION),
    ("#### 70000", THOUSANDS), ("#### 70,000", THOUSANDS), ("#### 7,0000", THOUSANDS), ("about $70,000.", THOUSANDS),
    ("70.000", THOUSANDS), ("#### 70,000.0", THOUSANDS), ("#### 70 000", THOUSANDS),
    ("#### -3", NEGATIVE), ("#### 3", NEGATIVE), ("#### \u22123", NEGATIVE), ("5-8 = -3", NEGATIVE), ("2-3", NEGATIVE), ("- 3", NEGATIVE),
    ("#### 2.50", DECIMAL), ("#### 2.5", DECIMAL), ("$2.50", DECIMAL), ("2.50$", DECIMAL), ("#### .", DECIMAL), ("#### ,.", DECIMAL),
    ("#### 2.50\n", DECIMAL), ("It is 2.50\n\n", DECIMAL), ("1, 2, 3", "#### 3"), ("10%", "#### 10"), ("3/4", "#### 4"), ("1e5", "#### 5"),
]


def letter_on_first_line(output, count):
    line = filtered(r"^(.*?)(?=\n|$)", 0, output)
    line = filtered(r"^(.*?)\s*$", 0, line.lstrip())
    last = chr(64 + count)
    pattern = rf"(?i)(?:^\W*|answer\s*(?:is)?\s*[:\-]?\s*|option\s*[:\-]?\s*)\(?([A-{last}])\)?\W*$"
    found = filtered(pattern, 0, line)
    return -1 if found == INVALID else ord(found.upper()) - 65


LETTERS = [
    ("A", 4), (" B", 4), ("c", 4), ("D.", 4), ("(B)", 4), (" (b). ", 4), ("a)", 4), ("**C**", 4), ("E", 4), ("E", 5), ("", 4), ("\nA", 4),
    ("A\nB", 4), ("The answer is B", 4), ("The answer is: (C).", 4), ("Answer: D", 4), ("answer - A", 4), ("Option C", 4), ("option: d", 4),
    ("B because of C", 4), ("A dog", 4), ("I choose B", 4), ("The answer is B, not C", 4), ("AB", 4), ("\u00e9 A", 4), ("_A", 4), ("\u201cA\u201d", 4),
    ("Answer is A and also answer is B", 4), ("   ", 4), ("1. A", 4), ("A   \n explanation", 4), ("\u7b54\u6848 A", 4),
]

PUNCTUATION = dict.fromkeys(i for i in range(sys.maxunicode) if unicodedata.category(chr(i)).startswith("P"))


def plain(text):
    return text.lower().translate(PUNCTUATION)


def letter_in_parentheses(output, options):
    def find(pattern, text, names):
        found = re.findall(pattern, text)
        if not found:
            return found
        match = found[0].strip()
        return names[match] if match and match in names else match

    texts, letters = {}, {}
    for i, option in enumerate(options):
        texts[plain(option.strip())] = f"({chr(65 + i)})"
        letters[chr(65 + i)] = f"({chr(65 + i)})"
    match = (
        find(r"(\([A-Z]\))", output, {})
        or find("|".join(re.escape(plain(option.strip())) for option in options), plain(output), texts)
        or find(rf":[\s]*({'|'.join(letters)})", output, letters)
        or INVALID
    )
    return ord(match[1]) - 65 if re.fullmatch(r"\([A-Z]\)", match) else -1


COLOURS = ["Red", "Dark red", "Blue-green", "None of these"]
PARENTHESES = [
    ("(A)", COLOURS), (" (B) Dark red", COLOURS), ("(E)", COLOURS), ("(b)", COLOURS), ("It is red.", COLOURS), ("dark red", COLOURS),
    ("Blue-Green!", COLOURS), ("bluegreen", COLOURS), ("blue green", COLOURS), ("Answer: C", COLOURS), ("answer:D", COLOURS), ("A", COLOURS),
    ("", COLOURS), ("None of these (C)", COLOURS), ("scarlet", COLOURS), ("hundred", COLOURS), ("x: B: C", COLOURS),
    ("yes", ["Yes", "yes!", "No"]), ("well", [".", "well"]), ("so: B", [".", "well"]), ("a.b", ["a+b", "a.b"]), ("ab", ["a+b", "a.b"]),
]


def pass_at_k(n, c, k):
    if n < k:
        return None
    return float(1 - Fraction(math.comb(n - c, k), math.comb(n, k)))


PASS = [(n, c, k) for n in (1, 2, 5, 10, 100, 200) for c in {0, 1, n // 2, n - 1, n} for k in (1, 2, 10, 100)]

stemmer = PorterStemmer()


def words(text, stemmed):
    found = [word for word in re.split(r"\s+", re.sub(r"[^a-z0-9]+", " ", text.lower())) if word]
    return [stemmer.stem(word) if len(word) > 3 else word for word in found] if stemmed else found


def rouge_l(reference, output, stemmed):
    a, b = words(reference, stemmed), words(output, stemmed)
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    common = table[-1][-1]
    precision, recall = (common / len(b), common / len(a)) if a and b else (0, 0)
    f = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0
    return {"reference": reference, "output": output, "stemmed": stemmed, "precision": precision, "recall": recall, "f": f}


ROUGE = [
    ("testing one two", "testing"), ("testing one two", "testing one"), ("testing one two", "testing two"), ("testing one two", ""),
    ("", "testing"), ("", ""), ("w1 w2 w3 w4 w5", "/"), ("police killed the gunman", "police kill the gunman"),
    ("police killed the gunman", "the gunman kill police"), ("The runners' running shoes", "a runner runs in shoes"),
    ("happily happy happiness", "happy"), ("a b c a b c", "c b a c b a"), ("3.14 is pi", "pi is 3,14"), ("na\u00efve caf\u00e9", "naive cafe"),
    ("\u4e16\u754c peace", "peace"), ("don't stop", "dont stop"), ("skies dying", "sky die"), ("UPPER lower", "upper LOWER"),
    ("line one\nline two", "line two\nline one"), ("geology theology", "geolog theolog"), ("x_y", "x y"),
]

STEMS = """caresses ponies ties dies flies cats feed agreed plastered bled motoring sing conflated troubled sized hopping tanned
falling hissing fizzed failing filing happy sky enjoy spy spied died relational conditional rational valenci hesitanci digitizer
conformabli radically differently vileli analogously vietnamization predication operator feudalism decisiveness hopefulness
callousness formality sensitivity sensibility triplicate formative formalize electricity electrical hopeful goodness revival
allowance inference airliner gyroscopic adjustable defensible irritant replacement adjustment dependent adoption homologou
communism activate angularity homologous effective bowdlerize probate rate cease controlling roll news innings outing cannings
howe proceed exceed succeed lying tying geology theology archaeology playfully dully y yes by a as is 1980s 2nd""".split()


def macro_f1(truth, given):
    scores = []
    for label in sorted(set(truth) | set(given)):
        both = sum(t == g == label for t, g in zip(truth, given))
        scores.append(2 * both / (truth.count(label) + given.count(label)))
    return sum(scores) / len(scores)


F1 = [([0, 0, 0, 1, 2], [0, 0, 1, 1, 0]), ([0, 1], [1, 0]), ([0, 0], [0, 0]), ([0, 1, 2], [0, -1, -1]), ([2, 2, 1], [2, 1, 1])]

goldens = {
    "gsm8k": [gsm8k(*case) for case in GSM8K],
    "letterOnFirstLine": [{"output": o, "numOptions": n, "chosen": letter_on_first_line(o, n)} for o, n in LETTERS],
    "letterInParentheses": [{"output": o, "options": c, "chosen": letter_in_parentheses(o, c)} for o, c in PARENTHESES],
    "passAtK": [{"samples": n, "passed": c, "k": k, "value": pass_at_k(n, c, k)} for n, c, k in sorted(set(PASS))],
    "rougeL": [rouge_l(r, o, s) for r, o in ROUGE for s in (False, True)],
    "stems": {word: stemmer.stem(word) for word in STEMS},
    "macroF1": [{"truth": t, "given": g, "value": macro_f1(t, g)} for t, g in F1],
}
here.mkdir(parents=True, exist_ok=True)
(here / "goldens.json").write_text(json.dumps(goldens, indent=1, ensure_ascii=False) + "\n")
