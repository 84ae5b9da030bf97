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

/**
 * Ids outside of the vocabulary are dropped: small models keep their architecture's default ids in config.json, and such
 * a token can neither end a text nor begin one. Throws MODEL_INVALID for ids that are no token ids.
 */
export function specialTokenIds(config: unknown, generation: unknown, where: string): SpecialTokenIds {
  const [own, preferred] = [parse(config, where), parse(generation, where)];
  const numTokens = own.vocab_size ?? Number.POSITIVE_INFINITY;
  const known = (id: number | null | undefined) =>
    id === null || id === undefined || id < 0 || id >= numTokens ? undefined : id;
  const eos = preferred.eos_token_id ?? own.eos_token_id ?? [];
  return {
    eosTokenIds: [eos].flat().filter((id) => known(id) !== undefined),
    bosTokenId: known(preferred.bos_token_id) ?? known(own.bos_token_id),
    padTokenId: known(preferred.pad_token_id ?? own.pad_token_id),
  };
}

function parse(value: unknown, where: string): z.infer<typeof schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new HeadwaterError('MODEL_INVALID', `${issue?.path.join('.')}: ${issue?.message}`, { where });
}
