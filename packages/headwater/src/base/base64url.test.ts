import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromBase64url, toBase64url } from './base64url.ts';

describe('base64url', () => {
  it('writes bytes as Node does', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(toBase64url(bytes)).toBe(Buffer.from(bytes).toString('base64url'));
      }),
    );
  });

  it('reads what it wrote, and nothing else that means the same bytes', () => {
    const text = fc.string({ unit: fc.constantFrom(...'AZaz09-_Qw+/= é'), maxLength: 12 });
    fc.assert(
      fc.property(text, (given) => {
        const bytes = fromBase64url(given);
        const node = Buffer.from(given, 'base64url');
        if (node.toString('base64url') === given) expect(bytes).toEqual(new Uint8Array(node));
        else expect(bytes).toBeUndefined();
      }),
    );
  });

  it.each(['A', 'AB', 'AAB', 'AA=', 'AA==', 'A+AA', 'A/AA', ' AAA', 'AA\n', 'ÀAAA'])('refuses %j', (text) => {
    expect(fromBase64url(text)).toBeUndefined();
  });
});
