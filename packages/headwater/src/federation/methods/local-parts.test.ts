import { describe, expect, it } from 'vitest';
import { bindMethod } from '../method.ts';
import { methods } from './registry.ts';

const LORA = ['q', 'v'].flatMap((module) =>
  ['A', 'B'].map((factor) => ({
    name: `base_model.model.layers.0.${module}.lora_${factor}.weight`,
    shape: [2, 2],
  })),
);
const HEAD = { name: 'base_model.model.classifier.weight', shape: [3, 2] };
const facts = { numOwners: 3, cohortSize: 3, quorum: 3, rounds: 2 };

describe('parts that stay with their owners', () => {
  it('FedSA-LoRA shares the factors A, and nothing else', () => {
    const method = bindMethod(methods.get('fedsa-lora')!, {});
    const shared = method.wire(LORA, 1, 'ann').map(({ name }) => name);
    expect(shared).toHaveLength(2);
    expect(shared.every((name) => name.includes('lora_A'))).toBe(true);
    expect(method.preconditions({ ...facts, tensors: LORA })).toEqual([]);
    expect(method.preconditions({ ...facts, tensors: [HEAD] })).toEqual([expect.stringContaining('lora_B')]);
  });

  it('FedPer keeps a head at home; with nothing to keep it says so', () => {
    const record = methods.get('fedper')!;
    const method = bindMethod(record, record.options.parse({}));
    expect(method.wire([...LORA, HEAD], 1, 'ann')).toEqual(LORA);
    expect(method.preconditions({ ...facts, tensors: LORA })).toHaveLength(1);
    const all = bindMethod(record, record.options.parse({ local: ['layers'] }));
    expect(all.preconditions({ ...facts, tensors: LORA })).toEqual([
      expect.stringContaining('nothing is shared'),
    ]);
  });
});
