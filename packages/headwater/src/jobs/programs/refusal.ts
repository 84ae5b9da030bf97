/** What owners never do, on whatever machine: run programs that a model wrote. */

import { HeadwaterError } from '../../base/errors.ts';
import type { TaskChoice } from '../task-choice.ts';

/** Throws CODE_EXECUTION_REFUSED when a task runs programs. */
export function refusePrograms(tasks: readonly TaskChoice[]): void {
  for (const { task } of tasks)
    if (task.execution !== undefined)
      throw refused(
        `${task.id} runs programs that the model wrote, which is never done on the machines of owners`,
        { hint: 'Leave the task out of the recipe, and score the result with `headwater eval`.' },
      );
}

export function refused(message: string, options: { readonly hint: string }): HeadwaterError {
  return new HeadwaterError('CODE_EXECUTION_REFUSED', message, options);
}
