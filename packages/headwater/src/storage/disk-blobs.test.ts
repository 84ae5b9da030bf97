import { describe, expect, it } from 'vitest';
import { blobsConformance } from '../../test/support/blobs-conformance.ts';
import { bytesOf, inPieces, sha256 } from '../../test/support/bytes.ts';
import { Crash, CrashingDisk, type Fate, type Fault } from '../../test/support/crashing-disk.ts';
import type { Blobs, UploadPlan } from './blobs.ts';
import { blobsOver } from './disk-blobs.ts';

let machine = new CrashingDisk();
let names = 0;
const open = (on = machine) => blobsOver(on.disk(), 'data/blobs', { unique: () => `${++names}` });

blobsConformance({
  name: 'a disk in memory',
  fresh: () => {
    machine = new CrashingDisk();
  },
  open,
});

const CHUNK = 200;
const whole = bytesOf(700, 9);
const plan: UploadPlan = { key: 'alice', digest: sha256(whole), bytes: 700, chunkBytes: CHUNK };
const small = bytesOf(150, 1);
const large = bytesOf(900, 2);
/** In the same shard as nothing else, so that its folder is made for it. */
const streamed = bytesOf(333, 3);

const chunk = (index: number) => whole.slice(index * CHUNK, (index + 1) * CHUNK);
const send = ({ uploads }: Blobs, index: number) =>
  uploads.putChunk('alice', index, sha256(chunk(index)), inPieces(chunk(index), 64));

/** Each may be done again after a crash. */
const steps: ((blobs: Blobs) => Promise<unknown>)[] = [
  (blobs) => blobs.put(small),
  (blobs) => blobs.uploads.open(plan),
  (blobs) => send(blobs, 1),
  (blobs) => blobs.putStream(inPieces(streamed, 100)),
  (blobs) => send(blobs, 0),
  (blobs) => send(blobs, 3),
  (blobs) => blobs.put(small),
  (blobs) => send(blobs, 2),
  (blobs) => blobs.uploads.seal(plan),
  (blobs) => blobs.put(large),
];
const storedAfter = [
  [],
  ...steps.map((_, step) => [
    ...(step >= 0 ? [small] : []),
    ...(step >= 3 ? [streamed] : []),
    ...(step >= 8 ? [whole] : []),
    ...(step >= 9 ? [large] : []),
  ]),
];

function isCrash(error: unknown): boolean {
  return error instanceof Crash || (error as Error).cause instanceof Crash;
}

async function runUntilCrash(on: CrashingDisk): Promise<number> {
  let done = 0;
  try {
    const blobs = await open(on);
    for (const step of steps) {
      await step(blobs);
      done += 1;
    }
  } catch (error) {
    if (!isCrash(error)) throw error;
  }
  return done;
}

/** What was acknowledged is there; whatever has a blob's name is that blob. */
async function check(blobs: Blobs, acknowledged: readonly Uint8Array[], where: string): Promise<void> {
  const listed = await blobs.list();
  for (const bytes of acknowledged) expect(listed, where).toContain(sha256(bytes));
  for (const digest of listed) expect(sha256(await blobs.get(digest)), where).toBe(digest);
}

/** As a sender does: asks what is there, sends the rest. */
async function finishUpload(blobs: Blobs, where: string): Promise<void> {
  const there = await blobs.uploads.open(plan);
  for (const index of [0, 1, 2, 3]) if (!there.includes(index)) await send(blobs, index);
  expect(await blobs.uploads.seal(plan), where).toBe(plan.digest);
  expect(Buffer.from(await blobs.get(plan.digest)).equals(whole), where).toBe(true);
  expect(await blobs.uploads.list(), where).toEqual([]);
}

async function crashAndGoOn(fault: Fault, fate: Fate): Promise<void> {
  const where = `${fault.kind} ${fault.at}, ${fate}`;
  const crashing = new CrashingDisk();
  crashing.plan(fault);
  const acknowledged = storedAfter[await runUntilCrash(crashing)] ?? [];
  crashing.end(fate, fault.at);
  crashing.plan();
  const blobs = await open(crashing);
  await check(blobs, acknowledged, where);
  for (const bytes of [small, streamed, large]) await blobs.put(bytes);
  // Sealed in vain perhaps: the answer was lost, so the sender asks again; only what is incomplete is refused.
  const sealed = await blobs.uploads.seal(plan).catch((error: { code?: string }) => error.code);
  expect([plan.digest, 'UPLOAD_INVALID'], where).toContain(sealed);
  if (sealed !== plan.digest) await finishUpload(blobs, where);
  crashing.end('lost', fault.at);
  await check(await open(crashing), [small, streamed, large, whole], where);
}

