/** Every op of the dialect. */

export * from './arithmetic.ts';
export * from './cached-attention.ts';
export * from './gather.ts';
export * from './gelu.ts';
export * from './layer-norm.ts';
export * from './matmul.ts';
export * from './nn.ts';
export * from './quantized.ts';
export * from './shape.ts';
export * from './top-k.ts';
export * from './with-gradients.ts';
