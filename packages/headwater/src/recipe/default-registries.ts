/** The records that come with Headwater, of every family. Plug-ins join a copy (`plugins-node.ts`). */

import type { Partitioner } from '../data/partition/partitioner.ts';
import { partitioners } from '../data/partition/registry.ts';
import { schemas } from '../data/schemas/registry.ts';
import type { DataSchema } from '../data/schemas/schema.ts';
import type { Method } from '../federation/method.ts';
import { methods } from '../federation/methods/registry.ts';
import { tasks } from '../training/tasks/registry.ts';
import type { EvaluationTask } from '../training/tasks/task.ts';
import type { TuningKind } from '../tuning/kind.ts';
import { tuningKinds } from '../tuning/registry.ts';

/** `Registries` with the records whole, for those who use them. */
export interface RecordRegistries {
  readonly methods: ReadonlyMap<string, Method<unknown>>;
  readonly tuningKinds: ReadonlyMap<string, TuningKind<unknown>>;
  readonly tasks: ReadonlyMap<string, EvaluationTask<unknown>>;
  readonly partitioners: ReadonlyMap<string, Partitioner<unknown>>;
  readonly schemas: ReadonlyMap<string, DataSchema<unknown>>;
}

export const defaultRegistries: RecordRegistries = { methods, tuningKinds, tasks, partitioners, schemas };
