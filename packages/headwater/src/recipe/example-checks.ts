/**
 * Whether the data are what the training objective learns from, and whether nothing else in the recipe takes that apart. It
 * knows the records' own word for what examples are, no record.
 */

import { describeValue } from './describe.ts';
import { type Issue, valueAt } from './issues.ts';
import { FAMILIES, type Registries } from './registries.ts';

export function checkExamples(raw: unknown, registries: Registries): Issue[] {
  const kind = valueAt(raw, [...FAMILIES.objectives.path, 'kind']);
  const wanted = registries.objectives.get(kind as string)?.examples;
  if (wanted === undefined) return [];
  return [
    ...schemaIssues(raw, registries, `${kind}`, wanted),
    ...excluded(
      raw,
      ['data', 'packing'],
      `excludes training.objective ${kind}: both answers of a pair have to be in one batch; leave it out`,
    ),
    ...['keepBest', 'earlyStopping'].flatMap((key) =>
      excluded(
        raw,
        ['federation', key],
        `looks at the loss of the chosen answers, which training.objective ${kind} does not minimise; leave it out and set federation.rounds`,
      ),
    ),
  ];
}

function schemaIssues(raw: unknown, { schemas }: Registries, objective: string, wanted: string): Issue[] {
  const path = [...FAMILIES.schemas.path, 'kind'];
  const given = valueAt(raw, path);
  const schema = schemas.get(given as string);
  if (schema === undefined || schema.examples === wanted) return [];
  const fitting = [...schemas.values()].filter(({ examples }) => examples === wanted).map(({ id }) => id);
  const message = `expected a schema that gives ${wanted} of answers (${fitting.join(', ')}) for training.objective ${objective}, got ${describeValue(given)}; other data are for language-modelling`;
  return [{ path, message }];
}

function excluded(raw: unknown, path: readonly string[], message: string): Issue[] {
  const value = valueAt(raw, path);
  return value === undefined || value === false ? [] : [{ path, message }];
}
