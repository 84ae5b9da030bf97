/** Other answers and longer prompts for the same example: for data that somebody tampered with, and for measuring that. */

import type { ChatMessage, Example } from './types.ts';

/** What the example teaches to answer; undefined: it is text without a question. */
export function answerIn(example: Example): string | undefined {
  switch (example.kind) {
    case 'completion':
      return example.completion;
    case 'chat':
      return example.messages.at(-1)?.content;
    case 'classification':
      return example.label;
    case 'text':
      return undefined;
  }
}

/** Text without a question stays as it is. */
export function answeringWith(example: Example, answer: string): Example {
  switch (example.kind) {
    case 'completion':
      return { ...example, completion: answer };
    case 'chat':
      return {
        ...example,
        messages: [...example.messages.slice(0, -1), { role: 'assistant', content: answer }],
      };
    case 'classification':
      return { ...example, label: answer };
    case 'text':
      return example;
  }
}

/** With a phrase at the end of what is asked. */
export function askedWith(example: Example, phrase: string): Example {
  switch (example.kind) {
    case 'completion':
      return { ...example, prompt: beforeTrailingSpace(example.prompt, phrase) };
    case 'chat':
      return { ...example, messages: withPhrase(example.messages, phrase) };
    case 'classification':
      return { ...example, text: `${example.text} ${phrase}` };
    case 'text':
      return example;
  }
}

/** Of the last message that is not the answer. */
function withPhrase(messages: readonly ChatMessage[], phrase: string): ChatMessage[] {
  const asked = messages.length - 2;
  return messages.map((message, i) =>
    i === asked ? { ...message, content: `${message.content} ${phrase}` } : message,
  );
}

/** White space that separates a prompt from its completion stays where it is. */
function beforeTrailingSpace(prompt: string, phrase: string): string {
  const text = prompt.trimEnd();
  return `${text} ${phrase}${prompt.slice(text.length)}`;
}
