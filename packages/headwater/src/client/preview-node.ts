/**
 * What joining would mean, before anything is joined: who signed what, whether the policy takes it, the owner's data as the
 * model would see them, and what would leave this machine. The coordinator hears of a token, and of nothing else.
 */

import { resolve } from 'node:path';
import { fileSource } from '../data/dataset-node.ts';
import { readerFor } from '../data/readers/registry.ts';
import { type TokenizeReport, tokenizeExamples } from '../data/tokenize.ts';
import type { TokenizedExample } from '../data/types.ts';
import { encodedUpdateBytes } from '../federation/compression/encode.ts';
import type { Manifest, SignedManifest } from '../federation/wire/messages.ts';
import { bindRecipeCompression, bindRecipeMethod, bindTuning } from '../jobs/records.ts';
import type { ModelDefinition } from '../models/model.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import type { Recipe } from '../recipe/schema.ts';
import { type ModelTexts, openModelTexts } from './base-model-node.ts';
import { nodeBasics } from './basics-node.ts';
import { createCaller } from './call.ts';
import { type AskForBytes, blobFetcher } from './download.ts';
import { readFileStore } from './file-store-node.ts';
import { httpTransport } from './http-transport-node.ts';
import { joinedBefore, keyBytes, requiredToken } from './identity.ts';
import { type JoinRunOptions, placeOf } from './join-node.ts';
import { checkedManifest } from './manifest.ts';
import { type OwnerRun, openOwnerRun } from './owner-run-node.ts';
import { createPolicy, NO_LIMITS } from './policy.ts';
import { persist } from './retry.ts';
import { modelCacheFolder, stateFolder } from './state-folder-node.ts';

export interface ShownPart {
  readonly text: string;
  /** It is learnt: a target of the loss. */
  readonly supervised: boolean;
}

export interface Preview {
  readonly url: string;
  /** Fingerprint of the key that signed the run. */
  readonly operator: string;
  /** Null: the coordinator gives a free name. */
  readonly owner: string | null;
  readonly manifest: Manifest;
  readonly recipe: Recipe;
  /** Why the policy refuses it; empty: it does not. */
  readonly reasons: readonly string[];
  /** Of the owner's first file, as its first row has them. */
  readonly columns: readonly string[];
  /** The first training examples as the model would see them. */
  readonly examples: readonly { readonly where: string; readonly parts: readonly ShownPart[] }[];
  /** Of the training examples. */
  readonly tokenization: TokenizeReport;
  readonly split: { readonly train: number; readonly validation: number; readonly test: number };
  /** Of one update, without what the transport saves. */
  readonly updateBytes: number;
  /** Figures that the run asks for: those that the policy lets out, and those that it keeps here. */
  readonly metrics: { readonly told: readonly string[]; readonly kept: readonly string[] };
}

const SHOWN_EXAMPLES = 3;

/** Joins nothing and uses nothing up. Throws like `joinRun`, but for the policy, whose reasons are part of the answer. */
export async function previewRun(options: JoinRunOptions): Promise<Preview> {
  const { url, token } = placeOf(options);
  const { caFile, insecure, signal = new AbortController().signal } = options;
  const transport = httpTransport({ url, caFile, insecure });
  try {
    const parts = nodeBasics(transport.send, options.onEvent);
    const store = readFileStore(resolve(options.state ?? stateFolder(url, token)));
    const joined = await joinedBefore({ store });
    const { operator, owner, signed, askFile } =
      joined === undefined ? await asInvited(parts, token, signal) : await asJoined(parts, joined);
    const manifest = await checkedManifest(signed, operator, parts.verify);
    const run = await openOwnerRun(manifest, owner ?? 'client', options);
    const texts = await openModelTexts(manifest, {
      model: options.model,
      cacheFolder: modelCacheFolder(),
      fetchBlob: blobFetcher(parts, askFile, signal),
      signal,
    });
    const columns = await columnsOf(options);
    return {
      url,
      operator,
      owner,
      manifest,
      columns,
      ...lookAt(options, manifest, run, texts, owner ?? 'client'),
    };
  } finally {
    await transport.close();
  }
}

