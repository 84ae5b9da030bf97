/**
 * Which of the engine's backends a browser gets, and why: a decision over plain facts, so that it can be shown and tested.
 * It asks the browser nothing itself.
 */

export const BACKENDS = ['webgpu', 'wasm-threads', 'wasm'] as const;
export type Backend = (typeof BACKENDS)[number];

/** How base weights are held: as the checkpoint has them, widened exactly, or matrices rounded to half the bytes. */
export type WeightFormat = 'stored' | 'float32' | 'float16';

export interface BrowserFacts {
  /** Memory can be shared between threads: COOP and COEP headers, and a browser that heeds them. */
  readonly crossOriginIsolated: boolean;
  readonly hardwareConcurrency: number;
  /** WebAssembly can wait for a promise (JSPI). */
  readonly stackSwitching: boolean;
  readonly gpu: GpuFacts | { readonly missing: string };
}

export interface GpuFacts {
  readonly name: string;
  /** A rasteriser on the CPU: correct, and slower than WebAssembly. */
  readonly isSoftware: boolean;
  readonly maxBufferBytes: number;
  /** It knows float16 (the feature `shader-f16`). */
  readonly float16: boolean;
}

export interface BackendWish {
  /** Take this one, or say why not. */
  readonly backend?: Backend;
  readonly threads?: number;
}

export interface BackendChoice {
  readonly backend: Backend;
  readonly threads: number;
  /** The file of ONNX Runtime that serves it: `ort.<build>.min.mjs`. */
  readonly build: 'wasm' | 'webgpu' | 'jspi';
  /** Whether it can hold weights in float16. */
  readonly float16: boolean;
  /** One plain sentence each: for the backend that was taken and for each better one that was not. */
  readonly why: readonly string[];
}

/** GPUs know no bfloat16; WebAssembly reads any. */
export function defaultWeights(backend: Backend): WeightFormat {
  return backend === 'webgpu' ? 'float32' : 'stored';
}

/**
 * What a recipe asks of tabs (`deployment.tabWeights`), in the form that a backend reads. A GPU without float16 gets float32, which
 * costs it memory and rounds nothing.
 */
export function weightFormat(
  wanted: 'exact' | 'float16' | undefined,
  { backend, float16 }: Pick<BackendChoice, 'backend' | 'float16'>,
): WeightFormat {
  return wanted === 'float16' && float16 ? 'float16' : defaultWeights(backend);
}

/** More threads than this wait for each other in matrices of this size. */
const MAX_THREADS = 8;

/** The wished backend, or the best one. A wish that cannot be had is not replaced by another: `why` says what is missing. */
export function chooseBackend(facts: BrowserFacts, wish: BackendWish = {}): BackendChoice | { why: string } {
  const missing: Readonly<Record<Backend, string | undefined>> = {
    webgpu: missingGpu(facts.gpu, wish.backend === 'webgpu'),
    'wasm-threads': missingThreads(facts),
    wasm: undefined,
  };
  if (wish.backend !== undefined && missing[wish.backend] !== undefined)
    return { why: missing[wish.backend]! };
  const backend = wish.backend ?? BACKENDS.find((candidate) => missing[candidate] === undefined)!;
  const better = wish.backend === undefined ? BACKENDS.slice(0, BACKENDS.indexOf(backend)) : [];
  const threads =
    backend === 'wasm-threads'
      ? (wish.threads ?? Math.max(1, Math.min(facts.hardwareConcurrency, MAX_THREADS)))
      : 1;
  return {
    backend,
    threads,
    float16: backend !== 'webgpu' || ('float16' in facts.gpu && facts.gpu.float16),
    build: backend !== 'webgpu' ? 'wasm' : facts.stackSwitching ? 'jspi' : 'webgpu',
    why: [
      taken(backend, threads, facts, wish.backend !== undefined),
      ...better.map((other) => missing[other]!),
    ],
  };
}

function missingGpu(gpu: BrowserFacts['gpu'], isWished: boolean): string | undefined {
  if ('missing' in gpu) return `No WebGPU: ${gpu.missing}.`;
  if (gpu.isSoftware && !isWished)
    return `WebGPU is there, but only emulated on the processor (${gpu.name}), which is slower than WebAssembly.`;
  return undefined;
}

function missingThreads({ crossOriginIsolated, hardwareConcurrency }: BrowserFacts): string | undefined {
  if (!crossOriginIsolated)
    return 'No threads: the page is not cross-origin isolated (the server must send COOP and COEP headers, over HTTPS).';
  if (hardwareConcurrency < 2) return 'No threads: this machine has one processor core.';
  return undefined;
}

function taken(backend: Backend, threads: number, { gpu }: BrowserFacts, isWished: boolean): string {
  const reason = isWished ? 'as asked for' : 'the best that this browser has';
  if (backend === 'webgpu' && !('missing' in gpu)) return `WebGPU on ${gpu.name}, ${reason}.`;
  if (backend === 'wasm-threads') return `WebAssembly with ${threads} threads, ${reason}.`;
  return `WebAssembly with one thread, ${reason}.`;
}
