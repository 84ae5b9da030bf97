/** The two factors of LoRA by PEFT's names: `….lora_A.weight`, `….lora_B.weight`. By name, never by shape. */

import type { TrainableTensor } from '../tuning/kind.ts';

export type LoraFactor = 'A' | 'B';

export function loraFactor(name: string): LoraFactor | undefined {
  return /\.lora_([AB])\.[^.]+$/.exec(name)?.[1] as LoraFactor | undefined;
}

/** For methods that are about LoRA: what to say when there is none. */
export function needsLora(tensors: readonly TrainableTensor[]): string[] {
  if (tensors.some(({ name }) => loraFactor(name) !== undefined)) return [];
  return ['it needs LoRA factors: choose tuning.kind lora (no trained tensor is a lora_A or lora_B)'];
}
