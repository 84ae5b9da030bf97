/**
 * Contributions of tuning kinds put into a network: deltas of linear modules and values of checkpoint parameters, alone
 * or several with weights. Knows no kind and no adapter format.
 */

import type { Graph, Value } from '../graph/ir.ts';
import { add, cast, mul, scale, sub } from '../graph/ops/index.ts';
import { parameterSites, type Sites } from '../graph/sites.ts';
import type { BoundTuning, Contribution, DropoutSite, TuningInputs, WrapMode, Wrapped } from './kind.ts';
import { copies, type PerExample } from './per-example.ts';

export interface WeightedContribution {
  readonly contribution: Contribution;
  readonly weight: number;
}

/** A kind that is a contribution: `wrap` follows from it. */
export function fromContribution(
  parts: Omit<BoundTuning, 'wrap'> & Required<Pick<BoundTuning, 'contribute'>>,
): BoundTuning {
  return { ...parts, wrap: (graph, base, mode) => wrap(graph, base, mode, (i) => parts.contribute(i, mode)) };
}

function wrap(
  graph: Graph,
  base: Sites,
  { perExample }: WrapMode,
  contribute: (inputs: TuningInputs) => Contribution,
): Wrapped {
  const { inputs, trainable, dropout } = declaredInputs(graph, '', perExample);
  const contribution = contribute(inputs);
  const { bypass } = contribution;
  const sites = applied(base, [{ contribution, weight: 1 }]);
  return { sites, trainable, dropout, ...(bypass === undefined ? {} : { bypass }) };
}

/** Graph inputs of one adapter; what it declared is in `trainable` and `dropout`. `prefix` keeps adapters apart. */
export function declaredInputs(graph: Graph, prefix = '', perExample?: PerExample) {
  const trainable = new Map<string, Value>();
  const dropout: DropoutSite[] = [];
  const inputs: TuningInputs = {
    trained({ name, shape }) {
      const full = prefix + name;
      const whole = graph.input(full, 'float32', shape);
      const value = perExample?.of.has(full) ? copies(whole, perExample) : whole;
      trainable.set(full, value);
      return value;
    },
    dropped(x, site, dropoutProbability) {
      if (dropoutProbability === 0) return x;
      const name = `${prefix}dropout:${site}`;
      dropout.push({ name, shape: x.shape, dropoutProbability });
      return mul(x, cast(graph.input(name, 'bool', x.shape), 'float32'));
    },
  };
  return { inputs, trainable, dropout };
}

/** θ + Σ wᵢ (θᵢ − θ) for parameters, y + Σ wᵢ · deltaᵢ for linear modules. */
export function applied(base: Sites, parts: readonly WeightedContribution[]): Sites {
  const sites = withParameters(base, parts);
  return {
    ...sites,
    linear(x, module, shape) {
      const y = sites.linear(x, module, shape);
      return parts.reduce((sum, { contribution, weight }) => {
        const delta = contribution.delta?.({ x, y, module, shape, sites });
        return delta === undefined ? sum : add(sum, scale(delta, weight));
      }, y);
    },
  };
}

interface WeightedValue {
  readonly value: Value;
  readonly weight: number;
}

function withParameters(base: Sites, parts: readonly WeightedContribution[]): Sites {
  const trained = new Map<string, WeightedValue[]>();
  for (const { contribution, weight } of parts)
    for (const [name, value] of contribution.parameters ?? [])
      trained.set(name, [...(trained.get(name) ?? []), { value, weight }]);
  const parameter: Sites['parameter'] = (name, shape) => {
    const values = trained.get(name);
    return values === undefined
      ? base.parameter(name, shape)
      : mixed(values, () => base.parameter(name, shape));
  };
  const own = parameterSites(parameter);
  return {
    parameter,
    linear(x, module, shape) {
      if (trained.has(`${module}.weight`)) return own.linear(x, module, shape);
      if (!trained.has(`${module}.bias`)) return base.linear(x, module, shape);
      const product = base.linear(x, module, { ...shape, bias: false });
      return add(product, parameter(`${module}.bias`, [shape.outFeatures]));
    },
    embedding(ids, module, ...rest) {
      return (trained.has(`${module}.weight`) ? own : base).embedding(ids, module, ...rest);
    },
  };
}

function mixed(values: readonly WeightedValue[], base: () => Value): Value {
  const [first] = values;
  if (values.length === 1 && first!.weight === 1) return first!.value;
  const frozen = base();
  return values.reduce((sum, { value, weight }) => add(sum, scale(sub(value, frozen), weight)), frozen);
}
