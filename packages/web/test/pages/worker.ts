/** The worker of the test page: opens a model in the store and does with the engine what a test asks. */

import { systemTimers } from '@headwater/base/clock.ts';
import { type Params, tensor } from '@headwater/base/tensor.ts';
import { blobFetcher } from '@headwater/client/download.ts';
import type { TokenizedExample } from '@headwater/data/types.ts';
import { decodeParams, encodeParams } from '@headwater/federation/params.ts';
import { Graph } from '@headwater/graph/ir.ts';
import { matmul } from '@headwater/graph/ops/index.ts';
import type { Executor } from '@headwater/runtime/executor.ts';
import type { Engine, StepReport } from '@headwater/training/engine.ts';
import { tuningKinds } from '@headwater/tuning/registry.ts';
import { openBlobStore } from '../../src/engine/worker/blob-store.ts';
import { browserFacts } from '../../src/engine/worker/facts.ts';
import { openTabEngine } from '../../src/engine/worker/open-engine.ts';
import type { Commands, PlainExample } from './commands.ts';
import { fixedBytes, hideX25519, secureTranscript } from './secure-transcript.ts';

let engine: Engine;
let executor: Executor | undefined;
let subject: { readonly params: Params; readonly examples: readonly TokenizedExample[] };
let trained: Params;
let downloaded = 0;

const commands: Commands = {
  facts: browserFacts,

  async open(request) {
    // What another test opened in this worker.
    await executor?.dispose();
    const started = performance.now();
    const store = await openBlobStore();
    const fetched: string[] = [];
    const fetchBlob = blobFetcher(
      {
        timers: systemTimers,
        entropy: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
        onEvent: (event) => {
          if (event.type === 'downloading') downloaded = event.doneBytes;
        },
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
    const { backend, threads, tuning, model, files, ...rest } = request;
    const kind = tuningKinds.get(tuning.kind)!;
    const opened = await openTabEngine({
      ...rest,
      store,
      model: { source: model, files },
      wish: { ...(backend && { backend }), ...(threads && { threads }) },
      bindTuning: (definition) => kind.bind(kind.options.parse(tuning.options), definition),
      watch: timed,
    });
    ({ engine, executor } = opened);
    return { choice: opened.choice, fetched, fetchMs };
  },

  downloaded: async () => downloaded,

  async take({ params, examples }) {
    subject = { params: fromText(params), examples: examples.map(exampleOf) };
  },

  async gradients({ maxLength }) {
    const { loss, grads } = await engine.gradients(subject.params, subject.examples, { maxLength });
    return { loss, grads: toText(grads) };
  },

  async score({ maxLength }) {
    const { params, examples } = subject;
    return (await engine.score(params, examples, { batchSize: 4, maxLength })).map(({ nll }) => nll);
  },

  async train(options) {
    const times: number[] = [];
    insideMs = 0;
    let last = performance.now();
    const onStep = (_: StepReport) => {
      const now = performance.now();
      times.push(now - last);
      last = now;
    };
    const result = await engine.train(subject.params, subject.examples, options, onStep);
    trained = result.params;
    return { meanLoss: result.meanLoss, numTokens: result.numTokens, times, insideMs };
  },

  trained: async () => toText(trained),

  async matmulSpeed() {
    const [rows, inner, columns] = [256, 256, 1024];
    const graph = new Graph();
    const x = graph.input('x', 'float32', [rows, inner]);
    const w = graph.input('w', 'float32', [inner, columns]);
    graph.output('y', matmul(x, w));
    const session = await executor!.load(graph, { locate: () => Promise.reject() as never });
    const feeds = new Map([
      ['x', tensor('float32', [rows, inner], new Float32Array(rows * inner).fill(0.1))],
      ['w', tensor('float32', [inner, columns], new Float32Array(inner * columns).fill(0.1))],
    ]);
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 30; i++) {
      const started = performance.now();
      await session.run(feeds);
      best = Math.min(best, performance.now() - started);
    }
    return (2 * rows * inner * columns) / best / 1e6;
  },

  async secure({ portable }) {
    if (portable) hideX25519();
    const random = fixedBytes('shares');
    const own = crypto.getRandomValues.bind(crypto);
    crypto.getRandomValues = <T extends ArrayBufferView | null>(array: T) => {
      const { buffer, byteOffset, byteLength } = array!;
      // Blinding of JavaScript's own computations, which changes no result; shares never ask for as many.
      if (byteLength === BLINDING_BYTES) return own(array as never) as T;
      new Uint8Array(buffer, byteOffset, byteLength).set(random(byteLength));
      return array;
    };
    return secureTranscript();
  },
};

const BLINDING_BYTES = 16;

/** Spent in sessions, copies in and out included, since a training began. */
let insideMs = 0;

function timed(executor: Executor): Executor {
  return {
    ...executor,
    async load(graph, weights, options) {
      const session = await executor.load(graph, weights, options);
      return {
        ...session,
        async run(inputs) {
          const started = performance.now();
          const outputs = await session.run(inputs);
          insideMs += performance.now() - started;
          return outputs;
        },
      };
    },
  };
}

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
