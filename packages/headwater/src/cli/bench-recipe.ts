/** The recipe of the deployment benchmarks: the model that comes with Headwater, and an adapter as large as is asked for. */

import { fileURLToPath } from 'node:url';
import { rng } from '../base/random.ts';
import { encodedBytes } from '../federation/params.ts';
import { openModel, readWeight } from '../models/checkpoint-node.ts';
import type { RecipeInput } from '../recipe/schema.ts';
import { lora } from '../tuning/lora.ts';

export interface BenchTuning {
  readonly rank: number;
  readonly targetModules: 'all-linear' | string[];
  /** Of an update. */
  readonly bytes: number;
}

const MODEL = fileURLToPath(new URL('../../assets/seed-lm-7m', import.meta.url));
/** Below it a rank of all modules is too coarse a step. */
const SMALL_BYTES = 300_000;

/** What the coordinator needs; the clients have no data and do not look. */
export function benchRecipe(
  { clients, cohort, rounds }: { readonly clients: number; readonly cohort: number; readonly rounds: number },
  { rank, targetModules }: BenchTuning,
): RecipeInput {
  return {
    name: 'bench',
    model: MODEL,
    data: { train: { files: 'none.jsonl' }, schema: { kind: 'text', column: 'text' }, validationFraction: 0 },
    tuning: { kind: 'lora', rank, alpha: rank, targetModules },
    training: { batchSize: 1, optimizer: { learningRate: 1e-3 } },
    federation: { rounds, localSteps: 1, cohortSize: cohort, fixedPoint: { range: 1 } },
    deployment: { minOwners: clients },
    evaluation: { tasks: [{ kind: 'token-accuracy' }] },
  };
}

/** The rank whose updates come closest to so many bytes. */
export async function tuningFor(bytes: number): Promise<BenchTuning> {
  const targetModules = bytes < SMALL_BYTES ? ['q_proj'] : 'all-linear';
  const bytesAt = (rank: number) => bytesAtRank(rank, targetModules);
  const [one, two] = [await bytesAt(1), await bytesAt(2)];
  const rank = Math.max(1, Math.round((bytes - one) / (two - one)) + 1);
  return { rank, targetModules, bytes: await bytesAt(rank) };
}

async function bytesAtRank(rank: number, targetModules: BenchTuning['targetModules']): Promise<number> {
  const model = await openModel(MODEL);
  const tuning = lora.bind(lora.options.parse({ rank, alpha: rank, targetModules }), model.definition);
  return encodedBytes(await tuning.init(rng('bench'), (name) => readWeight(model.weights, name)));
}
