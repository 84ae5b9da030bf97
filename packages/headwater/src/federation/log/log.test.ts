import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ed25519FromSeed, ed25519Verify } from '../../base/ed25519-node.ts';
import type { RunEvent } from '../events.ts';
import { auditLog } from './audit.ts';
import { entryHash, entryText, parseEntry } from './entry.ts';
import { headBytes, headOf, isSignedHead, signHead } from './head.ts';
import { createMerkleTree, EMPTY_ROOT, leafHash, type MerkleTree } from './merkle.ts';
import { verifyConsistency, verifyInclusion } from './proofs.ts';
import { publicPart } from './public-part.ts';

/** Reference data of certificate-transparency (merkle_tree_test), the tree of RFC 6962 §2.1.3 in numbers. */
const LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const [A, B, C] = [
  '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
  '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
  '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
];
const [D, E, F] = [
  'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
  'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
  '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
];

function treeOf(leaves: readonly string[]): MerkleTree {
  const tree = createMerkleTree();
  for (const leaf of leaves) tree.append(leafHash(hexToBytes(leaf)));
  return tree;
}

const numbered = (count: number) =>
  treeOf(Array.from({ length: count }, (_, i) => i.toString(16).padStart(8, '0')));

describe('the tree of RFC 6962', () => {
  const tree = treeOf(LEAVES);
  it('has the roots of the reference, also of each shorter list', () => {
    expect(ROOTS.map((_, i) => bytesToHex(tree.root(i + 1)))).toEqual(ROOTS);
    expect(bytesToHex(EMPTY_ROOT)).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(createMerkleTree().root()).toEqual(EMPTY_ROOT);
  });

  it('has the inclusion proofs of the reference', () => {
    const path = (index: number, size: number) => tree.inclusion(index, size).map(bytesToHex);
    expect(path(0, 1)).toEqual([]);
    expect(path(0, 8)).toEqual([A, B, C]);
    expect(path(5, 8)).toEqual([D, E, ROOTS[3]]);
    expect(path(2, 3)).toEqual([ROOTS[1]]);
    expect(path(1, 5)).toEqual([ROOTS[0], B, D]);
  });

  it('has the consistency proofs of the reference', () => {
    const proof = (first: number, size: number) => tree.consistency(first, size).map(bytesToHex);
    expect(proof(1, 1)).toEqual([]);
    expect(proof(1, 8)).toEqual([A, B, C]);
    expect(proof(6, 8)).toEqual([F, E, ROOTS[3]]);
    expect(proof(2, 5)).toEqual([B, D]);
  });
});

describe('proofs', () => {
  const sizes = fc.integer({ min: 1, max: 70 });
  const tree = numbered(70);
  const head = (size: number) => ({ size, root: tree.root(size) });

  it('of every entry in every list convince, and of no other entry, place or list', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(), fc.nat(), (size, a, b, c) => {
        const [index, other, otherSize] = [a % size, b % 70, 1 + (c % 70)];
        const leaf = leafHash(hexToBytes(index.toString(16).padStart(8, '0')));
        const wrong = leafHash(hexToBytes(other.toString(16).padStart(8, '0')));
        const path = tree.inclusion(index, size);
        expect(verifyInclusion(leaf, index, path, head(size))).toBe(true);
        if (other !== index) expect(verifyInclusion(wrong, index, path, head(size))).toBe(false);
        if (other !== index) expect(verifyInclusion(leaf, other, path, head(size))).toBe(false);
        if (otherSize !== size)
          expect(verifyInclusion(leaf, index, path, { size, root: head(otherSize).root })).toBe(false);
        if (path.length > 0) expect(verifyInclusion(leaf, index, path.slice(1), head(size))).toBe(false);
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('between every two lists convince, and between a list and a changed one never', () => {
    const forged = numbered(70);
    const changed = createMerkleTree();
    for (let i = 0; i < 70; i++)
      changed.append(leafHash(hexToBytes((i === 3 ? 999 : i).toString(16).padStart(8, '0'))));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 70 }), sizes, (a, b) => {
        const [first, second] = [Math.min(a, b), Math.max(a, b)];
        const proof = tree.consistency(first, second);
        expect(verifyConsistency(head(first), head(second), proof)).toBe(true);
        if (first < second && first > 0)
          expect(verifyConsistency(head(first), head(second), proof.slice(1))).toBe(false);
        if (first > 3)
          expect(
            verifyConsistency(
              head(first),
              { size: second, root: changed.root(second) },
              changed.consistency(first, second),
            ),
          ).toBe(false);
        if (first < second) expect(verifyConsistency(head(second), head(first), proof)).toBe(false);
      }),
      { seed: 2, numRuns: 300 },
    );
    expect(forged.root()).toEqual(tree.root());
  });
});

