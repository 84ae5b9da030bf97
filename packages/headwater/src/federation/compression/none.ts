/** Float32 as it is: 4 bytes an element, nothing is lost. */

import { z } from 'zod';
import { bindCompression, type Compression } from './compression.ts';

export const none: Compression<Record<string, never>> = {
  id: 'none',
  summary: 'float32 as it is',
  options: z.strictObject({}),
  errorFeedback: false,
  layout: (shape) => ({ main: { suffix: '', type: { dtype: 'float32', shape } } }),
  encode: (values) => ({ main: values }),
  decode: (main) => ({ values: main as Float32Array }),
};

export const plain = bindCompression(none, {});
