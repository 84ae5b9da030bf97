/** A run folder, finished or not: what it is, how far it got, what came out. */

import { HeadwaterError } from '../../base/errors.ts';
import { formatBytes, formatCount, formatDuration } from '../../base/format.ts';
import { comparisonTable } from '../../report/comparison-table.ts';
import { resultsOf } from '../../runs/results.ts';
import { readEvents } from '../../runs/run-folder.ts';
import type { Inspection } from './inspection.ts';

export async function inspectRun(folder: string): Promise<Inspection> {
  const events = await readEvents(folder);
  if (events.length === 0)
    throw new HeadwaterError('RUN_NOT_FOUND', 'the run has not begun', {
      where: folder,
      hint: 'Start it again with --force.',
    });
  const results = resultsOf(events);
  const { recipe, rounds, bytes, timing, owners, environment } = results;
  const table = comparisonTable(results);
  return {
    kind: `run, ${results.status}${results.failure === null ? '' : `: ${results.failure}`}`,
    name: folder,
    facts: {
      recipe: results.name,
      model: recipe.model,
      method: recipe.federation.method.kind,
      tuning: recipe.tuning.kind,
      seed: String(results.seed),
      owners: formatCount(owners.length),
      rounds: `${rounds.run} of ${rounds.planned}${rounds.chosen === null ? '' : `, result of round ${rounds.chosen}`}`,
      'lost updates': formatCount(results.lostUpdates.length),
      traffic: `${formatBytes(bytes.up)} up, ${formatBytes(bytes.down)} down`,
      time: `${formatDuration(1000 * timing.wallSeconds)}, ${timing.restarts} restarts`,
      events: formatCount(events.length),
      machine: `${environment.cpu}, Node.js ${environment.node}, ONNX Runtime ${environment.onnxruntime}`,
      parameters: results.params ?? 'none yet',
    },
    tables:
      table === undefined
        ? []
        : [
            {
              title: 'Comparison',
              head: table.head,
              rows: table.rows.map(({ cells }) => cells),
              numeric: true,
            },
          ],
  };
}
