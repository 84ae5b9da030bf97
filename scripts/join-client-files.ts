/**
 * `node scripts/join-client-files.ts FOLDER OUT`: data sets that come as one JSON file for each client (local_training_N.json,
 * local_eval_N.json, local_test_N.json, global_test.json) → train, validation and test .jsonl.gz with a column `client`, which is
 * `all` for global files. Rows without an answer are left out: there is nothing to learn or to score.
 */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const PARTS: Readonly<Record<string, string>> = { training: 'train', eval: 'validation', test: 'test' };

type Row = Readonly<Record<string, unknown>>;

function hasAnswer({ output, response }: Row): boolean {
  return [output, response].every((answer) => typeof answer !== 'string' || answer.trim() !== '');
}

/** Rows of each part, in the order of the clients' numbers. */
export function joinClientFiles(folder: string): Map<string, Row[]> {
  const joined = new Map<string, Row[]>();
  const files = readdirSync(folder).sort((a, b) => numberIn(a) - numberIn(b) || (a < b ? -1 : 1));
  for (const file of files) {
    const [, scope, part, client] = /^(local|global)_(training|eval|test)(?:_(\d+))?\.json$/.exec(file) ?? [];
    if (scope === undefined) continue;
    const rows = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Row[];
    const name = PARTS[part!]!;
    const owner = client === undefined ? 'all' : `client-${client}`;
    const named = rows.filter(hasAnswer).map((row) => ({ ...row, client: owner }));
    joined.set(name, [...(joined.get(name) ?? []), ...named]);
  }
  return joined;
}

function numberIn(file: string): number {
  return Number(/\d+/.exec(file)?.[0] ?? -1);
}

if (import.meta.main) {
  const [folder, out] = process.argv.slice(2);
  if (folder === undefined || out === undefined) throw new Error('usage: join-client-files.ts FOLDER OUT');
  const joined = joinClientFiles(folder);
  if (joined.size === 0) throw new Error(`${folder} has no files such as local_training_0.json`);
  mkdirSync(out, { recursive: true });
  for (const [name, rows] of joined) {
    const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    writeFileSync(join(out, `${name}.jsonl.gz`), gzipSync(text, { level: 9 }));
    console.log(`${join(out, `${name}.jsonl.gz`)}: ${rows.length} rows`);
  }
}
