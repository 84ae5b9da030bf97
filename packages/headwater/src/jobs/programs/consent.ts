/**
 * Who may run what a model wrote. JavaScript runs where the network can be closed off, since Node closes the rest; everything
 * else needs the word of whoever sits at the machine. Never the recipe's: it may come from somebody else.
 */

import type { Language } from '../../training/tasks/program.ts';
import type { TaskChoice } from '../task-choice.ts';
import { isolation, works } from './isolation.ts';
import { refused, refusePrograms } from './refusal.ts';

/** `locked-in`: what can be locked in. `all`: the user has agreed to more. `none`: nothing, on the machines of owners. */
export type CodeExecution = 'none' | 'locked-in' | 'all';

/** Throws CODE_EXECUTION_REFUSED before anything has been computed. */
export async function requireConsent(tasks: readonly TaskChoice[], consent: CodeExecution): Promise<void> {
  if (consent === 'none') return refusePrograms(tasks);
  for (const { task, options } of tasks)
    if (task.execution !== undefined) await requireFor(task.id, task.execution.language(options), consent);
}

async function requireFor(task: string, language: Language, consent: CodeExecution): Promise<void> {
  if (consent === 'locked-in' && language !== 'javascript')
    throw refused(
      `${task} runs ${language} programs, to which files and processes of this machine stay open`,
      {
        hint: 'Add --allow-code-execution if you accept that, at best inside a container.',
      },
    );
  if (consent === 'locked-in' && (await isolation()) === undefined)
    throw refused(
      `${task} runs programs that the model wrote, and this system has no way to keep them off the network`,
      {
        hint: 'Add --allow-code-execution if you accept that, or use Linux with unprivileged user namespaces (`unshare --net`).',
      },
    );
  if (language === 'python' && !(await works(['python3', '--version'])))
    throw refused(`${task} needs python3, which is not there`, {
      hint: 'Install Python 3, or leave the task out.',
    });
}
