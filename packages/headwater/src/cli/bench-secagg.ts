/**
 * `headwater bench secagg`: rounds of SecAgg+ among clients in processes of their own, some of which drop out at random steps.
 * Each trial gives the exact sum or none; anything else makes the command fail. The same without masks is measured beside it.
 */

import { HeadwaterError } from '../base/errors.ts';
import { median } from '../base/median.ts';
import { rng } from '../base/random.ts';
import { graphParameters } from '../privacy/secure-aggregation/graph.ts';
import { childOf } from './bench-processes.ts';
import {
  hostsOf,
  plainTrial,
  secureTrial,
  type TrialOptions,
  type TrialResult,
} from './bench-secagg-trial.ts';
import { paint, renderTable } from './style.ts';

export interface SecaggBenchOptions extends TrialOptions {
  readonly trials: number;
  readonly processes: number;
  readonly seed: number;
  readonly json?: true;
}

export async function benchSecagg(options: SecaggBenchOptions): Promise<void> {
  const { trials, seed, json } = options;
  checkOptions(options);
  const children = Array.from({ length: options.processes }, () =>
    childOf('./bench-secagg-host', { serialization: 'advanced' }),
  );
  const hosts = hostsOf(children);
  try {
    const plain = await plainTrial(hosts, options, rng(seed, 'plain'));
    const results: TrialResult[] = [];
    const server = process.memoryUsage.rss();
    for (let number = 1; number <= trials; number++) {
      const result = await secureTrial(hosts, options, number, rng(seed, 'trial', number));
      results.push(result);
      if (!json) console.log(lineOf(number, result));
    }
    const memory = { server, hosts: (await hosts.usage()).map(({ peakRssBytes }) => peakRssBytes) };
    show(results, plain, memory, options);
  } finally {
    for (const child of children) if (child.connected) child.send({ type: 'end' });
  }
}

interface Memory {
  /** Of this process when the trials began, in bytes. */
  readonly server: number;
  /** Peaks of the processes with clients. */
  readonly hosts: readonly number[];
}

const megabytes = (bytes: number) => Math.round(bytes / 2 ** 20);

function checkOptions({ clients, drops, processes }: SecaggBenchOptions): void {
  if (clients < 3 || drops > clients || processes > clients)
    throw new HeadwaterError(
      'OPTION_INVALID',
      `${clients} clients in ${processes} processes, of which ${drops} drop out`,
      { hint: 'At least three clients, no more processes and no more dropouts than clients.' },
    );
}

function lineOf(number: number, { outcome, reason, survivors, wallMs }: TrialResult): string {
  const what =
    outcome === 'exact' ? `exact sum of ${survivors}` : `${outcome}: ${reason ?? 'another sum came out'}`;
  const text = `trial ${number}: ${what}, ${(wallMs / 1000).toFixed(1)} s`;
  return outcome === 'wrong' ? paint.bad(text) : text;
}

function show(
  results: readonly TrialResult[],
  plain: Pick<TrialResult, 'wallMs' | 'serverMs' | 'clientMs'>,
  memory: Memory,
  options: SecaggBenchOptions,
): void {
  const counts = { exact: 0, abandoned: 0, wrong: 0 };
  for (const { outcome } of results) counts[outcome] += 1;
  const over = results.filter(({ outcome }) => outcome === 'exact');
  const of = (figure: (result: TrialResult) => number) => Math.round(median(over.map(figure)));
  const graph = graphParameters(options.clients, options);
  const plainBytes = 4 * options.params;
  const report = {
    ...{ clients: options.clients, params: options.params, dropouts: options.drops, trials: options.trials },
    ...{ neighbours: graph?.degree, threshold: graph?.threshold },
    ...counts,
    secondsPerRound: of(({ wallMs }) => wallMs) / 1000,
    plainSecondsPerRound: Math.round(plain.wallMs) / 1000,
    clientCpuMs: of(({ clientMs }) => clientMs),
    plainClientCpuMs: Math.round(plain.clientMs),
    serverCpuMs: of(({ serverMs }) => serverMs),
    plainServerCpuMs: Math.round(plain.serverMs),
    uploadBytes: of(({ upBytes }) => upBytes),
    uploadOverPlain: Number((of(({ upBytes }) => upBytes) / plainBytes).toFixed(4)),
    downloadBytes: of(({ downBytes }) => downBytes),
    // What the trials added to a process that had added plain updates before.
    serverPeakRssMB: megabytes(process.resourceUsage().maxRSS * 1024),
    serverAddedRssMB: megabytes(process.resourceUsage().maxRSS * 1024 - memory.server),
    clientProcessPeakRssMB: megabytes(Math.max(...memory.hosts)),
    clientsInAProcess: Math.ceil(options.clients / options.processes),
  };
  const rows = Object.entries(report).map(([name, value]) => [name, String(value)]);
  if (options.json) console.log(JSON.stringify(report));
  else console.log(`\n${renderTable({ head: ['secure aggregation', ''], rows, numeric: false })}`);
  if (counts.wrong > 0)
    throw new HeadwaterError('RUNTIME_FAILED', `${counts.wrong} trials gave a sum that is not the exact one`);
}
