/** `headwater inspect`: says what a path is (model, adapter, data file, run) and what is in it. One file for each below `inspect/`. */

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { runPaths } from '../runs/run-folder.ts';
import { inspectAdapter } from './inspect/adapter.ts';
import { inspectData } from './inspect/data.ts';
import type { Inspection } from './inspect/inspection.ts';
import { inspectModel } from './inspect/model.ts';
import { inspectRun } from './inspect/run.ts';
import { jsonOption } from './options.ts';
import { paint, renderTable } from './style.ts';

interface InspectOptions {
  readonly format?: string;
  readonly owner?: string;
  readonly label?: string;
  readonly json?: true;
}

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('say what is in a model, an adapter, a data file or a run')
    .argument('<path>', 'folder, file or hub id owner/name')
    .option('--format <format>', 'of a data file, when its ending does not say it')
    .option('--owner <column>', 'of a data file: who holds what by this column')
    .option('--label <column>', 'of a data file: the column of classes')
    .addOption(jsonOption())
    .action(async (path: string, options: InspectOptions) => {
      const inspection = await inspect(path, options);
      if (options.json) console.log(JSON.stringify(inspection, null, 2));
      else print(inspection);
    });
}

async function inspect(path: string, options: InspectOptions): Promise<Inspection> {
  if (existsSync(runPaths(path).journal)) return inspectRun(path);
  if (existsSync(path) && statSync(path).isFile()) return inspectData(path, options);
  if (existsSync(join(path, 'adapter_config.json'))) return inspectAdapter(path);
  return inspectModel(path);
}

function print({ kind, name, facts, tables }: Inspection): void {
  console.log(`${paint.bold(name)}: ${kind}`);
  console.log(renderTable({ head: ['', ''], rows: Object.entries(facts), numeric: false }).trimStart());
  for (const { title, head, rows, numeric } of tables)
    console.log(`\n${paint.bold(title)}\n${renderTable({ head, rows, numeric })}`);
}