const update = (extra: object): RunEvent =>
  ({
    type: 'update-received',
    round: 2,
    owner: 'ward-3',
    update: 'ab'.repeat(32),
    personal: null,
    upBytes: 1,
    downBytes: 2,
    check: { ok: true, l2Norm: 1.25 },
    stats: { steps: 1, numExamples: 9, numTokens: 5, numTargets: 5, meanLoss: 3.5, lastLoss: 3.25 },
    ...extra,
  }) as RunEvent;

describe('entries', () => {
  it('tell who sent which bytes and whether they counted, and nothing else', () => {
    expect(publicPart(update({ observed: { tookMs: 3 } }))).toEqual({
      type: 'update-received',
      round: 2,
      owner: 'ward-3',
      update: 'ab'.repeat(32),
      counted: true,
    });
  });

  it('of the same event are the same whatever a shell observed, and hidden by a value of their own', () => {
    const key = new Uint8Array(32).fill(7);
    const text = entryText(5, update({ observed: { endedMs: 1 } }), key, 'demo');
    expect(entryText(5, update({ observed: { endedMs: 2 } }), key, 'demo')).toBe(text);
    expect(entryText(5, update({}), new Uint8Array(32).fill(8), 'demo')).not.toBe(text);
    expect(entryText(6, update({}), key, 'demo')).not.toContain(JSON.parse(text).blind);
    expect(parseEntry(text)).toMatchObject({ seq: 5, event: { owner: 'ward-3' } });
    expect(parseEntry('{"seq":1}')).toBeUndefined();
    expect(entryHash(text)).toHaveLength(32);
  });

  it('of a type without a rule are told by digest, with round and owner', () => {
    const receipt = { type: 'unlearned', owner: 'a', observed: { tookMs: 1 }, report: { secretish: 1 } };
    const told = publicPart(receipt as unknown as RunEvent);
    expect(told).toMatchObject({ type: 'unlearned', owner: 'a' });
    expect(JSON.stringify(told)).not.toContain('secretish');
    expect(publicPart({ ...receipt, observed: { tookMs: 2 } } as unknown as RunEvent)).toEqual(told);
  });
});

it('a round that was passed over has no release, and a missing one that was not is noticed', async () => {
  const abandoned = { type: 'attempt-abandoned', round: 1, attempt: 2, gone: ['a'], reason: 'r' };
  const aggregated = { type: 'aggregated', round: 2, membership: 'm', params: 'p', serverState: null };
  const orderIn = async (event: object) => {
    const events = [update({ round: 1 }), event, update({}), { ...aggregated, report: {} }] as RunEvent[];
    const key = new Uint8Array(32).fill(7);
    const texts = events.map((item, i) => entryText(i + 1, item, key, 'demo'));
    const { findings } = await auditLog(
      { run: 'demo', texts, signed: undefined, seen: [] },
      async () => true,
    );
    return findings.find(({ what }) => what === 'one release for each round, in order');
  };
  expect(await orderIn({ ...abandoned, passedOver: true })).toMatchObject({
    holds: true,
    detail: '1, the last is p, passed over: round 1',
  });
  expect(await orderIn(abandoned)).toMatchObject({ holds: false, detail: 'release 1 says round 2' });
});

it('a head is the operator’s for its run, size and root, and for nothing else', async () => {
  const signer = ed25519FromSeed(new Uint8Array(32).fill(3));
  const head = await signHead(signer, 'demo', { size: 8, root: hexToBytes(ROOTS[7]!) });
  const isSigned = (changed: Partial<typeof head>, run = 'demo') =>
    isSignedHead({ ...head, ...changed }, run, signer.publicKey, ed25519Verify);
  expect(await isSigned({})).toBe(true);
  expect(await isSigned({ size: 9 })).toBe(false);
  expect(await isSigned({ root: ROOTS[6]! })).toBe(false);
  expect(await isSigned({}, 'other')).toBe(false);
  expect(new TextDecoder().decode(headBytes('demo', 8, ROOTS[7]!))).toBe(
    'headwater-log/v1/demo\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz-Nw7_RgQyg\n',
  );
  expect(headOf(head).size).toBe(8);
});
