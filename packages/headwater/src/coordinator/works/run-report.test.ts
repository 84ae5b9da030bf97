import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { RunEvent } from '../../federation/events.ts';
import { registriesWith } from '../../jobs/plugins-node.ts';
import { recipeShape } from '../../recipe/schema.ts';
import { describeEnvironment } from '../../runs/environment.ts';
import { upgraded } from '../../runs/upgrade.ts';
import type { Json } from '../../storage/journal.ts';
import { factsOf } from './owner-facts.ts';
import { reportRun, writeRunReport } from './run-report.ts';

const file = new URL('../../../test/fixtures/storage/events-0.1.json', import.meta.url);
const [first, ...rest] = (JSON.parse(readFileSync(file, 'utf8')) as Json[]).map(upgraded);
const created = first as Extract<RunEvent, { type: 'created' }>;
const recipe = recipeShape.parse((created.provenance as { readonly recipe: unknown }).recipe);
const facts = factsOf(recipe, await registriesWith([]), created.plan.owners);
const events = [{ ...created, provenance: { recipe, facts, environment: describeEnvironment() } }, ...rest];
/** A long run, as far as its length goes. */
const restarts: RunEvent[] = Array.from({ length: 1000 }, () => ({ type: 'resumed' }));

const root = mkdtempSync(join(tmpdir(), 'headwater-report-'));
afterAll(() => rmSync(root, { recursive: true }));

const filesIn = (folder: string) =>
  readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]);

describe('the report of a run', () => {
  it('is the same whether this thread writes it or, for a long run, another one', async () => {
    const [here, there] = [join(root, 'here'), join(root, 'there')];
    const long = [...events, ...restarts];
    await writeRunReport({ folder: here, recipe, events: long });
    await reportRun({ folder: there, recipe, events: long });
    expect(readdirSync(here)).toHaveLength(4);
    expect(filesIn(there)).toEqual(filesIn(here));
  });

  it('says when the other thread failed', async () => {
    const broken = restarts;
    await expect(reportRun({ folder: join(root, 'broken'), recipe, events: broken })).rejects.toThrow(
      'a journal begins with the created event',
    );
  });
});
