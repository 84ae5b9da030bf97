import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FIXTURES } from '../../test/training-setup.ts';

const BIN = join(import.meta.dirname, '../../bin/headwater.js');
const STORIES = join(FIXTURES, 'models/stories260K');
let model: string;

beforeAll(() => {
  model = mkdtempSync(join(tmpdir(), 'chat-model-'));
  cpSync(STORIES, model, { recursive: true });
  const file = join(model, 'tokenizer_config.json');
  const chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:";
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), chat_template }));
});

afterAll(() => rmSync(model, { recursive: true }));

function chat(folder: string, input: string, ...options: string[]) {
  const args = [BIN, 'chat', folder, '--temperature', '0', '--max-new-tokens', '12', ...options];
  return spawnSync(process.execPath, args, { input, encoding: 'utf8', timeout: 60_000 });
}

it('a piped chat answers every line, remembers what was said, and saves it', () => {
  const saved = join(model, 'chat.jsonl');
  const { stdout, stderr, status } = chat(
    model,
    `The big red cat\nOnce\n/save ${saved}\n`,
    '--system',
    'Tell stories.',
  );
  expect(stderr).toContain('saved 2 turns');
  expect(status).toBe(0);
  const { messages } = JSON.parse(readFileSync(saved, 'utf8')) as {
    messages: { role: string; content: string }[];
  };
  expect(messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'user', 'assistant']);
  const answers = messages.filter(({ role }) => role === 'assistant').map(({ content }) => content);
  expect(stdout).toBe(`${answers.join('\n')}\n`);
  // Without its past the second question has another answer.
  expect(chat(model, 'Once\n', '--system', 'Tell stories.').stdout).not.toBe(`${answers[1]}\n`);
});

it('a model without a template continues lines, a mistake ends the pipe with its code', () => {
  const plain = chat(STORIES, 'Once upon a\n');
  expect(plain.stdout).toMatch(/^ time/);
  expect(plain.stderr).toContain('no chat template');
  const mistaken = chat(model, '/sava x\n');
  expect(mistaken.status).toBe(1);
  expect(mistaken.stderr).toContain('did you mean "save"');
});