type Basics = ReturnType<typeof nodeBasics>;

interface Source {
  readonly operator: string;
  readonly owner: string | null;
  readonly signed: SignedManifest;
  readonly askFile: AskForBytes;
}

async function asInvited(parts: Basics, token: string | undefined, signal: AbortSignal): Promise<Source> {
  const { secret, operator } = requiredToken(token);
  const caller = createCaller(parts, undefined);
  const body = { token: secret };
  const { owner, manifest } = await persist(parts, signal, () => caller.json('peek', { body }, signal));
  const askFile: AskForBytes = (digest, headers, inner) =>
    caller.bytes('peekFile', { params: { digest }, body, headers }, inner);
  return { operator, owner, signed: manifest, askFile };
}

async function asJoined(
  parts: Basics,
  joined: NonNullable<Awaited<ReturnType<typeof joinedBefore>>>,
): Promise<Source> {
  const { run, owner, operator, manifest } = joined;
  const caller = createCaller(parts, (await parts.signer(keyBytes(joined))).signer);
  const askFile: AskForBytes = (digest, headers, inner) =>
    caller.bytes('blob', { params: { run, digest }, headers }, inner);
  return { operator, owner, signed: manifest, askFile };
}

async function columnsOf({ data }: JoinRunOptions): Promise<string[]> {
  const { files, format } = data.train;
  const name = [files].flat()[0]!;
  for await (const row of readerFor(name, format).read(fileSource(name, resolve(name))))
    return 'values' in row ? Object.keys(row.values) : [];
  return [];
}

function lookAt(
  { policy: rules = NO_LIMITS }: JoinRunOptions,
  manifest: Manifest,
  run: OwnerRun,
  { codec, definition }: ModelTexts,
  owner: string,
): Omit<Preview, 'url' | 'operator' | 'owner' | 'manifest' | 'columns'> {
  const { recipe, parts } = run;
  const { maxLength } = recipe.data;
  const policy = createPolicy(rules);
  const tokenized = tokenizeExamples(parts.train, codec, { maxLength });
  const shown = tokenized.tokenized.slice(0, SHOWN_EXAMPLES);
  return {
    recipe,
    reasons: policy.accepts(manifest),
    examples: shown.map((example, i) => ({
      where: parts.train[tokenized.source[i]!]!.meta.where,
      parts: [...partsOf(example, codec.tokenizer), ...classOf(example)],
    })),
    tokenization: tokenized.report,
    split: {
      train: parts.train.length,
      validation: parts.validation.length,
      test: parts.test.length,
    },
    updateBytes: updateBytesOf(run, definition, owner),
    metrics: {
      told: manifest.metrics.filter((metric) => policy.mayLeave(metric)),
      kept: manifest.metrics.filter((metric) => !policy.mayLeave(metric)),
    },
  };
}

/** What is learnt of a text with a class. */
function classOf({ classId, label }: TokenizedExample): ShownPart[] {
  return classId === undefined ? [] : [{ text: label ?? String(classId), supervised: true }];
}

/** Runs of tokens that are learnt, or not, as text. */
function partsOf({ tokens, supervised }: TokenizedExample, tokenizer: Tokenizer): ShownPart[] {
  const parts: ShownPart[] = [];
  for (let begin = 0; begin < tokens.length; ) {
    let end = begin + 1;
    while (end < tokens.length && supervised[end] === supervised[begin]) end++;
    const text = tokenizer.decode(tokens.subarray(begin, end), { skipSpecialTokens: false });
    parts.push({ text, supervised: supervised[begin] === 1 });
    begin = end;
  }
  return parts;
}

function updateBytesOf({ recipe, registries }: OwnerRun, definition: ModelDefinition, owner: string): number {
  const { tensors } = bindTuning(recipe, definition, registries);
  const travelling = bindRecipeMethod(recipe, registries).wire(tensors, 1, owner);
  return encodedUpdateBytes(bindRecipeCompression(recipe, registries), travelling);
}
