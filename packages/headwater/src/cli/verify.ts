/** `headwater verify`: a folder with reference outputs of transformers and PEFT, compared number by number. */

import { Command } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import type { Device } from '../runtime/executor.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import type { VerifyReport } from '../training/verify.ts';
import { verifyFolder } from '../training/verify-node.ts';
import { deviceOption, jsonOption } from './options.ts';
import { paint, renderTable } from './style.ts';

interface VerifyOptions {
  readonly device: Device;
  readonly json?: true;
}

export function verifyCommand(): Command {
  return new Command('verify')
    .description(
      'compare logits, losses, gradients and AdamW steps with reference outputs of transformers and PEFT',
    )
    .argument('<folders...>', 'folders with reference.safetensors and a model')
    .addOption(deviceOption().default('cpu'))
    .addOption(jsonOption())
    .action(verify);
}

async function verify(folders: readonly string[], options: VerifyOptions): Promise<void> {
  const executor = createNodeExecutor({ device: options.device });
  const reports: VerifyReport[] = [];
  for (const folder of folders) {
    const report = await verifyFolder(folder, executor);
    reports.push(report);
    if (!options.json) print(report);
  }
  await executor.dispose();
  if (options.json) console.log(JSON.stringify(folders.length === 1 ? reports[0] : reports, null, 2));
  const failed = reports.filter(({ pass }) => !pass);
  if (failed.length > 0)
    throw new HeadwaterError(
      'VERIFY_FAILED',
      `differs from the reference: ${failed.map(summary).join('; ')}`,
      {
        hint: 'The table says which numbers, and by how much.',
      },
    );
}

function summary({ folder, comparisons, unmatched }: VerifyReport): string {
  const wrong = comparisons.filter(({ pass }) => !pass).map(({ what }) => what);
  if (unmatched.length > 0) wrong.push(`${unmatched.length} reference tensors without counterpart`);
  return `${folder} (${wrong.join(', ')})`;
}

function print(report: VerifyReport): void {
  console.log(`${paint.bold(report.folder)} (${report.architecture})`);
  const rows = report.comparisons.map(({ what, names, error, worst, tolerance, pass }) => [
    what,
    String(names.length),
    error === 0 ? 'equal' : error.toExponential(2),
    tolerance === 0 ? 'equal' : tolerance.toExponential(0),
    pass ? paint.good('ok') : paint.bad('DIFFERS'),
    names.length > 1 && error > 0 ? worst : '',
  ]);
  const head = ['compared', 'tensors', 'largest relative error', 'allowed', '', 'where'];
  console.log(renderTable({ head, rows, numeric: false }));
  if (report.absent.length > 0) console.log(paint.dim(`not in this folder: ${report.absent.join(', ')}`));
  if (report.unmatched.length > 0)
    console.log(paint.bad(`references without counterpart: ${report.unmatched.join(', ')}`));
  console.log('');
}
