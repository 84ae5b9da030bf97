import type { OwnerRow } from '@headwater/runs/view/rows.ts';
import type { ClientSummary } from '@headwater/runs/view/summaries.ts';
import { describe, expect, it } from 'vitest';
import { clientRows, softwareParts } from './clients.ts';

const client = (change: Partial<ClientSummary>): ClientSummary => ({
  ...{ clientId: 'c1', run: 'r', owner: 'ann', joinedMs: 1, lastSeenMs: null, revoked: false },
  ...{ standing: 'active', offences: 0, software: 'headwater/0.1.0' },
  ...change,
});

const figures = (owner: string) => ({ owner, standing: 'active', lastMs: 7 }) as OwnerRow;

describe('clients of a run', () => {
  it('owners that joined anew have their figures at the newest key that counts', () => {
    const old = client({ clientId: 'old', joinedMs: 1, revoked: true });
    const fresh = client({ clientId: 'new', joinedMs: 2, lastSeenMs: 9 });
    const rows = clientRows([fresh, old], [figures('ann')]);
    expect(
      rows.map(({ key, standing, figures: own, seenMs }) => [key, standing, own !== null, seenMs]),
    ).toEqual([
      ['new', 'active', true, 9],
      ['old', 'revoked', false, null],
    ]);
  });

  it('owners without a client are played by this machine, clients without figures wait', () => {
    const rows = clientRows([client({ standing: 'waiting' })], [figures('ben')]);
    expect(
      rows.map(({ owner, client: own, figures: known }) => [owner, own !== null, known !== null]),
    ).toEqual([
      ['ann', true, false],
      ['ben', false, true],
    ]);
  });
});

it.each([
  ['headwater/0.1.0 (webgpu; chrome 140)', 'headwater/0.1.0', 'webgpu; chrome 140'],
  ['headwater/0.1.0', 'headwater/0.1.0', undefined],
  ['odd (', 'odd (', undefined],
  ['', '', undefined],
])('software %j', (software, program, device) => {
  expect(softwareParts(software)).toEqual({ program, device });
});
