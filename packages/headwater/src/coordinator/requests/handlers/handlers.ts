/** The handler of each route. */

import type { Handlers } from '../calls.ts';
import { blob } from './blob.ts';
import { enrol } from './enrol.ts';
import { join } from './join.ts';
import { leave } from './leave.ts';
import { log } from './log.ts';
import { manifest } from './manifest.ts';
import { peek, peekFile } from './peek.ts';
import { reportFailure } from './report-failure.ts';
import { secureRound } from './secure-round.ts';
import { submitEvaluation } from './submit-evaluation.ts';
import { submitUpdate } from './submit-update.ts';
import { task } from './task.ts';
import { openUpload, putChunk } from './upload.ts';

export const handlers: Handlers = {
  join,
  peek,
  peekFile,
  manifest,
  enrol,
  task,
  blob,
  openUpload,
  putChunk,
  submitUpdate,
  secureRound,
  submitEvaluation,
  reportFailure,
  leave,
  log,
};
