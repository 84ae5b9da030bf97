/**
 * The library. `run` executes a recipe as the command line does, `joinRun` takes part in somebody's run; `train` fine-tunes without a federation; the rest are the
 * parts to build with: models, tokenizers, engines, adapters, and the record types that plug-ins implement.
 */

export { HeadwaterError } from './base/errors.ts';
export type { Params, Tensor } from './base/tensor.ts';
export { type JoinEvent, type JoinedRun, type JoinRunOptions, joinRun } from './client/join-node.ts';
export { type LeaveRunOptions, leaveRun } from './client/leave-node.ts';
export type { PolicyRules } from './client/policy.ts';
export { parsePolicy } from './client/policy-text.ts';
export { type Preview, previewRun } from './client/preview-node.ts';
export type { Partitioner } from './data/partition/partitioner.ts';
export type { DataSchema } from './data/schemas/schema.ts';
export { tokenizeExamples } from './data/tokenize.ts';
export type { Example, TokenizedExample } from './data/types.ts';
export { exportAdapterGguf } from './exports/gguf/export-adapter.ts';
export { exportModelGguf } from './exports/gguf/export-model.ts';
export { mergeModel } from './exports/merge-model.ts';
export type { WeightedAdapter } from './exports/merged-weights.ts';
export type { Compression } from './federation/compression/compression.ts';
export type { Method } from './federation/method.ts';
export { gradients } from './graph/autodiff.ts';
export { Graph, type Value } from './graph/ir.ts';
export * as ops from './graph/ops/index.ts';
export type { OnProgress } from './jobs/progress.ts';
export { openModel } from './models/checkpoint-node.ts';
export type { Model } from './models/model.ts';
export { loadTokenizer } from './models/tokenizer-node.ts';
export type { Recipe } from './recipe/schema.ts';
export type { RunResults } from './runs/results.ts';
export type { Executor } from './runtime/executor.ts';
export { createNodeExecutor } from './runtime/onnx-node.ts';
export { type ModelServer, type ServeModelOptions, serveModel } from './serving/serve-model.ts';
export { type FinishedRun, type RunOptions, run } from './simulation/run.ts';
export { readAdapterFolder, writeAdapterFolder } from './training/adapter-folder-node.ts';
export type { Engine, GenerateOptions, TrainOptions, TrainResult } from './training/engine.ts';
export { createEngine } from './training/engine-core.ts';
export type { Generated, GenerationRequest, Generator } from './training/generation/generator.ts';
export type { GeneratedText, TextPiece } from './training/generation/text.ts';
export {
  openTextModel,
  type TextModel,
  type TextModelOptions,
  type TextPrompt,
  type WriteOptions,
} from './training/generation/text-model-node.ts';
export type { EvaluationTask } from './training/tasks/task.ts';
export { type TrainModelOptions, train } from './training/train-node.ts';
export { verifyFolder } from './training/verify-node.ts';
export { adapterParams, combinedTuning, type NamedAdapter, prefixedParams } from './tuning/combined.ts';
export type { BoundTuning, TuningKind } from './tuning/kind.ts';
export { lora } from './tuning/lora.ts';
