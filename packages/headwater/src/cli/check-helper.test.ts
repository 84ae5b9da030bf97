import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { rejection } from '../../test/support/outcome.ts';
import { serveHelper } from '../helper/serve.ts';
import { checkHelper } from './check-helper.ts';

const here = { insecure: false };
const runOf = (url: string, key: string) => ({
  privacy: { secureAggregation: { mode: 'two-server' as const, helper: { url, key } } },
});

it('before a run is signed its helper is asked for its key; one that does not answer yet is told, a wrong key refused', async () => {
  const store = mkdtempSync(join(tmpdir(), 'headwater-helper-key-'));
  const helper = await serveHelper({ store, host: '127.0.0.1', port: 0, insecure: false, minUpdates: 3 });
  const { url, publicKey } = helper;
  try {
    expect(statSync(join(store, 'helper.db')).mode & 0o077).toBe(0);
    expect(await checkHelper({}, here)).toBeUndefined();
    expect(await checkHelper(runOf(url, publicKey), here)).toBeUndefined();
    const other = `${publicKey.startsWith('A') ? 'B' : 'A'}${publicKey.slice(1)}`;
    expect(await rejection(checkHelper(runOf(url, other), here))).toMatchObject({
      code: 'RECIPE_INVALID',
      message: `the helper at ${url} has the key ${publicKey}, not ${other}`,
    });
    expect(await checkHelper(runOf(`${url}/elsewhere`, publicKey), here)).toMatch(/no helper \(HTTP 404\)/);
  } finally {
    await helper.close();
    rmSync(store, { recursive: true, force: true });
  }
  expect(await checkHelper(runOf(url, publicKey), here)).toMatch(/does not answer yet \(.*ECONNREFUSED/);
  const far = runOf('http://helper.example:8422', publicKey);
  expect(await rejection(checkHelper(far, here))).toMatchObject({ code: 'OPTION_INVALID' });
});
