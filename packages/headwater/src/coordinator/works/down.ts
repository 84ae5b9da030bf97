/**
 * What owners are sent of a round's params, cut when somebody asks for it: once for all who receive the same, made again
 * when it has been forgotten. Names stay known, files only some. It decides nothing about who may read what.
 */

import type { BoundMethod } from '../../federation/method.ts';
import type { RunPlan } from '../../federation/plan.ts';
import { leavesNoRest, sendsAll, sentDownBytes } from '../../federation/sent-down.ts';
import type { CutJob, CutResult } from '../../jobs/jobs.ts';
import type { Down, DownAsked, DownPiece, RunWorks } from '../ports.ts';

/** Names and sizes; owners of a round who receive the same count once. */
const MAX_NAMES = 10_000;
/** Of the files together; the last one is kept however large it is. */
const MAX_FILE_BYTES = 2 ** 26;

type Named = Omit<CutResult, 'file'>;

export function createDown(
  method: BoundMethod,
  cut: (job: CutJob) => Promise<CutResult>,
  maxFileBytes = MAX_FILE_BYTES,
): Pick<Required<RunWorks>, 'down' | 'downBytes'> {
  const names = new Map<string, Promise<Named>>();
  const files = createFiles(maxFileBytes);
  const sizes = new Map<string, number>();

  const named = (key: string, job: Omit<CutJob, 'withFile'>): Promise<Named> => {
    const known = names.get(key);
    if (known !== undefined) return known;
    // What is sent will be fetched at once; the rest is what clients have themselves.
    const made = cut({ ...job, withFile: job.part === 'sent' }).then(({ file, digest, bytes }) => {
      if (file !== undefined) files.keep(digest, Promise.resolve(file), bytes);
      return { digest, bytes };
    });
    bounded(names, MAX_NAMES).set(key, made);
    made.catch(() => names.delete(key));
    return made;
  };

  async function piece(part: CutJob['part'], { seed }: RunPlan, asked: DownAsked): Promise<DownPiece> {
    const { params, round, owner } = asked;
    const alike = part === 'sent' ? method.receivesAs(owner) : '';
    const job = { kind: 'cut', part, params, seed, round, owner } as const;
    const { digest, bytes } = await named(`${part} ${params} ${round} ${alike}`, job);
    const make = async () => (await cut({ ...job, withFile: true })).file!;
    return { digest, bytes, file: () => files.get(digest) ?? files.keep(digest, make(), bytes) };
  }

  return {
    async down(plan, asked): Promise<Down | undefined> {
      const sender = { method, tensors: plan.tensors };
      if (sendsAll(sender, asked.round)) return undefined;
      const sent = await piece('sent', plan, asked);
      return { sent, rest: leavesNoRest(sender, asked.round) ? null : await piece('rest', plan, asked) };
    },
    downBytes(plan, round, owner) {
      const key = `${round} ${method.receivesAs(owner)}`;
      const { seed, tensors } = plan;
      const bytes = sizes.get(key) ?? sentDownBytes({ method, tensors }, { seed, round, owner });
      bounded(sizes, MAX_NAMES).set(key, bytes);
      return bytes;
    },
  };
}

/** Room for one more. */
function bounded<V>(map: Map<string, V>, most: number): Map<string, V> {
  if (map.size >= most) map.delete(map.keys().next().value!);
  return map;
}

interface Files {
  get(digest: string): Promise<Uint8Array> | undefined;
  keep(digest: string, file: Promise<Uint8Array>, bytes: number): Promise<Uint8Array>;
}

function createFiles(most: number): Files {
  const kept = new Map<string, { readonly file: Promise<Uint8Array>; readonly bytes: number }>();
  const total = () => [...kept.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    get: (digest) => kept.get(digest)?.file,
    keep(digest, file, bytes) {
      kept.delete(digest);
      kept.set(digest, { file, bytes });
      file.catch(() => kept.delete(digest));
      while (kept.size > 1 && total() > most) kept.delete(kept.keys().next().value!);
      return file;
    },
  };
}
