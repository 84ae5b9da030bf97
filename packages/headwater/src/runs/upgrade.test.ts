import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { RunEvent } from '../federation/events.ts';
import { replay } from '../federation/machine.ts';
import { recipeShape } from '../recipe/schema.ts';
import type { Json } from '../storage/journal.ts';
import { upgraded } from './upgrade.ts';

const file = new URL('../../test/fixtures/storage/events-0.1.json', import.meta.url);
const stored = JSON.parse(readFileSync(file, 'utf8')) as Json[];
const lastParams = stored.flatMap((event) => {
  const { type, params } = event as { readonly type: string; readonly params?: string };
  return type === 'aggregated' ? [params] : [];
});

describe('events of version 0.1', () => {
  it('replay to the end of their run', () => {
    const state = replay(stored.map(upgraded));
    expect(state.status).toBe('finished');
    expect(state.closed.map(({ params }) => params)).toEqual(lastParams);
    expect(state.params).toBe(lastParams.at(-1));
  });

  it('go on from anywhere: after each event the next one is expected', () => {
    for (let length = 1; length < stored.length; length++)
      expect(replay(stored.slice(0, length).map(upgraded)).status).toBe('running');
  });

  it('name a recipe that is complete today', () => {
    const created = upgraded(stored[0]!) as Extract<RunEvent, { type: 'created' }>;
    const { recipe } = created.provenance as { readonly recipe: unknown };
    expect(recipeShape.parse(recipe)).toEqual(recipe);
  });

  it('events of today stay as they are', () => {
    const [first] = stored.map(upgraded);
    expect(upgraded(first as unknown as Json)).toEqual(first);
  });
});
