/** An evaluation task as a recipe chose it, and with what it asks of a set of examples. */

import type { EvaluationTask, TaskRequest } from '../training/tasks/task.ts';

export interface TaskChoice {
  readonly task: EvaluationTask<unknown>;
  readonly options: unknown;
}

export interface ReadyTask extends TaskChoice {
  readonly requests: readonly TaskRequest[];
}
