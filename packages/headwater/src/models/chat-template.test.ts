import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeChatTemplate } from './chat-template.ts';
import { strftime } from './strftime.ts';
import { loadTokenizer } from './tokenizer-node.ts';

const FOLDER = join(import.meta.dirname, '../../test/fixtures/chat-templates');
const SEED = join(import.meta.dirname, '../../assets/seed-lm-7m');

interface GoldenCase {
  readonly template: string;
  readonly conversation: string;
  readonly tools: boolean;
  readonly variables: Record<string, unknown>;
  readonly addGenerationPrompt: boolean;
  readonly text?: string;
  readonly error?: string;
}
interface Goldens {
  readonly nowMs: number;
  readonly specialTokens: Record<string, string>;
  readonly tools: unknown[];
  readonly conversations: Record<string, { role: string }[]>;
  readonly cases: GoldenCase[];
}

const goldens = JSON.parse(await readFile(join(FOLDER, 'goldens.json'), 'utf8')) as Goldens;
const clock = { nowMs: () => goldens.nowMs };
const specialTokens = new Map(Object.entries(goldens.specialTokens));
const names = [...new Set(goldens.cases.map(({ template }) => template))];

/** SmolLM3 writes tools with Python's repr of a dict, which the Jinja engine does not have. */
const knownGap = (item: GoldenCase) => item.template === 'config-smollm3' && item.tools;

describe.each(names)('%s renders as in transformers', async (name) => {
  const source = await readFile(join(FOLDER, 'templates', `${name}.jinja`), 'utf8');
  const template = makeChatTemplate(source, { specialTokens, clock, where: name });
  const cases = goldens.cases.filter((item) => item.template === name && !knownGap(item));
  const render = (item: GoldenCase) =>
    template.render(goldens.conversations[item.conversation] ?? [], {
      addGenerationPrompt: item.addGenerationPrompt,
      variables: item.variables,
      ...(item.tools ? { tools: goldens.tools } : {}),
    });

  test('the same text for every conversation', () => {
    const rendered = cases.filter((item) => item.text !== undefined);
    expect(rendered.length).toBeGreaterThan(0);
    for (const item of rendered) expect(render(item), item.conversation).toBe(item.text);
  });

  test('the same refusals', () => {
    for (const item of cases.filter(({ error }) => error !== undefined)) {
      const undefinedName = item.error?.includes('is undefined') === true;
      expect(() => render(item)).toThrow(
        expect.objectContaining({
          code: undefinedName ? 'TOKENIZER_INVALID' : 'DATA_INVALID',
          message: expect.stringContaining(undefinedName ? 'undefined' : (item.error ?? '')),
        }),
      );
    }
  });
});

describe('named templates', () => {
  const sources = new Map([
    ['default', 'plain'],
    ['tool_use', 'with {{ tools | length }} tools'],
  ]);
  const template = makeChatTemplate(sources, { specialTokens, clock, where: 'model' });

  test('tools choose tool_use, a name chooses itself, an unknown name is an error', () => {
    expect(template.render([])).toBe('plain');
    expect(template.render([], { tools: [{}, {}] })).toBe('with 2 tools');
    expect(template.render([], { template: 'default', tools: [{}] })).toBe('plain');
    expect(() => template.render([], { template: 'tool_uze' })).toThrow(/did you mean "tool_use"/);
  });
});

test('a broken template harms only who renders it', () => {
  const template = makeChatTemplate('{% if %}', { specialTokens, clock, where: 'model' });
  expect(() => template.render([])).toThrow(expect.objectContaining({ code: 'TOKENIZER_INVALID' }));
});

test('strip with characters follows Python, in any position of a template', () => {
  const source =
    "{{ '..a.b..'.strip('.') }}|{{ 'xxa'.lstrip('x') + 'bxy'.rstrip('yx') }}|{{ ' c '.strip() }}";
  expect(makeChatTemplate(source, { specialTokens, clock, where: 'model' }).render([])).toBe('a.b|ab|c');
});

test('strftime knows the directives of dates and times and leaves others alone', () => {
  const noon = Date.UTC(2024, 1, 29, 12, 3, 4);
  expect(strftime(noon, '%A %a %d %B %b %Y %y %H:%M:%S %I %p day %j 100%% %Q')).toBe(
    'Thursday Thu 29 February Feb 2024 24 12:03:04 12 PM day 060 100% %Q',
  );
});

describe('where a folder keeps its template', () => {
  async function folderWith(files: Record<string, string>): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'headwater-chat-'));
    const tokenizer = await readFile(join(SEED, 'tokenizer.json'));
    await writeFile(join(folder, 'tokenizer.json'), tokenizer);
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    return folder;
  }

  test.each([
    [
      'chat_template.jinja wins',
      { 'chat_template.jinja': 'J', 'tokenizer_config.json': '{"chat_template":"C"}' },
      'J',
    ],
    ['tokenizer_config.json', { 'tokenizer_config.json': '{"chat_template":"C"}' }, 'C'],
    [
      'a list of named ones',
      { 'tokenizer_config.json': '{"chat_template":[{"name":"default","template":"L"}]}' },
      'L',
    ],
    ['chat_template.json', { 'chat_template.json': '{"chat_template":"S"}' }, 'S'],
    ['none', {}, undefined],
  ])('%s', async (_, files, expected) => {
    const folder = await folderWith(files);
    const { chatTemplate } = await loadTokenizer(folder, clock);
    expect(chatTemplate?.render([])).toBe(expected);
    await rm(folder, { recursive: true });
  });
});
