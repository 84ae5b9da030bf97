/**
 * Requests as OpenAI's clients send them, parsed with limits into what can be generated. What is not known or not supported
 * is refused by name, never ignored; `top_k` and `repetition_penalty` are additions under Hugging Face's names.
 */

import { z } from 'zod';
import { ApiError } from './errors.ts';

const MOST_CHOICES = 16;

/** OpenAI's clients send null for what is left to the server. */
const optional = <T extends z.ZodType>(type: T) => type.nullish().transform((value) => value ?? undefined);
const anything = z.unknown().optional();
const unsupported = (what: string) => z.unknown().refine(isNothing, `${what} not supported`).optional();

function isNothing(value: unknown): boolean {
  if (value === null || value === undefined || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

const stop = optional(
  z.union([
    z
      .string()
      .min(1)
      .transform((text) => [text]),
    z.array(z.string().min(1).max(1000)).max(16),
  ]),
).transform((list) => list ?? []);

const common = {
  model: z.string().min(1).max(1000),
  stream: optional(z.boolean()),
  stream_options: optional(
    z.strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() }),
  ),
  temperature: optional(z.number().min(0).max(2)).transform((value) => value ?? 1),
  top_p: optional(z.number().gt(0).max(1)).transform((value) => value ?? 1),
  top_k: optional(z.int().min(-1)).transform((value) => Math.max(0, value ?? 0)),
  repetition_penalty: optional(z.number().gt(0).max(10)).transform((value) => value ?? 1),
  frequency_penalty: optional(z.number().min(-2).max(2)).transform((value) => value ?? 0),
  presence_penalty: optional(z.number().min(-2).max(2)).transform((value) => value ?? 0),
  seed: optional(z.int()),
  n: optional(z.int().min(1).max(MOST_CHOICES)).transform((value) => value ?? 1),
  stop,
  logit_bias: unsupported('a bias of logits is'),
  // These say something about the caller or the operator, nothing about the text.
  user: anything,
  metadata: anything,
  store: anything,
  service_tier: anything,
  safety_identifier: anything,
  prompt_cache_key: anything,
} as const;

const textPart = z.strictObject({
  type: z.literal('text', 'only parts of type "text" are supported'),
  text: z.string(),
});
const message = z
  .strictObject({
    role: z.enum(['system', 'developer', 'user', 'assistant']),
    content: z.union([
      z.string(),
      z.array(textPart).transform((parts) => parts.map(({ text }) => text).join('')),
    ]),
    name: anything,
    refusal: anything,
    tool_calls: unsupported('tools are'),
    function_call: unsupported('functions are'),
    audio: unsupported('audio is'),
    annotations: anything,
  })
  // `developer` is the newer name; templates know `system`.
  .transform(({ role, content }) => ({ role: role === 'developer' ? 'system' : role, content }));

const chatRequest = z.strictObject({
  ...common,
  messages: z.array(message).min(1).max(4096),
  max_tokens: optional(z.int().min(1)),
  max_completion_tokens: optional(z.int().min(1)),
  logprobs: optional(z.boolean()),
  top_logprobs: optional(z.int().min(0).max(20)),
  response_format: optional(z.strictObject({ type: z.literal('text', 'only "text" is supported') })),
  modalities: optional(z.array(z.literal('text', 'only "text" is supported'))),
  tools: unsupported('tools are'),
  tool_choice: optional(z.enum(['none', 'auto'], 'tools are not supported')),
  parallel_tool_calls: anything,
  functions: unsupported('functions are'),
  function_call: unsupported('functions are'),
  audio: unsupported('audio is'),
  prediction: unsupported('predicted outputs are'),
  reasoning_effort: unsupported('reasoning effort is'),
  verbosity: unsupported('verbosity is'),
  web_search_options: unsupported('web search is'),
});

const ids = z.array(z.int().min(0)).min(1);
const completionRequest = z.strictObject({
  ...common,
  prompt: z.union([
    z.string().transform((text) => [text]),
    z.array(z.string()).min(1).max(64),
    ids.transform((tokens) => [tokens]),
    z.array(ids).min(1).max(64),
  ]),
  max_tokens: optional(z.int().min(0)).transform((value) => value ?? 16),
  logprobs: optional(z.int().min(0).max(20)),
  best_of: unsupported('best_of is'),
  echo: unsupported('echo is'),
  suffix: unsupported('a suffix is'),
});

export type ChatRequest = z.output<typeof chatRequest>;
export type CompletionRequest = z.output<typeof completionRequest>;

/** Throws ApiError 400 that names the parameter. */
export function parseChatRequest(body: unknown): ChatRequest {
  const request = parse(chatRequest, body);
  if (request.top_logprobs !== undefined && request.logprobs !== true)
    throw new ApiError(400, '"top_logprobs" needs "logprobs": true', 'top_logprobs');
  return request;
}

/** Throws ApiError 400 that names the parameter. */
export function parseCompletionRequest(body: unknown): CompletionRequest {
  return parse(completionRequest, body);
}

const adapterRequest = z.strictObject({
  name: z.string().regex(/^[\w.:/-]{1,200}$/, 'expected letters, digits and . : / _ -'),
  folder: z.string().min(1).max(4096),
});

/** Throws ApiError 400 that names the parameter. */
export function parseAdapterRequest(body: unknown): z.output<typeof adapterRequest> {
  return parse(adapterRequest, body);
}

function parse<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const result = schema.safeParse(body ?? {});
  if (result.success) return result.data;
  const issue = deepest(result.error.issues[0]!);
  if (issue.code === 'unrecognized_keys') {
    const param = [...issue.path, issue.keys[0]].join('.');
    throw new ApiError(400, `unrecognized request argument: ${param}`, param, 'unknown_parameter');
  }
  const param = issue.path.length === 0 ? null : issue.path.join('.');
  const isAbsent = issue.code === 'invalid_type' && issue.message.includes('received undefined');
  const text = isAbsent ? 'it is required' : issue.message;
  throw new ApiError(400, param === null ? text : `${param}: ${text}`, param, 'invalid_value');
}

/** Of a union, what is wrong with the alternative that came closest: its own message says more than "invalid input". */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== 'invalid_union') return issue;
  const inner = issue.errors
    .flat()
    .map((found) => deepest({ ...found, path: [...issue.path, ...found.path] }));
  return inner.reduce<z.core.$ZodIssue>((a, b) => (b.path.length > a.path.length ? b : a), issue);
}
