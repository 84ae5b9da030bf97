/**
 * `headwater chat`: a conversation in the terminal through the model's own chat template. What was said before is not
 * computed again; Ctrl-C ends an answer, a second one the program. Piped, every line is a turn.
 */

import { createInterface, type Interface } from 'node:readline';
import { Command } from 'commander';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { type ChatMessage, chatTokens, endTokens, textTokens } from '../models/prompt-tokens.ts';
import type { Generator } from '../training/generation/generator.ts';
import { type GeneratedText, submitText } from '../training/generation/text.ts';
import { CHAT_HELP, type Conversation, createConversation } from './conversation.ts';
import { type OpenedModel, openModel } from './open-model.ts';
import { wholeNumber } from './options.ts';
import { samplingOf, type WritingOptions, withWritingOptions } from './sampling-options.ts';
import { paint } from './style.ts';
import { weightedAdapterOption } from './weighted-adapters.ts';

interface ChatOptions extends WritingOptions {
  readonly adapter?: readonly string[];
  readonly system?: string;
  readonly maxNewTokens: number;
  readonly contextLength: number;
}

export function chatCommand(): Command {
  const command = new Command('chat')
    .description('talk with a model in the terminal; each line is a turn, /help lists what else there is')
    .argument('<model>', 'folder or hub id owner/name')
    .addOption(weightedAdapterOption('PEFT adapter to apply, with its weight; may be repeated'))
    .option('--system <text>', 'system message')
    .option('--max-new-tokens <n>', 'end an answer after so many tokens', wholeNumber, 512)
    .option('--context-length <n>', 'tokens of the whole conversation', wholeNumber, 4096);
  return withWritingOptions(command, { temperature: 0.7, topP: 0.95 }).action(chat);
}

/** What a turn needs, whatever was said before. */
interface Talk {
  readonly opened: OpenedModel;
  readonly generator: Generator;
  readonly maxTokens: number;
  readonly options: ChatOptions;
  /** The answer under way, if there is one. */
  cancel: (() => void) | undefined;
  numTurns: number;
}

async function chat(source: string, options: ChatOptions): Promise<void> {
  const { adapter: adapters, device, prepack } = options;
  const opened = await openModel({ model: source, adapters, device, prepack });
  const { maxPositionEmbeddings } = opened.model.definition.shape;
  const maxTokens = Math.min(options.contextLength, maxPositionEmbeddings);
  const generator = opened.engine.openGenerator(opened.params, { batchSize: 1, maxTokens });
  const talk: Talk = { opened, generator, maxTokens, options, cancel: undefined, numTurns: 0 };
  if (opened.chatTemplate === undefined) {
    const hint = 'the model has no chat template: it continues what you write, every line on its own';
    process.stderr.write(`${paint.warn(hint)}\n`);
  }
  const conversation = createConversation(options.system);
  const isTerminal = process.stdin.isTTY === true;
  if (isTerminal) process.stderr.write(`${paint.dim('/help lists commands, Ctrl-D leaves')}\n`);
  const lines = createInterface({
    input: process.stdin,
    ...(isTerminal ? { output: process.stderr, prompt: '> ' } : {}),
  });
  const stopListening = onInterrupt(talk, lines);
  try {
    await talkUntilEnd(talk, conversation, lines, isTerminal);
  } finally {
    stopListening();
    lines.close();
    await opened.close();
  }
}

/** The first Ctrl-C ends the answer; where there is none, the program. */
function onInterrupt(talk: Talk, lines: Interface): () => void {
  const stop = () => {
    if (talk.cancel === undefined) process.exit(130);
    talk.cancel();
    talk.cancel = undefined;
  };
  // A terminal in raw mode tells readline, a signal from elsewhere tells the process.
  lines.on('SIGINT', stop);
  process.on('SIGINT', stop);
  return () => process.off('SIGINT', stop);
}

async function talkUntilEnd(
  talk: Talk,
  conversation: Conversation,
  lines: Interface,
  isTerminal: boolean,
): Promise<void> {
  if (isTerminal) lines.prompt();
  for await (const line of lines) {
    try {
      const said = conversation.take(line);
      if (said.kind === 'leave') return;
      if (said.kind === 'note') process.stderr.write(`${paint.dim(said.text)}\n`);
      if (said.kind === 'help') process.stderr.write(`${CHAT_HELP}\n`);
      if (said.kind === 'turn') await answer(talk, conversation, said.text);
    } catch (cause) {
      // A mistake of one turn ends a pipe, not a conversation.
      if (!isTerminal || !(cause instanceof HeadwaterError)) throw cause;
      process.stderr.write(`${paint.bad(messageOf(cause))}\n`);
    }
    if (isTerminal) lines.prompt();
  }
}

async function answer(talk: Talk, conversation: Conversation, text: string): Promise<void> {
  const { opened } = talk;
  const isChat = opened.chatTemplate !== undefined;
  const messages: ChatMessage[] = [...conversation.messages(), { role: 'user', content: text }];
  const prompt = isChat ? chatTokens(opened, messages) : textTokens(opened, text);
  const result = await generate(talk, prompt, !isChat);
  if (isChat) conversation.said(text, result.text);
  const { reason } = result;
  if (reason !== 'stop')
    process.stderr.write(paint.dim(reason === 'length' ? '(cut here)\n' : '(stopped)\n'));
}

async function generate(talk: Talk, prompt: Int32Array, continues: boolean): Promise<GeneratedText> {
  const { generator, opened, options, maxTokens } = talk;
  const room = maxTokens - prompt.length;
  if (room < 1)
    throw new HeadwaterError('OPTION_INVALID', `the conversation fills the ${maxTokens} tokens of context`, {
      hint: '/reset begins a new one.',
    });
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 32);
  const pending = submitText(generator, opened.tokenizer, {
    prompt,
    options: {
      ...samplingOf(options),
      maxNewTokens: Math.min(options.maxNewTokens, room),
      stopTokenIds: endTokens(opened),
      seedPath: [seed, 'chat', talk.numTurns++],
    },
    stop: options.stop,
    continues,
    onPiece: (piece) => process.stdout.write(piece.text),
  });
  talk.cancel = pending.cancel;
  while (!generator.isIdle()) {
    await generator.step();
    // Where everything is computed in this thread, signals come in between.
    await new Promise((next) => setImmediate(next));
  }
  talk.cancel = undefined;
  const result = await pending.done;
  process.stdout.write('\n');
  return result;
}
