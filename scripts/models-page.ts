/**
 * docs/models.md from the registries and from the fixtures that tests run over: what a cell calls tested is a test that fails
 * when it is not so. It computes nothing itself.
 */

import { GGUF_ARCHITECTURES } from '../packages/headwater/src/exports/gguf/registry.ts';
import { ARCHITECTURES } from '../packages/headwater/src/models/registry.ts';
import { tuningKinds } from '../packages/headwater/src/tuning/registry.ts';
import { referenceModels } from '../packages/headwater/test/support/reference-models.ts';

/** Encoders: what can come without its classifier. */
const classifies = (id: string) => ARCHITECTURES.get(id)?.lacksHead !== undefined;

interface Column {
  readonly title: string;
  /** What shows it, for the legend. */
  readonly shownBy: string;
  cell(id: string, hasReference: boolean): string;
}

const byReference = (_: string, hasReference: boolean) => (hasReference ? 'tested' : 'untested');

const COLUMNS: readonly Column[] = [
  {
    title: 'load',
    shownBy:
      'logits, loss and every base gradient equal transformers’ on the reference models (`training/verify.test.ts`), and logits of unusual settings (`models/forward.test.ts`)',
    cell: byReference,
  },
  {
    title: 'train LoRA',
    shownBy:
      'gradients and three AdamW steps equal PEFT’s (`training/verify.test.ts`); gradients of random configurations equal central differences in float64 (`training/gradients.test.ts`)',
    cell: byReference,
  },
  {
    title: 'train full',
    shownBy: 'base gradients equal transformers’; central differences as for LoRA',
    cell: byReference,
  },
  {
    title: 'prompt kinds',
    shownBy:
      'central differences (`training/gradients.test.ts`), and PEFT’s outputs where a fixture has them',
    cell: () => 'tested',
  },
  {
    title: 'generate',
    shownBy:
      'greedy tokens equal transformers’; cached, batched and recomputed texts are the same (`training/generation.test.ts`)',
    cell: (id, hasReference) => (classifies(id) ? 'no: it classifies' : byReference(id, hasReference)),
  },
  {
    title: 'int8',
    shownBy:
      'loss and LoRA gradients near those of the exact weights (`training/quantized-architectures.test.ts`)',
    cell: byReference,
  },
  { title: 'int4', shownBy: 'as int8', cell: byReference },
  {
    title: 'GGUF',
    shownBy: 'greedy tokens equal llama.cpp’s (`npm run test:gguf`)',
    cell(id, hasReference) {
      if (GGUF_ARCHITECTURES.has(id)) return byReference(id, hasReference);
      return classifies(id) ? 'no: classifiers stay with safetensors' : 'no: its tensors are not mapped yet';
    },
  },
  {
    title: 'browser',
    shownBy:
      'the WebGPU provider runs the same graphs (`training/webgpu.test.ts`), and so do tabs on WebGPU and WebAssembly (`packages/web/test/parity.browser.ts`)',
    cell: () => 'untested',
  },
];

export function modelsPage(): string {
  const references = referenceModels();
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const table = [
    row(['`model_type`', ...COLUMNS.map(({ title }) => title)]),
    row(['---', ...COLUMNS.map(() => '---')]),
    ...[...ARCHITECTURES.keys()].map((id) =>
      row([`\`${id}\``, ...COLUMNS.map(({ cell }) => cell(id, references.has(id)))]),
    ),
  ];
  return `${[
    '# Models and what they can do',
    '',
    'Made by `npm run docs` from the registries and the reference models of the tests. *Tested* means that a test of the project fails when it is not so; *untested* that the code takes it and nothing shows it; *no* that it is refused, with the reason.',
    '',
    ...table,
    '',
    '## What shows it',
    '',
    ...COLUMNS.map(({ title, shownBy }) => `- **${title}**: ${shownBy}.`),
    '',
    'The reference models are tiny and random. `headwater verify FOLDER` makes the same comparison for any model whose reference outputs you make with transformers; settings of a `config.json` that Headwater does not compute are refused by name, never ignored.',
    '',
    '## Architectures',
    '',
    ...[...ARCHITECTURES.values()].map(({ id, summary }) => `- \`${id}\`: ${summary}`),
    '',
    '## Tuning kinds',
    '',
    'Every kind works with every architecture, where that has what it needs (`bitfit` needs biases, `head` a classifier).',
    '',
    ...[...tuningKinds.values()].map(({ id, summary }) => `- \`${id}\`: ${summary}`),
  ].join('\n')}\n`;
}
