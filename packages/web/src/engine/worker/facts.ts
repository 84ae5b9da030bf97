/** What this browser has, asked inside the worker: a worker's answers are the ones that count. */

import type { BrowserFacts } from '../backend.ts';

export async function browserFacts(): Promise<BrowserFacts> {
  return {
    crossOriginIsolated: self.crossOriginIsolated,
    hardwareConcurrency: navigator.hardwareConcurrency,
    stackSwitching: 'Suspending' in WebAssembly,
    gpu: await gpuFacts(),
  };
}

async function gpuFacts(): Promise<BrowserFacts['gpu']> {
  if (navigator.gpu === undefined)
    return {
      missing: self.isSecureContext
        ? 'this browser does not have it'
        : 'browsers give it to pages over HTTPS only',
    };
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  if (adapter === null) return { missing: 'this browser found no graphics processor that it trusts' };
  const { vendor, architecture, description } = adapter.info;
  const name = description || [vendor, architecture].filter(Boolean).join(' ') || 'an unnamed device';
  return {
    name,
    isSoftware:
      adapter.info.isFallbackAdapter || /swiftshader|llvmpipe|basic render/i.test(`${name} ${architecture}`),
    maxBufferBytes: adapter.limits.maxStorageBufferBindingSize,
    float16: adapter.features.has('shader-f16'),
  };
}
