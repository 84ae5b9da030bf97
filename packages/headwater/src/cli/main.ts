/** The command line: knows the commands and how their errors end the process. What a command does is in its own file. */

import { Command } from 'commander';
import { describeEnvironment } from '../runs/environment.ts';
import { auditCommand } from './audit.ts';
import { backupCommand, restoreCommand } from './backup.ts';
import { benchCommand } from './bench.ts';
import { certificatesCommand } from './certificates.ts';
import { chatCommand } from './chat.ts';
import { checkStoreCommand } from './check-store.ts';
import { classifyCommand } from './classify.ts';
import { clientsCommand } from './clients.ts';
import { compareCommand } from './compare.ts';
import { contributionCommand } from './contribution.ts';
import { doctorCommand } from './doctor.ts';
import { evalCommand } from './eval.ts';
import { exportGgufCommand } from './export-gguf.ts';
import { fail } from './fail.ts';
import { gcCommand } from './gc.ts';
import { generateCommand } from './generate.ts';
import { helperCommand } from './helper.ts';
import { inspectCommand } from './inspect.ts';
import { joinCommand } from './join.ts';
import { leaveCommand } from './leave.ts';
import { mergeCommand } from './merge.ts';
import { planCommand } from './plan.ts';
import { privacyCommand } from './privacy.ts';
import { quantizeCommand } from './quantize.ts';
import { reportCommand } from './report.ts';
import { runCommand } from './run.ts';
import { runsCommand, statusCommand } from './runs.ts';
import { serveCommand } from './serve.ts';
import { serveModelCommand } from './serve-model.ts';
import { steeringCommands } from './steer.ts';
import { tokensCommand } from './tokens.ts';
import { unlearnCommand } from './unlearn.ts';
import { verifyCommand } from './verify.ts';
import { workerCommand } from './worker.ts';

export async function main(argv: readonly string[]): Promise<void> {
  process.stdout.on('error', stopOnClosedPipe);
  const program = createProgram();
  try {
    await program.parseAsync(argv);
  } catch (error) {
    process.exitCode = fail(error, { verbose: program.opts<{ verbose?: boolean }>().verbose === true });
  }
}

function createProgram(): Command {
  const program = new Command('headwater')
    .description('Federated fine-tuning of language models.')
    .version(describeEnvironment().headwater, '-V, --version')
    .option('--verbose', 'print stacks with errors')
    .showHelpAfterError('(headwater --help lists the commands)')
    .configureHelp({ showGlobalOptions: true });
  for (const command of [
    runCommand(),
    compareCommand(),
    planCommand(),
    joinCommand(),
    leaveCommand(),
    serveCommand(),
    helperCommand(),
    runsCommand(),
    statusCommand(),
    ...steeringCommands(),
    tokensCommand(),
    clientsCommand(),
    reportCommand(),
    evalCommand(),
    contributionCommand(),
    unlearnCommand(),
    classifyCommand(),
    generateCommand(),
    chatCommand(),
    serveModelCommand(),
    mergeCommand(),
    exportGgufCommand(),
    quantizeCommand(),
    verifyCommand(),
    inspectCommand(),
    benchCommand(),
    privacyCommand(),
    auditCommand(),
    doctorCommand(),
    certificatesCommand(),
    backupCommand(),
    restoreCommand(),
    gcCommand(),
    checkStoreCommand(),
    workerCommand(),
  ])
    program.addCommand(command);
  return program;
}

/** `headwater … | head`: the reader has seen enough. */
function stopOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
}
