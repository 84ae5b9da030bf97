/** Begin, end and padding token ids from generation_config.json and config.json; the first file wins where it speaks. */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';

export interface SpecialTokenIds {
  readonly eosTokenIds: readonly number[];
  readonly bosTokenId: number | undefined;
  readonly padTokenId: number | undefined;
}

const id = z.int().nonnegative();
const schema = z.object({
  vocab_size: z.int().optional(),
  bos_token_id: id.nullish(),
  /** Some models end with any of several tokens. */
  eos_token_id: z.union([id, z.array(id)]).nullish(),
  /** −1 is an old spelling of "none". */
  pad_token_id: z.union([id, z.literal(-1)]).nullish(),
});

/** Throws MODEL_INVALID for ids that are no token ids or outside of the vocabulary. */
export function specialTokenIds(config: unknown, generation: unknown, where: string): SpecialTokenIds {
  const [own, preferred] = [parse(config, where), parse(generation, where)];
  const eos = preferred.eos_token_id ?? own.eos_token_id ?? [];
  const pad = preferred.pad_token_id ?? own.pad_token_id ?? undefined;
  const ids = {
    eosTokenIds: Array.isArray(eos) ? eos : [eos],
    bosTokenId: preferred.bos_token_id ?? own.bos_token_id ?? undefined,
    padTokenId: pad === -1 ? undefined : pad,
  };
  const outside = [...ids.eosTokenIds, ids.bosTokenId, ids.padTokenId].find(
    (token) => token !== undefined && own.vocab_size !== undefined && token >= own.vocab_size,
  );
  if (outside !== undefined)
    throw new HeadwaterError(
      'MODEL_INVALID',
      `token id ${outside} is outside of the vocabulary of ${own.vocab_size}`,
      {
        where,
        hint: 'Check eos_token_id, bos_token_id and pad_token_id.',
      },
    );
  return ids;
}

function parse(value: unknown, where: string): z.infer<typeof schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new HeadwaterError('MODEL_INVALID', `${issue?.path.join('.')}: ${issue?.message}`, { where });
}
