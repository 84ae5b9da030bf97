import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { webcryptoEntropy, webcryptoSigner } from '../../src/client/webcrypto.ts';

const PACKAGE = join(import.meta.dirname, '../..');
const page = readFileSync(join(PACKAGE, '../../docs/security.md'), 'utf8');
const rows = page.split('\n').filter((line) => /^\| [TW]\d+ \|/.test(line));

describe('the page on security', () => {
  it('has every threat and every weakness once', () => {
    const ids = rows.map((row) => row.split('|')[1]!.trim());
    const expected = [
      ...Array.from({ length: 38 }, (_, i) => `T${i + 1}`),
      ...Array.from({ length: 12 }, (_, i) => `W${i + 1}`),
    ];
    expect(ids.sort()).toEqual(expected.sort());
  });

  it('names tests that are there', () => {
    const named = rows.flatMap((row) => {
      const base = row.startsWith('| W') ? join(PACKAGE, 'src') : PACKAGE;
      return [...row.matchAll(/`([\w./-]+\.test\.ts)`/g)].map(([, path]) =>
        path!.startsWith('test/') ? join(PACKAGE, path!) : join(base, path!),
      );
    });
    expect(named.length).toBeGreaterThan(60);
    expect(named.filter((path) => !existsSync(path))).toEqual([]);
  });
});

it('keys of clients come from the platform’s generator: no two are alike, whoever asks (W4)', async () => {
  const keys = await Promise.all(Array.from({ length: 8 }, () => webcryptoSigner(undefined)));
  expect(new Set(keys.map(({ signer }) => Buffer.from(signer.publicKey).toString('hex'))).size).toBe(8);
  const drawn = Array.from({ length: 8 }, () => Buffer.from(webcryptoEntropy(32)).toString('hex'));
  expect(new Set(drawn).size).toBe(8);
});
