/** ONNX Runtime's files, loaded once from this page's own origin and set up for the chosen backend. */

import { HeadwaterError, messageOf } from '@headwater/base/errors.ts';
import type * as OrtWeb from 'onnxruntime-web';
import type { BackendChoice } from '../backend.ts';

export type Ort = typeof OrtWeb;

/** Folder of ONNX Runtime's files as seen from a built worker, or from the development server's root (vite.config.ts). */
declare const __ORT_FOLDER__: string;

let loaded: { readonly choice: BackendChoice; readonly ort: Promise<Ort> } | undefined;

/**
 * One backend a worker: the WebAssembly heap and its threads cannot be given back. Throws DEVICE_UNAVAILABLE when the files do
 * not load.
 */
export function loadOrt(choice: BackendChoice): Promise<Ort> {
  if (loaded === undefined) loaded = { choice, ort: load(choice) };
  const { build, threads } = loaded.choice;
  if (build !== choice.build || threads !== choice.threads)
    throw new Error(`this worker runs ${build} with ${threads} threads already`);
  return loaded.ort;
}

async function load({ build, threads }: BackendChoice): Promise<Ort> {
  const folder = new URL(__ORT_FOLDER__, self.location.href).href;
  try {
    const ort = (await import(/* @vite-ignore */ `${folder}ort.${build}.min.mjs`)) as Ort;
    ort.env.wasm.wasmPaths = folder;
    ort.env.wasm.numThreads = threads;
    ort.env.logLevel = 'error';
    return ort;
  } catch (cause) {
    throw new HeadwaterError('DEVICE_UNAVAILABLE', `ONNX Runtime does not load: ${messageOf(cause)}`, {
      cause,
      hint: 'Reload the page. If that does not help, this browser is too old for it.',
    });
  }
}
