/** Test helper: encoders of a few thousand weights with a tokenizer, made by seed, and texts that they can learn to classify. */

import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rng } from '../../src/base/random.ts';
import { sizeOf, type Tensor, tensor } from '../../src/base/tensor.ts';
import { definitionOf } from '../../src/models/registry.ts';
import { writeSafetensorsFile } from '../../src/models/safetensors-node.ts';

export type TinyEncoder = 'tiny-bert' | 'tiny-roberta';

export function encoderFixture(kind: TinyEncoder): string {
  return fileURLToPath(new URL(`../fixtures/encoders/${kind}`, import.meta.url));
}

/** Large for a start, so that so small a network passes something on to its first token. */
const STDDEV = 0.3;

/** The fixture with weights in `folder`. `rename` gives the names under which the tensors are stored; undefined: not stored. */
export async function writeTinyEncoder(
  folder: string,
  kind: TinyEncoder,
  rename: (name: string) => string | undefined = (name) => name,
): Promise<void> {
  cpSync(encoderFixture(kind), folder, { recursive: true });
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  const { parameters, classifier } = definitionOf(config, folder, { labels: ['0', '1'] });
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of parameters) {
    const stored = rename(name);
    if (stored === undefined || classifier!.freshModules.some((module) => name.startsWith(`${module}.`)))
      continue;
    const random = rng('tiny-encoder', kind, name);
    const value = () => (shape.length > 1 ? STDDEV * random.normal() : name.endsWith('.bias') ? 0 : 1);
    tensors.set(stored, tensor('float32', shape, Float32Array.from({ length: sizeOf(shape) }, value)));
  }
  await writeSafetensorsFile(join(folder, 'model.safetensors'), tensors);
}

/** Each class has words of its own; one of them stands among two words that say nothing. */
const TELLING = {
  bank: ['account', 'balance', 'money', 'bill', 'savings'],
  light: ['turn', 'lamp', 'kitchen', 'door', 'heat'],
  music: ['play', 'song', 'album', 'radio', 'volume'],
  weather: ['weather', 'rain', 'snow', 'sunny', 'forecast'],
} as const;
const SILENT = ['please', 'what', 'is', 'the', 'my', 'tomorrow', 'in', 'a', 'tell', 'me'];

export const INTENTS = Object.keys(TELLING) as (keyof typeof TELLING)[];

/** CSV rows `owner,text,intent`: half of each owner's texts are of the intents in turn, half of one that it likes. */
export function intentRows(owners: readonly string[], rowsPerOwner: number, seed: number): string {
  const random = rng('intents', seed);
  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)]!;
  const row = (owner: string, liked: number, i: number) => {
    const intent = INTENTS[(i % 2 === 0 ? liked : i >> 1) % INTENTS.length]!;
    const words = Array.from({ length: 2 }, () => pick(SILENT));
    words.splice(random.below(3), 0, pick(TELLING[intent]));
    return `${owner},${words.join(' ')},${intent}`;
  };
  const rows = owners.flatMap((owner, liked) =>
    Array.from({ length: rowsPerOwner }, (_, i) => row(owner, liked, i)),
  );
  return ['owner,text,intent', ...rows, ''].join('\n');
}
