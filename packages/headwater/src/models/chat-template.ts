/**
 * Chats → text by the model's own Jinja template, rendered as transformers' `apply_chat_template` does. It knows no
 * tokens: begin and end tokens reach the template as text.
 */

import { Environment, Interpreter, Template } from '@huggingface/jinja';
import type { Clock } from '../base/clock.ts';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { didYouMean } from '../base/suggest.ts';
import { stripFunctions, withStripArguments } from './jinja-strip.ts';
import { strftime } from './strftime.ts';

/** One template, or several by name (`default`, `tool_use`, `rag` …). */
export type ChatTemplateSource = string | ReadonlyMap<string, string>;

export interface RenderOptions {
  /** Append what begins the assistant's turn. Default false. */
  readonly addGenerationPrompt?: boolean;
  /** Name of one of several templates; omitted: `tool_use` when tools are given, else `default`. */
  readonly template?: string;
  readonly tools?: readonly unknown[];
  readonly documents?: readonly unknown[];
  /** Further variables of the template (`enable_thinking` …). */
  readonly variables?: Readonly<Record<string, unknown>>;
}

export interface ChatTemplate {
  /**
   * Throws DATA_INVALID when the template refuses this conversation (`raise_exception`), TOKENIZER_INVALID when the
   * template itself is broken.
   */
  render(messages: readonly { readonly role: string }[], options?: RenderOptions): string;
}

export interface ChatTemplateContext {
  /** `bos_token` → `<s>` …; absent names are undefined in the template. */
  readonly specialTokens: ReadonlyMap<string, string>;
  /** For templates that write today's date (UTC, so that machines agree). */
  readonly clock: Clock;
  /** For messages. */
  readonly where: string;
}

/** Templates are parsed on first use: a broken one that nobody renders harms nobody. */
export function makeChatTemplate(source: ChatTemplateSource, context: ChatTemplateContext): ChatTemplate {
  const sources = typeof source === 'string' ? new Map([['default', source]]) : source;
  const parsed = new Map<string, Template>();

  function templateFor(options: RenderOptions): Template {
    const name = chooseName(sources, options, context.where);
    const known = parsed.get(name);
    if (known !== undefined) return known;
    const template = parseTemplate(sources.get(name) as string, context.where);
    parsed.set(name, template);
    return template;
  }
  return {
    render: (messages, options = {}) => renderWith(templateFor(options), messages, options, context),
  };
}

function chooseName(sources: ReadonlyMap<string, string>, options: RenderOptions, where: string): string {
  const wanted = options.template ?? (options.tools && sources.has('tool_use') ? 'tool_use' : 'default');
  if (sources.has(wanted)) return wanted;
  throw new HeadwaterError(
    'TOKENIZER_INVALID',
    `there is no chat template "${wanted}"; ${didYouMean(wanted, [...sources.keys()])}`,
    { where },
  );
}

function parseTemplate(source: string, where: string): Template {
  try {
    // Jinja2 reads every line ending as \n.
    const template = new Template(source.replaceAll(/\r\n?/g, '\n'));
    template.parsed = withStripArguments(template.parsed);
    return template;
  } catch (cause) {
    throw brokenTemplate(cause, where);
  }
}

/** What `raise_exception` of a template throws: the conversation is at fault, not the template. */
class Refused extends Error {}

function renderWith(
  template: Template,
  messages: readonly { readonly role: string }[],
  options: RenderOptions,
  { specialTokens, clock, where }: ChatTemplateContext,
): string {
  const variables = {
    ...pythonGlobals(clock),
    ...stripFunctions,
    ...Object.fromEntries(specialTokens),
    messages,
    tools: options.tools ?? null,
    documents: options.documents ?? null,
    add_generation_prompt: options.addGenerationPrompt ?? false,
    ...options.variables,
  };
  try {
    return interpret(template, variables);
  } catch (cause) {
    if (!(cause instanceof Refused)) throw brokenTemplate(cause, where);
    throw new HeadwaterError(
      'DATA_INVALID',
      `the model's chat template refuses this chat: ${cause.message}`,
      {
        where,
        cause,
        hint: 'Check the roles and their order, or choose a schema without chat.',
      },
    );
  }
}

/** `Template.render` without its globals, which cannot be replaced: its date follows the machine's language and zone. */
function interpret(template: Template, variables: Readonly<Record<string, unknown>>): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries(variables)) environment.set(name, value);
  const result: unknown = new Interpreter(environment).run(template.parsed).value;
  return String(result);
}

function pythonGlobals(clock: Clock): Record<string, unknown> {
  return {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    range: pythonRange,
    raise_exception: (message: string) => {
      throw new Refused(message);
    },
    strftime_now: (format: string) => strftime(clock.nowMs(), format),
  };
}

function pythonRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  return Array.from({ length }, (_, i) => start + i * step);
}

function brokenTemplate(cause: unknown, where: string): HeadwaterError {
  const reason = messageOf(cause);
  return new HeadwaterError('TOKENIZER_INVALID', `the chat template cannot be rendered: ${reason}`, {
    where,
    cause,
  });
}
