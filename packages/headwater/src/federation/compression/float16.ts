/**
 * IEEE 754 binary16, rounded to nearest even: 2 bytes an element, relative error at most 2^−11 down to 2^−14. A value of
 * 65,520 or more becomes infinite and the update is refused.
 */

import { z } from 'zod';
import { float16ToFloat32, float32ToFloat16 } from '../../base/half.ts';
import type { Compression } from './compression.ts';

export const float16: Compression<Record<string, never>> = {
  id: 'float16',
  summary: 'half precision, half the bytes',
  options: z.strictObject({}),
  errorFeedback: false,
  layout: (shape) => ({ main: { suffix: '', type: { dtype: 'float16', shape } } }),
  encode: (values) => ({ main: float32ToFloat16(values) }),
  decode: (main) => ({ values: float16ToFloat32(main as Uint16Array) }),
};
