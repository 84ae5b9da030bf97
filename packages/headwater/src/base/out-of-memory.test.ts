import { expect, it } from 'vitest';
import { HeadwaterError } from './errors.ts';
import { isOutOfMemory, outOfMemory } from './out-of-memory.ts';

const arena =
  'Non-zero status code returned while running FusedMatMul node. bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 150994944';

it.each([
  new Error(arena),
  new Error('Non-zero status code returned while running MatMul node. Status Message: std::bad_alloc'),
  new RangeError('Array buffer allocation failed'),
  Object.assign(new Error('Worker terminated'), { code: 'ERR_WORKER_OUT_OF_MEMORY' }),
])('%s is a failed allocation', (error) => {
  expect(isOutOfMemory(error)).toBe(true);
});

it('V8 itself says so when an array is too large', () => {
  const error = (() => {
    try {
      return new Float64Array(2 ** 52);
    } catch (cause) {
      return cause;
    }
  })();
  expect(isOutOfMemory(error)).toBe(true);
});

it.each([new Error('Non-zero status code returned while running Gather node'), undefined, 'no'])(
  '%s is another failure',
  (error) => {
    expect(isOutOfMemory(error)).toBe(false);
  },
);

it('says how much was asked for and what to change', () => {
  const error = outOfMemory('train 64×1024', new Error(arena));
  expect(error).toBeInstanceOf(HeadwaterError);
  expect(error.message).toBe('train 64×1024: the memory is too small (144 MB more were asked for)');
  expect(error.hint).toMatch(/microBatchSize.*maxLength.*recompute.*quantization/);
});
