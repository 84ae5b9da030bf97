import { describe, expect, it } from 'vitest';
import { refusal } from '../../test/support/outcome.ts';
import { toy, toyGraph } from '../../test/support/toy-network.ts';
import { needed } from '../graph/reachable.ts';
import { layers } from './layers.ts';

const bind = (options: object, layout = toy) => layers.bind(layers.options.parse(options), layout);
const names = (options: object, layout = toy) => bind(options, layout).tensors.map(({ name }) => name);
const blocks = (options: object, layout = toy) => [
  ...new Set(names(options, layout).flatMap((name) => /layers\.(\d+)\./.exec(name)?.[1] ?? [])),
];
const twelve = {
  ...toy,
  shape: { ...toy.shape, numHiddenLayers: 12 },
  parameters: new Map<string, readonly number[]>([
    ['model.embed_tokens.weight', [7, 4]],
    ...Array.from({ length: 12 }, (_, i) => [`model.layers.${i}.w.weight`, [4, 4]] as const),
    ['model.norm.weight', [4]],
  ]),
};

describe('layer selection', () => {
  it.each([
    ['last:2', ['10', '11']],
    ['first:1', ['0']],
    ['2-4, 7', ['2', '3', '4', '7']],
    ['0, last:1', ['0', '11']],
    [
      [5, 5, 1],
      ['1', '5'],
    ],
  ])('%j means blocks %j', (selection, expected) => {
    expect(blocks({ layers: selection }, twelve).sort((a, b) => +a - +b)).toEqual(expected);
  });

  it('takes whole blocks under their checkpoint names and nothing else', () => {
    const inBlock = [...toy.parameters.keys()].filter((name) => name.startsWith('model.layers.1.'));
    expect(names({ layers: [1] })).toEqual(inBlock.sort());
    expect(names({ layers: [], head: true })).toEqual(['lm_head.weight']);
    expect(names({ layers: [], finalNorm: true })).toEqual(['model.norm.weight']);
    expect(names({ layers: [], embeddings: true })).toEqual(['model.embed_tokens.weight']);
  });

  it('trains the head of a classifier unless told otherwise', () => {
    const classifier = {
      ...toy,
      objective: 'sequence-classification' as const,
      headModules: ['score'],
      parameters: new Map([...toy.parameters, ['score.weight', [3, 4]]]),
    };
    expect(names({ layers: [1] }, classifier)).toContain('score.weight');
    expect(names({ layers: [1], head: false }, classifier)).not.toContain('score.weight');
    // In a classifier a matrix of V rows is no vocabulary matrix.
    expect(names({ layers: [], finalNorm: true, head: false }, classifier)).toContain('lm_head.weight');
  });

  it.each([
    ['last:3', '"last:3" of 2 blocks'],
    ['last:0', '"last:0"'],
    ['4-2', '"4-2"'],
    ['all', '"all"'],
    ['1-9', 'block 2, the model has 2'],
    [[2], 'block 2'],
    [[], 'nothing to train'],
  ])('refuses %j', (selection, message) => {
    expect(refusal(() => bind({ layers: selection }))).toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining(message),
    });
  });

  it('refuses the head of a model whose vocabulary matrix is its embedding', () => {
    expect(refusal(() => bind({ layers: [1], head: true }, twelve))).toMatchObject({
      code: 'OPTION_INVALID',
      hint: expect.stringContaining('embeddings: true'),
    });
  });

  it('is refused by a model of another depth', () => {
    const config = bind({ layers: [1] }).adapterConfig()!;
    const options = layers.fromAdapterConfig(config)!;
    expect(refusal(() => layers.bindAdapter!(options, twelve, config))).toMatchObject({
      code: 'ADAPTER_INVALID',
      message: expect.stringContaining('2 layers, this one has 12'),
    });
  });
});

/** Weights that nodes of the backward pass read. */
function readBackward(options: object): string[] {
  const { graph, numForward } = toyGraph(bind(options));
  const backward = needed(graph).filter(({ id }) => id >= numForward);
  expect(backward.length).toBeGreaterThan(0);
  const weights = new Map([...graph.weights].map(([name, value]) => [value, name]));
  return backward.flatMap(({ inputs }) => inputs.flatMap((input) => weights.get(input) ?? []));
}

describe('the backward pass', () => {
  it('ends at the lowest trained block', () => {
    const ofAll = readBackward({ layers: [0] });
    expect(ofAll.some((name) => name.startsWith('model.layers.1.'))).toBe(true);
    const ofLast = readBackward({ layers: 'last:1' });
    expect(ofLast.filter((name) => name.startsWith('model.layers.0.'))).toEqual([]);
    expect(readBackward({ layers: [], head: true })).toEqual([]);
    // Nodes below are not there at all: fewer for a higher block.
    const size = (selection: number[]) => {
      const { graph, numForward } = toyGraph(bind({ layers: selection }));
      return graph.nodes.length - numForward;
    };
    expect(size([1])).toBeLessThan(size([0]));
    expect(size([0, 1])).toBeGreaterThan(size([0]));
  });
});
