/** `headwater audit`: what holds of a run's log, and what somebody could learn from its updates and adapters. */

import { Command } from 'commander';
import { auditFreeRidersCommand } from './audit/free-riders.ts';
import { logCommand } from './audit/log.ts';

export function auditCommand(): Command {
  return new Command('audit')
    .description('check a run’s transparency log, or measure what updates and adapters leak')
    .addCommand(logCommand())
    .addCommand(auditFreeRidersCommand());
}