describe('blobs under faults of their disk', async () => {
  const measured = new CrashingDisk();
  expect(await runUntilCrash(measured)).toBe(steps.length);
  const total = measured.operations;

  it.each(['crash before', 'crash after', 'crash inside'] as const)(
    'after a %s each of its operations everything acknowledged is there and nothing is half',
    async (kind) => {
      expect(total).toBeGreaterThan(50);
      for (let at = 1; at <= total; at += 1)
        for (const fate of ['lost', 'kept', 'torn', 'killed'] as const)
          await crashAndGoOn({ at, kind }, fate);
    },
  );

  it('chunks that a power cut tore are not there after it', async () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      const torn = new CrashingDisk();
      const before = await open(torn);
      await before.uploads.open(plan);
      for (const index of [0, 1, 2]) await send(before, index);
      torn.end('torn', seed);
      const blobs = await open(torn);
      const there = await blobs.uploads.open(plan);
      const [name] = (await torn.disk().list('data/blobs/uploads')).filter((file) => file.endsWith('.data'));
      for (const index of there) {
        const bytes = await torn.disk().read(`data/blobs/uploads/${name}`);
        expect(bytes.slice(index * CHUNK, (index + 1) * CHUNK)).toEqual(chunk(index));
      }
      await send(blobs, 3);
      torn.end('killed', seed);
      const again = await open(torn);
      expect(await again.uploads.open(plan)).toEqual([...there, 3]);
      await finishUpload(again, `seed ${seed}`);
    }
  });

  it('an operation that fails is told, leaves nothing half, and can be done again', async () => {
    for (let at = 1; at <= total; at += 1) {
      const failing = new CrashingDisk();
      failing.plan({ at, kind: 'fails' });
      const refused = expect.objectContaining({ code: 'STORAGE_FAILED' });
      const again = async <T>(body: () => Promise<T>): Promise<T> =>
        body().catch((error: unknown) => {
          expect(error, `operation ${at}`).toEqual(refused);
          return body();
        });
      const blobs = await again(() => open(failing));
      for (const step of steps) await again(() => step(blobs));
      await check(blobs, [small, streamed, large, whole], `operation ${at}`);
      failing.end('lost', at);
      await check(await open(failing), [small, streamed, large, whole], `operation ${at}`);
      const left = await failing.disk().list('data/blobs');
      expect(left.filter((name) => name.startsWith('tmp-'))).toEqual([]);
    }
  });

  it('two processes over one folder: a sender that stalls at one cannot write into what the other sealed', async () => {
    const shared = new CrashingDisk();
    const [one, two] = [await open(shared), await open(shared)];
    await one.uploads.open(plan);
    await send(one, 0);
    await send(two, 1);
    let goOn = () => {};
    const sealedAtOther = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    async function* stalling() {
      yield chunk(2).fill(7).slice(0, 100);
      await sealedAtOther;
      yield chunk(2).fill(7).slice(100);
    }
    const stalled = one.uploads.putChunk('alice', 2, sha256(chunk(2)), stalling());
    const outcome = stalled.catch((error: { code?: string }) => error.code);
    await send(two, 2);
    await send(two, 3);
    expect(await two.uploads.seal(plan)).toBe(plan.digest);
    goOn();
    expect(await outcome).toBe('UPLOAD_INVALID');
    expect(Buffer.from(await two.get(plan.digest)).equals(whole)).toBe(true);
    expect(await one.uploads.seal(plan)).toBe(plan.digest);
    expect(Buffer.from(await one.get(plan.digest)).equals(whole)).toBe(true);
    expect(await two.uploads.list()).toEqual([]);
  });

  it('of two processes that seal the same upload at once one succeeds, and the other on asking again', async () => {
    const measuredSeal = new CrashingDisk();
    for (let turns = 0; turns < 400; turns += 3) {
      const [one, two] = [await open(measuredSeal), await open(measuredSeal)];
      await one.uploads.open(plan);
      for (const index of [0, 1, 2, 3]) await send(one, index);
      const later = async () => {
        for (let i = 0; i < turns; i += 1) await null;
        return one.uploads.seal(plan);
      };
      const settled = await Promise.allSettled([later(), two.uploads.seal(plan)]);
      expect(settled.some(({ status }) => status === 'fulfilled')).toBe(true);
      expect(await one.uploads.seal(plan)).toBe(plan.digest);
      expect(Buffer.from(await two.get(plan.digest)).equals(whole), `${turns}`).toBe(true);
      await one.delete(plan.digest);
    }
  });

  it('what a crash left half written is removed after a day', async () => {
    const crashed = new CrashingDisk();
    await open(crashed);
    await (await crashed.disk().open('data/blobs/tmp-1', 'write')).write(small, 0);
    const day = 24 * 60 * 60 * 1000;
    const openAt = (nowMs: number) =>
      blobsOver(crashed.disk(), 'data/blobs', { clock: { nowMs: () => nowMs } });
    await openAt(day);
    expect(await crashed.disk().list('data/blobs')).toEqual(['tmp-1']);
    await openAt(day + 1);
    expect(await crashed.disk().list('data/blobs')).toEqual([]);
  });
});
