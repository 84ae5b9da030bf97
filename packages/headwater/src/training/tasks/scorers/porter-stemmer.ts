/**
 * The Porter stemmer ("An algorithm for suffix stripping", Program 14.3, 1980) with the extensions of NLTK's default mode,
 * which rouge_score uses. Lower-case words in, stems out.
 */

const IRREGULAR: ReadonlyMap<string, string> = new Map(
  Object.entries({
    ...{ sky: 'sky', skies: 'sky', dying: 'die', lying: 'lie', tying: 'tie', news: 'news', howe: 'howe' },
    ...{ inning: 'inning', innings: 'inning', outing: 'outing', outings: 'outing' },
    ...{ canning: 'canning', cannings: 'canning', proceed: 'proceed', exceed: 'exceed', succeed: 'succeed' },
  }),
);

type Condition = (stem: string) => boolean;
/** `suffix → replacement` where the condition holds for what is left; the first suffix that fits decides. */
type Rule = readonly [suffix: string, replacement: string, condition?: Condition];

export function porterStem(word: string): string {
  const known = IRREGULAR.get(word);
  if (known !== undefined) return known;
  if (word.length <= 2) return word;
  const steps = [
    plurals,
    pastAndProgressive,
    finalY,
    longSuffixes,
    mediumSuffixes,
    shortSuffixes,
    finalE,
    doubleL,
  ];
  return steps.reduce((stem, step) => step(stem), word);
}

/** `c` and `v` for consonants and vowels; y is a vowel behind a consonant. */
function pattern(word: string): string {
  let result = '';
  for (const char of word) {
    const vowel = char === 'y' ? result.endsWith('c') : 'aeiou'.includes(char);
    result += vowel ? 'v' : 'c';
  }
  return result;
}

/** m of [C](VC)^m[V]. */
function measure(stem: string): number {
  return pattern(stem).split('vc').length - 1;
}

const some: Condition = (stem) => measure(stem) > 0;
const several: Condition = (stem) => measure(stem) > 1;

function endsShort(word: string): boolean {
  const kinds = pattern(word);
  return kinds === 'vc' || (kinds.endsWith('cvc') && !/[wxy]$/.test(word));
}

function endsDouble(word: string): boolean {
  return word.length > 1 && word.at(-1) === word.at(-2) && pattern(word).endsWith('c');
}

function applied(word: string, rules: readonly Rule[]): string {
  for (const [suffix, replacement, condition] of rules) {
    if (!word.endsWith(suffix)) continue;
    const stem = word.slice(0, word.length - suffix.length);
    return condition === undefined || condition(stem) ? stem + replacement : word;
  }
  return word;
}

function plurals(word: string): string {
  if (word.length === 4 && word.endsWith('ies')) return word.slice(0, -1);
  return applied(word, [
    ['sses', 'ss'],
    ['ies', 'i'],
    ['ss', 'ss'],
    ['s', ''],
  ]);
}

function pastAndProgressive(word: string): string {
  if (word.endsWith('ied')) return word.slice(0, word.length === 4 ? -1 : -2);
  if (word.endsWith('eed')) return applied(word, [['eed', 'ee', some]]);
  const suffix = ['ed', 'ing'].find(
    (end) => word.endsWith(end) && pattern(word.slice(0, -end.length)).includes('v'),
  );
  return suffix === undefined ? word : repaired(word.slice(0, -suffix.length));
}

/** What -ed and -ing had changed is put back. */
function repaired(stem: string): string {
  if (/(?:at|bl|iz)$/.test(stem)) return `${stem}e`;
  if (endsDouble(stem)) return /[lsz]$/.test(stem) ? stem : stem.slice(0, -1);
  return measure(stem) === 1 && endsShort(stem) ? `${stem}e` : stem;
}

function finalY(word: string): string {
  return applied(word, [['y', 'i', (stem) => stem.length > 1 && pattern(stem).endsWith('c')]]);
}

const LONG: readonly Rule[] = [
  ...(
    [
      ...[
        ['ational', 'ate'],
        ['tional', 'tion'],
        ['enci', 'ence'],
        ['anci', 'ance'],
        ['izer', 'ize'],
      ],
      ...[
        ['bli', 'ble'],
        ['alli', 'al'],
        ['entli', 'ent'],
        ['eli', 'e'],
        ['ousli', 'ous'],
      ],
      ...[
        ['ization', 'ize'],
        ['ation', 'ate'],
        ['ator', 'ate'],
        ['alism', 'al'],
        ['iveness', 'ive'],
      ],
      ...[
        ['fulness', 'ful'],
        ['ousness', 'ous'],
        ['aliti', 'al'],
        ['iviti', 'ive'],
        ['biliti', 'ble'],
      ],
      ['fulli', 'ful'],
    ] as [string, string][]
  ).map(([suffix, replacement]): Rule => [suffix, replacement, some]),
  // The l belongs to the stem, so that geo- and theo- count.
  ['logi', 'log', (stem) => some(`${stem}l`)],
];

function longSuffixes(word: string): string {
  if (word.endsWith('alli') && some(word.slice(0, -4))) return longSuffixes(word.slice(0, -2));
  return applied(word, LONG);
}

function mediumSuffixes(word: string): string {
  return applied(word, [
    ...[['icate', 'ic', some] as const, ['ative', '', some] as const, ['alize', 'al', some] as const],
    ...[['iciti', 'ic', some] as const, ['ical', 'ic', some] as const],
    ...[['ful', '', some] as const, ['ness', '', some] as const],
  ]);
}

const SHORT: readonly Rule[] = [
  ...['al', 'ance', 'ence', 'er', 'ic', 'able', 'ible', 'ant', 'ement', 'ment', 'ent'].map(
    (suffix): Rule => [suffix, '', several],
  ),
  ['ion', '', (stem) => several(stem) && /[st]$/.test(stem)],
  ...['ou', 'ism', 'ate', 'iti', 'ous', 'ive', 'ize'].map((suffix): Rule => [suffix, '', several]),
];

function shortSuffixes(word: string): string {
  return applied(word, SHORT);
}

function finalE(word: string): string {
  if (!word.endsWith('e')) return word;
  const stem = word.slice(0, -1);
  const goes = measure(stem) > 1 || (measure(stem) === 1 && !endsShort(stem));
  return goes ? stem : word;
}

function doubleL(word: string): string {
  return word.endsWith('ll') && several(word.slice(0, -1)) ? word.slice(0, -1) : word;
}
