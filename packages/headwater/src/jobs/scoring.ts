/**
 * A held-out set is answered in jobs of a fixed size, by whatever workers there are: the same for virtual and real clients.
 * Programs that were written are run here, when the machine's user has agreed to it.
 */

import { availableParallelism } from 'node:os';
import type { Recipe } from '../recipe/schema.ts';
import type { Engine } from '../training/engine.ts';
import { type Writer, writeTexts } from '../training/generation/write-texts.ts';
import { answeringJobs, writingTokens } from './answering-jobs.ts';
import { programsOf, type SetAnswers } from './evaluation-figures.ts';
import type { EvaluationSet } from './evaluation-set.ts';
import type { ScoreJob } from './jobs.ts';
import type { Pool } from './pool.ts';
import { runPrograms } from './programs/sandbox.ts';

/** What params answer to the set, and the workers' time. Throws what the jobs throw, CODE_EXECUTION_REFUSED. */
export async function answerSet(
  pool: Pool,
  set: EvaluationSet,
  { split, params, personal }: Pick<ScoreJob, 'split' | 'params' | 'personal'>,
  { evaluation, data }: Pick<Recipe, 'evaluation' | 'data'>,
  rank: number,
): Promise<{ readonly answers: SetAnswers; readonly tookMs: number }> {
  const jobs = answeringJobs(set, { split, params, personal }, { evaluation, data });
  const scoring = jobs.score.map((job) => pool.run(job, rank));
  const writing = jobs.write.map((job) => pool.run(job, rank));
  const [scored, written] = await Promise.all([Promise.all(scoring), Promise.all(writing)]);
  const outputs = written.flatMap(({ result }) => result);
  const answers = {
    scores: scored.flatMap(({ result }) => result),
    outputs,
    runs: await runsOf(set, outputs),
  };
  return { answers, tookMs: [...scored, ...written].reduce((sum, job) => sum + job.tookMs, 0) };
}

/** The same answers from an engine of this thread, with params of its own. */
export async function answerHere(
  { engine, tokenizer, params }: Writer & { readonly engine: Pick<Engine, 'score'> },
  set: EvaluationSet,
  { evaluation, data }: Pick<Recipe, 'evaluation' | 'data'>,
): Promise<SetAnswers> {
  const { batchSize } = evaluation;
  const scores = await engine.score(params, set.pieces, { batchSize, maxLength: data.maxLength });
  const settings = { batchSize, maxTokens: writingTokens(set) };
  const outputs = await writeTexts({ engine, tokenizer, params }, set.prompts, settings);
  return { scores, outputs, runs: await runsOf(set, outputs) };
}

/** Runs the programs of all requests. The user's consent was asked for when the set was made. */
async function runsOf(set: EvaluationSet, outputs: readonly string[]): Promise<SetAnswers['runs']> {
  const programs = programsOf(set, outputs);
  const all = await runPrograms([...programs.values()].flat(), availableParallelism());
  let begin = 0;
  return new Map(
    [...programs].map(([request, own]) => {
      begin += own.length;
      return [request, all.slice(begin - own.length, begin)];
    }),
  );
}
