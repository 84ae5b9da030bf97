/** What several sections of a recipe are made of. */

import { z } from 'zod';

export const positiveInt = z.int().positive();
export const fraction = z.number().min(0).max(1);

/** `{ kind: 'lora', rank: 16, … }`: `kind` picks the record, the rest is parsed by the record. */
export const record = z.looseObject({ kind: z.string() });
