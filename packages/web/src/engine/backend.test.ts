import { expect, test } from 'vitest';
import { type BackendChoice, type BrowserFacts, chooseBackend, weightFormat } from './backend.ts';

const gpu = { name: 'apple metal-3', isSoftware: false, maxBufferBytes: 2 ** 31, float16: true };
const facts: BrowserFacts = {
  crossOriginIsolated: true,
  hardwareConcurrency: 12,
  stackSwitching: true,
  gpu,
};

test('a GPU comes first, with the build that this browser runs', () => {
  expect(chooseBackend(facts)).toMatchObject({ backend: 'webgpu', build: 'jspi', threads: 1 });
  expect(chooseBackend({ ...facts, stackSwitching: false })).toMatchObject({ build: 'webgpu' });
});

test('a software GPU is slower than WebAssembly: taken only when asked for', () => {
  const emulated = { ...facts, gpu: { ...gpu, name: 'SwiftShader', isSoftware: true } };
  expect(chooseBackend(emulated)).toEqual({
    backend: 'wasm-threads',
    threads: 8,
    build: 'wasm',
    float16: true,
    why: [
      'WebAssembly with 8 threads, the best that this browser has.',
      'WebGPU is there, but only emulated on the processor (SwiftShader), which is slower than WebAssembly.',
    ],
  });
  expect(chooseBackend(emulated, { backend: 'webgpu' })).toMatchObject({ backend: 'webgpu' });
});

test.each([
  [{ crossOriginIsolated: false }, /not cross-origin isolated/],
  [{ hardwareConcurrency: 1 }, /one processor core/],
])('without threads, plain WebAssembly says why: %o', (change, why) => {
  const poor = { ...facts, gpu: { missing: 'this browser does not have it' }, ...change };
  const choice = chooseBackend(poor);
  expect(choice).toMatchObject({ backend: 'wasm', threads: 1, build: 'wasm' });
  expect(choice.why[1]).toBe('No WebGPU: this browser does not have it.');
  expect(choice.why[2]).toMatch(why);
  expect(chooseBackend(poor, { backend: 'wasm-threads' })).toEqual({ why: choice.why[2] });
});

test('a wish for threads is kept', () => {
  expect(chooseBackend(facts, { backend: 'wasm-threads', threads: 2 })).toMatchObject({ threads: 2 });
});

test('float16 is for backends that know it; others get the exact form that they read', () => {
  const choice = (float16: boolean) => chooseBackend({ ...facts, gpu: { ...gpu, float16 } }) as BackendChoice;
  expect(weightFormat('float16', choice(true))).toBe('float16');
  expect(weightFormat('float16', choice(false))).toBe('float32');
  expect(weightFormat('exact', choice(true))).toBe('float32');
  expect(weightFormat(undefined, { backend: 'wasm', float16: true })).toBe('stored');
});
