import { describe, expect, it } from 'vitest';
import { toBase64url } from '../../base/base64url.ts';
import { fingerprintOf, formatJoinToken, parseInvitation, parseJoinToken } from './join-token.ts';

const secret = Uint8Array.from({ length: 32 }, (_, i) => 7 * i);
const key = Uint8Array.from({ length: 32 }, (_, i) => 255 - i);
const token = formatJoinToken(secret, key);

describe('join tokens', () => {
  it('carry the secret and the fingerprint of the operator’s key', () => {
    expect(token).toMatch(/^hw1_[A-Za-z0-9_-]{64}$/);
    expect(parseJoinToken(token)).toEqual({ secret: toBase64url(secret), operator: fingerprintOf(key) });
  });

  it.each([
    '',
    'hw1_',
    token.slice(0, -1),
    `${token}A`,
    token.replace('hw1_', 'hw2_'),
    token.replace(/.$/, '='),
  ])('%s is none, and the error does not repeat it', (text) => {
    expect(() => parseJoinToken(text)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
    expect(() => parseJoinToken(text)).not.toThrow(text.length > 30 ? text : 'no such text');
  });

  it('invitations are an address with a token behind #, or without', () => {
    expect(parseInvitation(`https://host:8420/#${token}`)).toEqual({ url: 'https://host:8420', token });
    expect(parseInvitation('http://localhost/proxy/')).toEqual({
      url: 'http://localhost/proxy',
      token: undefined,
    });
    for (const text of ['host:8420', 'ftp://host', '', '/x'])
      expect(() => parseInvitation(text)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
  });
});
