import { beforeAll } from 'vitest';
import { methodConformance } from '../../../test/support/method-conformance.ts';
import { methodTrainingConformance } from '../../../test/support/method-training-conformance.ts';
import { FIXTURES } from '../../../test/training-setup.ts';
import { openCheckpoint } from '../../models/checkpoint-node.ts';
import type { Model } from '../../models/model.ts';
import { methods } from './registry.ts';

let model: Model;
beforeAll(async () => {
  model = await openCheckpoint(`${FIXTURES}/huggingface/llama`);
});

for (const method of methods.values()) {
  methodConformance(method, methods);
  methodTrainingConformance(method, methods, () => model);
}
