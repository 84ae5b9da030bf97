/** `headwater audit`: what holds of a run's log, and what somebody could learn from its updates and adapters. */

import { Command } from 'commander';
import { canaryCommand } from './audit/canary.ts';
import { auditFreeRidersCommand } from './audit/free-riders.ts';
import { logCommand } from './audit/log.ts';
import { membershipCommand } from './audit/membership.ts';
import { oneRunCommand } from './audit/one-run.ts';
import { releasesCommand } from './audit/releases.ts';
import { spanCommand } from './audit/span.ts';

export function auditCommand(): Command {
  return new Command('audit')
    .description('check a run’s transparency log, or measure what updates and adapters leak')
    .addCommand(logCommand())
    .addCommand(releasesCommand())
    .addCommand(spanCommand())
    .addCommand(canaryCommand())
    .addCommand(membershipCommand())
    .addCommand(oneRunCommand())
    .addCommand(auditFreeRidersCommand());
}
