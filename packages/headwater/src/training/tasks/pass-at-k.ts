/**
 * Share of programming problems that one of k written programs solves: unbiased pass@k (Chen et al. 2021,
 * arXiv:2107.03374) over programs that are run with the problem's own tests. What may be run, and how, is decided elsewhere.
 */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import type { Example } from '../../data/types.ts';
import { LANGUAGES } from './program.ts';
import { decodingOptions, promptingOptions, writingOf } from './prompting.ts';
import { codeBlock, continuation, passes } from './scorers/code.ts';
import { passAtK as estimate } from './scorers/pass-at-k.ts';
import { type EvaluationTask, requireSome } from './task.ts';

const options = z.strictObject({
  language: z.enum(LANGUAGES).default('javascript').describe('python runs only with --allow-code-execution.'),
  samples: z
    .int()
    .positive()
    .default(1)
    .describe('Programs written for each problem; pass@10 needs ten, and a temperature above 0.'),
  answer: z
    .enum(['continuation', 'block'])
    .default('continuation')
    .describe(
      'continuation: the prompt’s function goes on; block: the first fenced block is the whole program (chats).',
    ),
  timeoutSeconds: z
    .number()
    .positive()
    .max(60)
    .default(3)
    .describe('Processor time of one program; four times that by the clock.'),
  memoryMegabytes: z.int().min(64).default(1024).describe('Most memory of one program.'),
  ...promptingOptions,
  ...decodingOptions({ maxNewTokens: 256, stop: [] }),
});

const KS = [1, 10, 100] as const;
const OUTPUT_BYTES = 65_536;

export const passAtK: EvaluationTask<z.infer<typeof options>> = {
  id: 'pass-at-k',
  summary: 'share of programming problems solved by one of k written programs, which are run',
  options,
  writes: true,
  metrics: [
    { id: 'passAt1', summary: 'chance that one program passes', higherIsBetter: true },
    { id: 'passAt10', summary: 'chance that one of ten passes; from ten samples on', higherIsBetter: true },
    {
      id: 'passAt100',
      summary: 'chance that one of a hundred passes; from a hundred samples on',
      higherIsBetter: true,
    },
  ],
  requests: (examples, choice, { shots }) =>
    examples.map((example, i) => {
      requireTests(example);
      const writing = writingOf(example, choice, shots, choice.samples);
      return { example: i, texts: [], answer: 0, writing };
    }),
  execution: {
    language: ({ language }) => language,
    programs: ({ outputs }, { meta }, { language, answer, timeoutSeconds, memoryMegabytes }) =>
      outputs!.map((text) => {
        const { before, after } = meta.program!;
        const written = answer === 'block' ? codeBlock(text) : before + continuation(language, text);
        const limits = {
          timeoutMs: 1000 * timeoutSeconds,
          memoryBytes: memoryMegabytes * 2 ** 20,
          outputBytes: OUTPUT_BYTES,
        };
        return { language, source: written + after, limits };
      }),
  },
  judge({ runs }, _, { language }) {
    return { samples: runs!.length, passed: runs!.filter((run) => passes(language, run)).length };
  },
  summarise(scored) {
    requireSome(scored, 'pass-at-k');
    const mean = (k: number) => {
      const sum = scored.reduce(
        (all, { verdict }) => all + estimate(verdict!.samples!, verdict!.passed!, k),
        0,
      );
      return sum / scored.length;
    };
    return Object.fromEntries(KS.map((k) => [`passAt${k}`, mean(k)]));
  },
};

function requireTests({ meta }: Example): void {
  if (meta.program !== undefined) return;
  throw new HeadwaterError('DATA_INVALID', 'pass-at-k: the example has no tests', {
    where: meta.where,
    hint: 'Use the schema code-problem, which says where prompt, solution and tests stand.',
  });
}
