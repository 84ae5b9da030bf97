/**
 * `npm run results:unlearning`: the tables of unlearning beside exact retraining. Some four minutes of a core an arm and seed;
 * `-- 0 1 2` names seeds, of which one is run by default. What is finished is not run again. It prints Markdown and stores the figures
 * beside docs/results.md, which `npm run docs` makes.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { STORED_UNLEARNING } from './results-page.ts';
import { type UnlearningArm, type UnlearningReceipt, unlearningTables } from './unlearning-table.ts';

const root = join(import.meta.dirname, '..');
const headwater = join(root, 'packages/headwater/bin/headwater.js');
const out = join(root, 'experiments/unlearning');
const seeds = process.argv.slice(2).length > 0 ? process.argv.slice(2).map(Number) : [0];

const COMMON = [
  'federation.keepUpdates=true',
  'evaluation.everyRounds=100',
  // Thirty rows of an owner tell what nobody trained on; those of the others hold approximate methods back.
  'evaluation.validationSampleSize=300',
  'baselines.localOnly=false',
  'baselines.centralised=false',
];
const ARMS = [
  { name: 'IID', owner: 'client-0', set: ['partition={"kind":"iid","clients":10}'] },
  { name: 'natural split', owner: 'banking', set: [] },
  {
    name: 'FLoRA, one round',
    owner: 'client-0',
    set: [
      'partition={"kind":"iid","clients":10}',
      'federation.method.kind=flora',
      'federation.rounds=1',
      'federation.localSteps=20',
    ],
  },
] as const;

function call(args: readonly string[]): string {
  const { status, stdout } = spawnSync(process.execPath, [headwater, ...args], {
    stdio: ['inherit', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) process.exit(status ?? 1);
  return stdout;
}

function receiptsOf({ name, owner, set }: (typeof ARMS)[number], seed: number): UnlearningReceipt[] {
  const folder = join(out, `${name.toLowerCase().replaceAll(/[^a-z]+/g, '-')}-${seed}`);
  const file = join(folder, 'unlearning.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'));
  const settings = [...COMMON, ...set, `seed=${seed}`].flatMap((text) => ['--set', text]);
  const resume = existsSync(join(folder, 'journal.sqlite')) ? ['--resume'] : [];
  call(['run', 'intents-30', '--out', folder, ...resume, ...settings]);
  const { receipts } = JSON.parse(call(['unlearn', folder, '--owner', owner, '--method', 'all', '--json']));
  writeFileSync(file, JSON.stringify(receipts, null, 2));
  return receipts;
}

function figuresOf({ method, exact, seconds, measures }: UnlearningReceipt): UnlearningReceipt {
  const { before, after } = measures;
  return { method, exact, seconds, measures: { before, after } };
}

mkdirSync(out, { recursive: true });
const arms: UnlearningArm[] = ARMS.map((arm) => ({
  name: arm.name,
  owner: arm.owner,
  runs: seeds.map((seed) => ({ seed, receipts: receiptsOf(arm, seed).map(figuresOf) })),
}));
mkdirSync(dirname(STORED_UNLEARNING), { recursive: true });
writeFileSync(STORED_UNLEARNING, `${JSON.stringify(arms, null, 2)}\n`);
console.log(unlearningTables(arms));
