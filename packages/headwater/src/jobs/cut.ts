/** What an owner is sent of the global params, or has without being sent it, as a file. It reads one blob and writes none. */

import { digestBytes } from '../base/canonical.ts';
import type { Params } from '../base/tensor.ts';
import type { BoundMethod } from '../federation/method.ts';
import { encodeParams } from '../federation/params.ts';
import { restOf, sentDown } from '../federation/sent-down.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import type { CutJob, CutResult } from './jobs.ts';

interface CutParts {
  readonly method: BoundMethod;
  readonly tensors: readonly TrainableTensor[];
}

export function cutOf(
  parts: CutParts,
  params: Params,
  { part, withFile, seed, round, owner }: CutJob,
): CutResult {
  const kept =
    part === 'sent' ? sentDown(parts, params, { seed, round, owner }) : restOf(parts, params, round);
  const file = encodeParams(kept);
  const what = { digest: digestBytes(file), bytes: file.byteLength };
  return withFile ? { ...what, file } : what;
}
