/**
 * Mistakes that no single key shows: numbers that contradict each other, parts that exclude each other. Works on raw
 * data, so that these mistakes are reported together with the others; values of a wrong type are left to the schema.
 */

import { CLIENT_LEVEL_RULES } from './client-level-checks.ts';
import { type Issue, valueAt } from './issues.ts';
import { mistake, type Rule, split } from './rule.ts';

const RULES: readonly Rule[] = [
  ({ number, value }) => {
    const buffered = value('federation.mode.kind') === 'buffered';
    const key = buffered ? 'mode.bufferSize' : 'cohortSize';
    const quorum = number('federation.quorum');
    const most = number(`federation.${key}`);
    if (quorum === undefined || most === undefined || quorum <= most) return undefined;
    return mistake(
      'federation.quorum',
      `expected at most ${key.replace('mode.', '')} (${most}), got ${quorum}`,
    );
  },
  ({ value }) => {
    const buffered = value('federation.mode.kind') === 'buffered';
    const given = value('federation.mode.bufferSize') !== undefined;
    if (buffered === given) return undefined;
    const message = buffered
      ? 'is required in buffered mode: how many updates make the next params'
      : 'is for mode.kind: buffered';
    return mistake('federation.mode.bufferSize', message);
  },
  ({ value, number }) => {
    if (value('federation.mode.kind') !== 'buffered' || (number('federation.overSelection') ?? 1) <= 1)
      return undefined;
    const message = 'is for synchronous rounds; in buffered mode cohortSize owners train at any time';
    return mistake('federation.overSelection', message);
  },
  ({ value, number }) => {
    const buffered = value('federation.mode.kind') === 'buffered';
    const key = buffered ? 'mode.bufferSize' : 'cohortSize';
    const least = number('deployment.minOwners');
    const needed = number(`federation.${key}`);
    if (least === undefined || needed === undefined || least >= needed) return undefined;
    const message = `expected at least federation.${key} (${needed}), got ${least}: the first round needs as many owners`;
    return mistake('deployment.minOwners', message);
  },
  ({ value, number }) => {
    const owners = value('deployment.owners');
    if (!Array.isArray(owners)) return undefined;
    if (new Set(owners).size < owners.length) return mistake('deployment.owners', 'a name comes twice');
    const least = number('deployment.minOwners') ?? number('federation.cohortSize') ?? 0;
    if (owners.length >= least) return undefined;
    const message = `names ${owners.length} owners, but the run waits for ${least}`;
    return mistake('deployment.owners', message);
  },
  ({ value }) => {
    const weighting = value('federation.weighting') ?? 'examples';
    if (value('privacy.clientLevel') === undefined || weighting === 'uniform') return undefined;
    const message = `expected uniform with privacy.clientLevel, got ${weighting}: a client that counts as often as it says has no bounded part, and no noise were enough`;
    return mistake('federation.weighting', message);
  },
  ({ value }) => {
    if (value('privacy.clientLevel') === undefined || value('federation.mode.kind') !== 'buffered')
      return undefined;
    const message =
      'expected synchronous with privacy.clientLevel: buffered rounds weigh updates by how late they came';
    return mistake('federation.mode.kind', message);
  },
  ({ value }) => {
    const kind = value('federation.selection.kind') ?? 'uniform';
    if (value('privacy.clientLevel') === undefined || kind === 'uniform') return undefined;
    const message = `expected uniform with privacy.clientLevel, got ${kind}: it chooses owners by what their data showed, which is told without noise`;
    return mistake('federation.selection.kind', message);
  },
  ({ value }) => {
    const clip = 'privacy.clientLevel.clip';
    if ((value(`${clip}.kind`) ?? 'fixed') !== 'fixed') return undefined;
    const keys = ['targetQuantile', 'learningRate', 'countNoise'].map((key) => `${clip}.${key}`);
    const given = keys.find((key) => value(key) !== undefined);
    return given === undefined ? undefined : mistake(given, 'is for clip.kind: adaptive');
  },
  ...['privacy.clientLevel', 'privacy.exampleLevel'].flatMap((level): Rule[] => [
    ({ value }) => {
      const path = `${level}.delta`;
      if (value(`${level}.targetEpsilon`) === undefined || value(path) !== undefined) return undefined;
      return mistake(path, 'is required with targetEpsilon: an ε means nothing without its δ');
    },
    ({ value }) => {
      const given = value(`${level}.noiseMultiplier`) ?? value(`${level}.targetEpsilon`);
      if (value(level) === undefined || given !== undefined) return undefined;
      return mistake(`${level}.noiseMultiplier`, 'is required, or targetEpsilon, from which it follows');
    },
  ]),
  ({ value }) => {
    if (value('privacy') === undefined) return undefined;
    const given = ['clientLevel', 'exampleLevel'].filter((key) => value(`privacy.${key}`) !== undefined);
    if (given.length < 2) return undefined;
    const message =
      'expected clientLevel or exampleLevel, got both: they protect different units, and a run states one';
    return mistake('privacy', message);
  },
  ({ value }) => {
    const [trust = 'central', neighbours, sampling] = ['trust', 'neighbours', 'sampling'].map((key) =>
      value(`privacy.clientLevel.${key}`),
    );
    const drawn = sampling === 'poisson';
    const proven = drawn ? 'add-remove' : trust === 'local' ? 'replace-one' : 'zero-out';
    if (neighbours === undefined || neighbours === proven) return undefined;
    const message = `expected ${proven} with ${drawn ? 'sampling: poisson' : `trust: ${String(trust)}`}, got ${String(neighbours)}: that is what the figure is made for`;
    return mistake('privacy.clientLevel.neighbours', message);
  },
  ...CLIENT_LEVEL_RULES,
  ({ value }) => {
    if (value('privacy.clientLevel.trust') !== 'distributed' || value('federation.quorum') !== undefined)
      return undefined;
    const message =
      'is required with privacy.clientLevel.trust: distributed: the parts of so many clients make the noise';
    return mistake('federation.quorum', message);
  },
  ({ value }) => {
    const weighting = value('federation.weighting');
    if (value('privacy.exampleLevel') === undefined || weighting !== 'tokens') return undefined;
    const message =
      'expected examples or uniform with privacy.exampleLevel: tokens would tell how long the examples are';
    return mistake('federation.weighting', message);
  },
  ({ value }) => {
    if (value('privacy.clientLevel') === undefined || value('federation.maxUpdateNorm') === undefined)
      return undefined;
    const message = 'excludes privacy.clientLevel: updates are clipped there, not refused for their length';
    return mistake('federation.maxUpdateNorm', message);
  },
  ({ value }) => {
    const key = ['freeRiders', 'keepUpdates', 'maxNormOverMedian'].find((name) => {
      const given = value(`federation.${name}`);
      return given !== undefined && given !== false;
    });
    const hides = ['clientLevel', 'secureAggregation'].find((name) => value(`privacy.${name}`) !== undefined);
    if (hides === undefined || key === undefined) return undefined;
    const message = `excludes privacy.${hides}: it looks at what single clients sent`;
    return mistake(`federation.${key}`, message);
  },
  ({ value }) => {
    const mode = value('privacy.secureAggregation.mode');
    const others = mode === 'two-server' ? ['adversaries', 'dropouts', 'stepSeconds'] : ['helper'];
    const key = others.find((name) => value(`privacy.secureAggregation.${name}`) !== undefined);
    if (mode === undefined || key === undefined) return undefined;
    const message = `is for mode: ${mode === 'two-server' ? 'secagg-plus' : 'two-server'}`;
    return mistake(`privacy.secureAggregation.${key}`, message);
  },
  ({ value }) => {
    if (value('federation.keepUpdates') !== true || value('federation.mode.kind') !== 'buffered')
      return undefined;
    return mistake(
      'federation.keepUpdates',
      'is for synchronous rounds, whose updates begin at the same params',
    );
  },
  ({ number }) => {
    const batch = number('training.batchSize');
    const micro = number('training.microBatchSize');
    if (batch === undefined || micro === undefined || batch % micro === 0) return undefined;
    const message = `expected a divisor of batchSize (${batch}), got ${micro}: gradients are accumulated over batchSize / microBatchSize passes`;
    return mistake('training.microBatchSize', message);
  },
  ({ number }) => {
    const validation = number('data.validationFraction') ?? 0;
    const test = number('data.testFraction') ?? 0;
    if (validation + test < 1) return undefined;
    const message = `together with validationFraction it takes ${validation + test} of the rows; nothing is left to train on`;
    return mistake('data.testFraction', message);
  },
  ({ value }) => {
    if (value('data.groupColumn') === undefined || value('data.groupByFile') !== true) return undefined;
    return mistake(
      'data.groupByFile',
      'excludes data.groupColumn: a group is named by a column or by a file',
    );
  },
  ({ value }) => {
    if (value('data.ownerColumn') === undefined || value('data.ownerByFile') !== true) return undefined;
    return mistake(
      'data.ownerByFile',
      'excludes data.ownerColumn: an owner is named by a column or by a file',
    );
  },
  ({ value, number }) => {
    if (value('data.validation') === undefined || !((number('data.validationFraction') ?? 0) > 0))
      return undefined;
    return mistake('data.validationFraction', 'excludes data.validation: a file is given already');
  },
  ({ value, number }) => {
    if (value('data.test') === undefined || !((number('data.testFraction') ?? 0) > 0)) return undefined;
    return mistake('data.testFraction', 'excludes data.test: a file is given already');
  },
  ({ value, number }) => {
    const selects = value('federation.earlyStopping') !== undefined || value('federation.keepBest') === true;
    const validated = value('data.validation') !== undefined || (number('data.validationFraction') ?? 0) > 0;
    if (!selects || validated) return undefined;
    const key = value('federation.earlyStopping') !== undefined ? 'earlyStopping' : 'keepBest';
    const message =
      'needs a validation set: give data.validation or data.validationFraction (never the test set)';
    return mistake(`federation.${key}`, message);
  },
  ({ value }) => {
    const kind = value('quantization.kind') ?? 'none';
    if (kind === 'none' || value('tuning.kind') !== 'full') return undefined;
    return mistake('quantization.kind', 'is for frozen weights; tuning.kind: full trains them all');
  },
  ({ value, number }) => {
    const momentum = number('training.optimizer.momentum') ?? 0;
    if (momentum === 0 || (value('training.optimizer.kind') ?? 'adamw') !== 'adamw') return undefined;
    return mistake('training.optimizer.momentum', 'is for sgd; adamw has beta1 and beta2');
  },
];

export function crossCheck(raw: unknown): Issue[] {
  const value = (path: string) => valueAt(raw, split(path));
  const number = (path: string) => {
    const found = value(path);
    return typeof found === 'number' && Number.isFinite(found) ? found : undefined;
  };
  return RULES.flatMap((rule) => rule({ value, number }) ?? []);
}
