/** The worker of the test page: opens a model in the store and does with the engine what a test asks. */

import { systemTimers } from '@headwater/base/clock.ts';
import type { Params } from '@headwater/base/tensor.ts';
import { blobFetcher } from '@headwater/client/download.ts';
import type { TokenizedExample } from '@headwater/data/types.ts';
import { decodeParams, encodeParams } from '@headwater/federation/params.ts';
import type { Engine, StepReport } from '@headwater/training/engine.ts';
import { createEngine } from '@headwater/training/engine-core.ts';
import { tuningKinds } from '@headwater/tuning/registry.ts';
import { chooseBackend } from '../../src/engine/backend.ts';
import { openBlobStore } from '../../src/engine/worker/blob-store.ts';
import { createWebExecutor } from '../../src/engine/worker/executor.ts';
import { browserFacts } from '../../src/engine/worker/facts.ts';
import { openStoredModel } from '../../src/engine/worker/stored-model.ts';
import type { Commands, PlainExample } from './commands.ts';

let engine: Engine;

const commands: Commands = {
  facts: browserFacts,

  async open(request) {
    const choice = chooseBackend(await browserFacts(), request);
    if (!('backend' in choice)) throw new Error(choice.why);
    const started = performance.now();
    const store = await openBlobStore();
    const fetched: string[] = [];
    const fetchBlob = blobFetcher(
      {
        timers: systemTimers,
        entropy: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
        onEvent: () => undefined,
      },
      async (digest, headers, signal) => {
        const { path } = request.files.find((file) => file.digest === digest)!;
        const response = await fetch(`${request.model}/${path}`, { headers, signal });
        return {
          status: response.status,
          headers: Object.fromEntries(response.headers),
          body: response.body as unknown as AsyncIterable<Uint8Array>,
        };
      },
      new AbortController().signal,
    );
    for (const file of request.files)
      if ((await store.ensure(file, fetchBlob)).fetched) fetched.push(file.path);
    const fetchMs = performance.now() - started;
    const model = await openStoredModel(store, { source: request.model, files: request.files });
    const kind = tuningKinds.get(request.tuning.kind)!;
    const tuning = kind.bind(kind.options.parse(request.tuning.options), model.definition);
    const { noFallback, prepack, kernels, maxWeightBytes } = request;
    const executor = await createWebExecutor({
      choice,
      openFile: (path) => store.open(path),
      ...(noFallback === undefined ? {} : { noFallback }),
      ...(prepack === undefined ? {} : { prepack }),
      ...(kernels === undefined ? {} : { kernels }),
      ...(maxWeightBytes === undefined ? {} : { maxWeightBytes }),
    });
    engine = createEngine({ model, tuning, executor });
    return { choice, fetched, fetchMs };
  },

  async gradients({ params, examples, maxLength }) {
    const { loss, grads } = await engine.gradients(fromText(params), examples.map(exampleOf), { maxLength });
    return { loss, grads: toText(grads) };
  },

  async train({ params, examples, options }) {
    const times: number[] = [];
    let last = performance.now();
    const onStep = (_: StepReport) => {
      const now = performance.now();
      times.push(now - last);
      last = now;
    };
    const result = await engine.train(fromText(params), examples.map(exampleOf), options, onStep);
    return { params: toText(result.params), meanLoss: result.meanLoss, times };
  },
};

function exampleOf({ tokens, supervised }: PlainExample): TokenizedExample {
  return {
    tokens: Int32Array.from(tokens),
    supervised: Uint8Array.from(supervised),
    numTargets: supervised.reduce((sum, flag) => sum + flag, 0),
  };
}

function fromText(text: string): Params {
  return decodeParams(
    Uint8Array.from(atob(text), (char) => char.charCodeAt(0)),
    'the test',
  );
}

function toText(params: Params): string {
  return btoa(Array.from(encodeParams(params), (byte) => String.fromCharCode(byte)).join(''));
}

self.onmessage = async ({ data: { id, name, input } }: MessageEvent) => {
  try {
    const act = commands[name as keyof Commands] as (input: unknown) => Promise<unknown>;
    self.postMessage({ id, value: await act(input) });
  } catch (error) {
    const { code = '', message, cause } = error as Error & { code?: string };
    self.postMessage({ id, error: `${code} ${message} ${cause === undefined ? '' : String(cause)}` });
  }
};
