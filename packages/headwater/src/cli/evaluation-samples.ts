/** `headwater eval --samples`: what was asked, what the model wrote, and the verdict, one example of one task a line. */

import { judgedTasks, type SetAnswers } from '../jobs/evaluation-figures.ts';
import type { EvaluationSet } from '../jobs/evaluation-set.ts';
import { writeFileAtomically } from '../storage/atomic-file.ts';

/** Throws STORAGE_FAILED. */
export async function writeSamples(file: string, set: EvaluationSet, answers: SetAnswers): Promise<void> {
  const lines = judgedTasks(set, answers).flatMap(({ task, judged }) =>
    judged.map(({ example, writing, outputs, scores, runs, verdict }) => ({
      task: task.id,
      where: set.examples[example]?.meta.where ?? null,
      ...(writing === undefined
        ? { scores }
        : { prompt: writing.prompt, decoding: writing.decoding, outputs }),
      ...(runs === undefined ? {} : { runs }),
      ...(verdict === undefined ? {} : { verdict }),
    })),
  );
  await writeFileAtomically(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}
