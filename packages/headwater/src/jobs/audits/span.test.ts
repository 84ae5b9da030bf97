import { describe, expect, it } from 'vitest';
import { setup, toyExamples } from '../../../test/training-setup.ts';
import { createNodeExecutor } from '../../runtime/onnx-node.ts';
import { openFirstBlock } from '../../training/first-block.ts';
import { full } from '../../tuning/full.ts';
import { lora } from '../../tuning/lora.ts';
import { auditSpan, candidatesOf, tokenOf } from './span.ts';

/** Distinct tokens of a sequence that take part in its loss: the last one predicts nothing. */
const tokensOf = (tokens: Int32Array) =>
  [...new Set(tokens.subarray(0, tokens.length - 1))].sort((a, b) => a - b);

describe('the span audit of a real gradient', () => {
  it.each(['huggingface/llama', 'huggingface/gpt2'])(
    '%s: recovers every token of one short example from LoRA factors of rank 4, and from whole weights',
    async (folder) => {
      const loraOptions = lora.options.parse({ rank: 4 });
      for (const bind of [lora.bind.bind(lora, loraOptions), full.bind.bind(full, full.options.parse({}))]) {
        const { model, tuning, engine, params } = await setup(folder, ({ definition }) => bind(definition));
        const [example] = toyExamples([5], model.definition.shape.vocabSize, 3);
        const { grads } = await engine.gradients(params, [example!], { maxLength: 16 });
        const block = await openFirstBlock(model, createNodeExecutor());
        const candidates = await candidatesOf(block, model.definition.shape.vocabSize, 16);
        expect(candidates.positions).toBe(folder.endsWith('gpt2') ? 16 : 1);
        const truth = tokensOf(example!.tokens);
        const [view] = auditSpan(block, tuning, candidates, { update: grads, params }, truth.length);
        const found = [...new Set(view!.inside.map(({ candidate }) => tokenOf(candidate, candidates)))];
        expect(found.sort((a, b) => a - b)).toEqual(truth);
      }
    },
  );

  it('sees nothing where no factor of the first block travels', async () => {
    const { model, tuning, params } = await setup('huggingface/llama', ({ definition }) =>
      lora.bind(lora.options.parse({ rank: 4, targetModules: ['down_proj'] }), definition),
    );
    const block = await openFirstBlock(model, createNodeExecutor());
    const candidates = await candidatesOf(block, model.definition.shape.vocabSize, 16);
    expect(auditSpan(block, tuning, candidates, { update: params, params }, 3)).toEqual([]);
  });
});
