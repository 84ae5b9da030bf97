/** A PEFT adapter folder, without its base model: settings and tensors. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HeadwaterError } from '../../base/errors.ts';
import { formatBytes, formatCount } from '../../base/format.ts';
import { sizeOf } from '../../base/tensor.ts';
import { openSafetensors } from '../../models/safetensors-node.ts';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from '../../tuning/peft-adapter.ts';
import type { Inspection } from './inspection.ts';

export async function inspectAdapter(folder: string): Promise<Inspection> {
  const config = await readConfig(join(folder, ADAPTER_CONFIG));
  const { entries } = await openSafetensors(join(folder, ADAPTER_WEIGHTS), 'upload');
  const stored = [...entries.values()];
  const settings = Object.entries(config)
    .filter(([, value]) => value !== null && JSON.stringify(value) !== '{}')
    .map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]);
  return {
    kind: 'adapter',
    name: folder,
    facts: {
      kind: String(config.peft_type ?? 'unknown'),
      'base model': String(config.base_model_name_or_path ?? 'not named'),
      parameters: formatCount(stored.reduce((sum, { shape }) => sum + sizeOf(shape), 0)),
      'on disk': formatBytes(stored.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)),
      tensors: String(stored.length),
    },
    tables: [{ title: ADAPTER_CONFIG, head: ['setting', 'value'], rows: settings, numeric: false }],
  };
}

async function readConfig(file: string): Promise<Record<string, unknown>> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  } catch (cause) {
    throw new HeadwaterError('ADAPTER_INVALID', `cannot be read: ${(cause as Error).message}`, {
      where: file,
      cause,
    });
  }
}
