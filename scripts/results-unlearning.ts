/**
 * `npm run results:unlearning`: the table of unlearning beside exact retraining, over seeds. Runs that are there are not run again.
 * It prints Markdown and writes `experiments/unlearning/results.json`.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const headwater = join(root, 'packages/headwater/bin/headwater.js');
const out = join(root, 'experiments/unlearning');
const seeds = process.argv.slice(2).length > 0 ? process.argv.slice(2).map(Number) : [0, 1, 2];

const COMMON = [
  'federation.keepUpdates=true',
  'evaluation.everyRounds=100',
  'baselines.localOnly=false',
  'baselines.centralised=false',
];
const ARMS = [
  { name: 'iid', owner: 'client-00', set: ['partition={"kind":"iid","clients":10}'] },
  { name: 'natural', owner: 'banking', set: [] },
  {
    name: 'flora, one round',
    owner: 'client-00',
    set: [
      'partition={"kind":"iid","clients":10}',
      'federation.method.kind=flora',
      'federation.rounds=1',
      'federation.localSteps=20',
    ],
  },
] as const;

interface Quality {
  readonly loss: number;
  readonly accuracy: number;
}
interface Forgetting {
  readonly forget: Quality;
  readonly heldOut: Quality | null;
  readonly membership: number | null;
  readonly retained: Quality | null;
}
interface Receipt {
  readonly method: string;
  readonly exact: boolean;
  readonly seconds: number;
  readonly measures: { readonly before: Forgetting; readonly after: Forgetting };
}

function call(args: readonly string[]): string {
  const { status, stdout } = spawnSync(process.execPath, [headwater, ...args], {
    stdio: ['inherit', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) process.exit(status ?? 1);
  return stdout;
}

function receiptsOf({ name, owner, set }: (typeof ARMS)[number], seed: number): Receipt[] {
  const folder = join(out, `${name.replaceAll(/[^a-z]+/g, '-')}-${seed}`);
  const file = join(folder, 'unlearning.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'));
  const settings = [...COMMON, ...set, `seed=${seed}`].flatMap((text) => ['--set', text]);
  const resume = existsSync(join(folder, 'journal.sqlite')) ? ['--resume'] : [];
  call(['run', 'intents-30', '--out', folder, ...resume, ...settings]);
  const { receipts } = JSON.parse(call(['unlearn', folder, '--owner', owner, '--method', 'all', '--json']));
  writeFileSync(file, JSON.stringify(receipts, null, 2));
  return receipts;
}

const mean = (values: readonly (number | null | undefined)[]) => {
  const known = values.filter((value) => typeof value === 'number');
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
};
const percent = (value: number | null) => (value === null ? '–' : `${(100 * value).toFixed(1)} %`);
const fixed = (value: number | null, digits: number) => value?.toFixed(digits) ?? '–';

function cells(all: readonly Forgetting[]): string[] {
  return [
    fixed(mean(all.map(({ forget }) => forget.loss)), 3),
    percent(mean(all.map(({ forget }) => forget.accuracy))),
    percent(mean(all.map(({ heldOut }) => heldOut?.accuracy))),
    fixed(mean(all.map(({ membership }) => membership)), 3),
    percent(mean(all.map(({ retained }) => retained?.accuracy))),
  ];
}

mkdirSync(out, { recursive: true });
const results = ARMS.map((arm) => ({
  ...arm,
  runs: seeds.map((seed) => ({ seed, receipts: receiptsOf(arm, seed) })),
}));
writeFileSync(join(out, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);

const HEAD = [
  '',
  '',
  'loss on forgotten',
  'accuracy on them',
  'held out of the owner',
  'membership AUC',
  'others',
  'seconds',
];
for (const { name, owner, runs } of results) {
  const methods = runs[0]!.receipts.map(({ method }) => method);
  const of = (method: string) =>
    runs.flatMap(({ receipts }) => receipts.filter((one) => one.method === method));
  const rows = [
    ['as trained', '', ...cells(runs.map(({ receipts }) => receipts[0]!.measures.before)), ''],
    ...methods.map((method) => [
      method,
      of(method)[0]!.exact ? 'exact' : 'approximate',
      ...cells(of(method).map(({ measures }) => measures.after)),
      fixed(mean(of(method).map(({ seconds }) => seconds)), 0),
    ]),
  ];
  console.log(`\n${name}: ${owner} is forgotten; means over seeds ${seeds.join(', ')}\n`);
  for (const row of [HEAD, HEAD.map(() => '---'), ...rows]) console.log(`| ${row.join(' | ')} |`);
}
