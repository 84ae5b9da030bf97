/**
 * What the recipe needs to know of the record families that fill its parts: ids and option schemas, nothing else.
 * The records themselves live in their rooms (`federation/methods`, `tuning`, `training/tasks`, `data`); plug-ins join
 * by being put into the same maps. This file refuses to know any id.
 */

import type { z } from 'zod';

/** The part of a record that the recipe reads. Every record family has it. */
export interface RecipeRecord {
  readonly id: string;
  readonly summary: string;
  readonly options: z.ZodType;
  /** Of a data schema: what its examples are. Of an objective: what they must be. */
  readonly examples?: string | undefined;
  /** Of a task. */
  readonly metrics?: readonly { readonly id: string; readonly higherIsBetter: boolean }[];
  /** Of a task that lets the model write. */
  readonly writes?: true;
}

/** Families by the name that plug-ins use for them. */
export interface Registries<R extends RecipeRecord = RecipeRecord> {
  readonly methods: ReadonlyMap<string, R>;
  readonly compressions: ReadonlyMap<string, R>;
  readonly robustRules: ReadonlyMap<string, R>;
  readonly preAggregations: ReadonlyMap<string, R>;
  readonly selections: ReadonlyMap<string, R>;
  readonly tuningKinds: ReadonlyMap<string, R>;
  readonly objectives: ReadonlyMap<string, R>;
  readonly tasks: ReadonlyMap<string, R>;
  readonly partitioners: ReadonlyMap<string, R>;
  readonly schemas: ReadonlyMap<string, R>;
  readonly attacks: ReadonlyMap<string, R>;
}

export type Family = keyof Registries;

interface FamilyFacts {
  readonly path: readonly string[];
  readonly noun: string;
  /** Why plug-ins cannot add to it; absent: they can. */
  readonly closedBecause?: string;
}

/** Where each family's records stand in a recipe; `*` is any list index. */
export const FAMILIES: Record<Family, FamilyFacts> = {
  methods: { path: ['federation', 'method'], noun: 'federated method' },
  compressions: { path: ['federation', 'compression'], noun: 'update compression' },
  robustRules: { path: ['federation', 'robust'], noun: 'robust rule' },
  preAggregations: {
    path: ['federation', 'robust', 'preAggregation', '*'],
    noun: 'step before a robust rule',
  },
  selections: {
    path: ['federation', 'selection'],
    noun: 'client selection',
    closedBecause: 'a run’s cohorts are made again from its journal, which must be readable without plug-ins',
  },
  tuningKinds: { path: ['tuning'], noun: 'tuning kind' },
  objectives: { path: ['training', 'objective'], noun: 'training objective' },
  tasks: { path: ['evaluation', 'tasks', '*'], noun: 'evaluation task' },
  partitioners: { path: ['partition'], noun: 'partitioner' },
  schemas: { path: ['data', 'schema'], noun: 'data schema' },
  attacks: { path: ['simulation', 'attack'], noun: 'simulated attack' },
};
