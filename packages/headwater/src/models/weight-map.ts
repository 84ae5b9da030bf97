/** The index of a checkpoint in several files: which tensor is in which. It opens none of them. */

import { HeadwaterError } from '../base/errors.ts';

/** Tensor name → shard; names that are no plain file names are refused. `where`: for messages. Throws MODEL_INVALID. */
export function parseWeightMap(index: unknown, where: string): Map<string, string> {
  const invalid = (message: string) => new HeadwaterError('MODEL_INVALID', message, { where });
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null) throw invalid('weight_map is missing');
  const result = new Map<string, string>();
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== 'string' || /[\\/]/.test(file) || !file.endsWith('.safetensors'))
      throw invalid(
        `weight_map puts "${name}" into ${JSON.stringify(file)}, which is no shard of this folder`,
      );
    result.set(name, file);
  }
  return result;
}
