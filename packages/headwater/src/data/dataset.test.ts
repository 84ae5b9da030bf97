import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadDataset } from './dataset-node.ts';

const PACKAGE = join(import.meta.dirname, '../..');
const PARQUET = join(PACKAGE, 'test/fixtures/data');
const QA = { kind: 'prompt-completion', prompt: '{q}', completion: '{a}' };

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-data-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function load(
  name: string,
  content: string | Uint8Array,
  schema: { kind: string; [option: string]: unknown } = QA,
  columns: Parameters<typeof loadDataset>[2] = {},
) {
  await writeFile(join(folder, name), content);
  return await loadDataset({ files: name }, schema, columns, folder);
}

async function failure(promise: Promise<unknown>) {
  return await promise.then(
    () => Promise.reject(new Error('it was accepted')),
    (error: unknown) => error,
  );
}

describe('formats hold the same rows', () => {
  const expected = [
    { kind: 'completion', prompt: 'größe, "x"', completion: '1\n2' },
    { kind: 'completion', prompt: 'b', completion: 'c' },
  ];
  const rows = [
    { q: 'größe, "x"', a: '1\n2' },
    { q: 'b', a: 'c' },
  ];
  const jsonl = rows.map((row) => JSON.stringify(row)).join('\r\n\n');
  const csv = 'q,a\n"größe, ""x""","1\n2"\n\nb,c\n';

  test.each([
    ['rows.jsonl', jsonl],
    ['bom.jsonl', `\ufeff${jsonl}`],
    ['rows.ndjson.gz', gzipSync(jsonl)],
    ['rows.json', JSON.stringify(rows, null, 2)],
    ['lines.json', rows.map((row) => JSON.stringify(row)).join('\n')],
    ['rows.csv', csv],
    ['bom-crlf.csv', `\ufeffq,a\r\n"größe, ""x""","1\n2"\r\nb,c\r\n`],
    ['rows.tsv.gz', gzipSync('q\ta\n"größe, ""x"""\t"1\n2"\nb\tc\n')],
  ])('%s', async (name, content) => {
    const examples = await load(name, content);
    expect(examples.map(({ meta, ...body }) => body)).toEqual(expected);
    expect(examples[0]?.meta.where).toMatch(
      name.startsWith('rows.json') && name.endsWith('json') ? /\[0\]$/ : /:\d+$/,
    );
  });

  test('a text file is one row; the schema cuts it at a separator', async () => {
    const text = { kind: 'text', separator: '<|endoftext|>' };
    const examples = await load('stories.txt', 'One.\n<|endoftext|>\nTwo.\n<|endoftext|>\n', text);
    expect(examples.map((example) => example.kind === 'text' && example.text)).toEqual(['One.', 'Two.']);
    expect(await load('whole.txt', 'One.\n\nTwo.', { kind: 'text' })).toHaveLength(1);
  });

  test.each(['none', 'snappy', 'gzip', 'brotli', 'zstd', 'lz4'])(
    'Parquet from pyarrow, %s',
    async (codec) => {
      const files = `chats-${codec}.parquet`;
      const columns = { ownerColumn: 'site', labelColumn: 'count' };
      const examples = await loadDataset({ files }, { kind: 'messages' }, columns, PARQUET);
      expect(examples).toHaveLength(12);
      expect(examples[7]).toEqual({
        kind: 'chat',
        messages: [
          { role: 'user', content: 'Frage 7: wie groß?' },
          { role: 'assistant', content: '7 m' },
        ],
        meta: { where: `${files} row 8`, owner: 'site-1', label: '70000000000' },
      });
    },
  );
});

test('a line split over read chunks, within a character, is whole again', async () => {
  const long = 'ä'.repeat(100_000);
  const line = JSON.stringify({ q: long, a: 'x' });
  const examples = await load('long.jsonl', `${line}\n${line}\n`);
  expect(examples).toHaveLength(2);
  expect(examples.every((example) => example.kind === 'completion' && example.prompt === long)).toBe(true);
});

describe('schemas', () => {
  async function first(schema: { kind: string; [option: string]: unknown }, row: unknown) {
    const [example] = await load('one.jsonl', JSON.stringify(row), schema);
    if (example === undefined) throw new Error('no example');
    const { meta, ...body } = example;
    return body;
  }

  test('prompt-completion fills templates, as text or as chat with a system message', async () => {
    const schema = { kind: 'prompt-completion', prompt: '{{{n}}} {q}', completion: ' {ok}', system: 'S{n}' };
    const row = { n: 3, q: 'w {x}', ok: true };
    expect(await first(schema, row)).toEqual({
      kind: 'completion',
      prompt: 'S3{3} w {x}',
      completion: ' true',
    });
    expect(await first({ ...schema, chat: true }, row)).toEqual({
      kind: 'chat',
      messages: [
        { role: 'system', content: 'S3' },
        { role: 'user', content: '{3} w {x}' },
        { role: 'assistant', content: ' true' },
      ],
    });
  });

  test('alpaca has two prompts, with and without input', async () => {
    const bare = await first({ kind: 'alpaca' }, { instruction: 'Add.', output: '3' });
    const withInput = await first({ kind: 'alpaca' }, { instruction: 'Add.', input: '1, 2', output: '3' });
    expect(bare).toMatchObject({
      prompt: expect.stringMatching(/### Instruction:\nAdd\.\n\n### Response:\n$/),
    });
    expect(bare).not.toMatchObject({ prompt: expect.stringContaining('### Input') });
    expect(withInput).toMatchObject({
      prompt: expect.stringMatching(/Add\.\n\n### Input:\n1, 2\n\n### Response:\n$/),
      completion: '3',
    });
    const asChat = await first(
      { kind: 'alpaca', input: 'context', chat: true },
      { instruction: 'Add.', context: '1, 2', output: '3' },
    );
    expect(asChat).toMatchObject({ messages: [{ content: 'Add.\n\n1, 2' }, { content: '3' }] });
  });

  test('messages takes text parts and lists written as JSON text', async () => {
    const list = [
      { role: 'developer', content: 'S' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
      { role: 'assistant', content: 'c' },
    ];
    const expected = {
      kind: 'chat',
      messages: [
        { role: 'system', content: 'S' },
        { role: 'user', content: 'ab' },
        { role: 'assistant', content: 'c' },
      ],
    };
    expect(await first({ kind: 'messages' }, { messages: list })).toEqual(expected);
    expect(await first({ kind: 'messages', column: 'm' }, { m: JSON.stringify(list) })).toEqual(expected);
  });

  test('sharegpt maps its roles and puts the system column first', async () => {
    const conversations = [
      { from: 'human', value: 'q' },
      { from: 'function_call', value: 'f()' },
      { from: 'observation', value: 'o' },
      { from: 'gpt', value: 'a' },
    ];
    expect(await first({ kind: 'sharegpt' }, { conversations, system: 'S' })).toEqual({
      kind: 'chat',
      messages: [
        { role: 'system', content: 'S' },
        { role: 'user', content: 'q' },
        { role: 'assistant', content: 'f()' },
        { role: 'tool', content: 'o' },
        { role: 'assistant', content: 'a' },
      ],
    });
  });

  test.each([
    [{ kind: 'messages' }, { messages: [{ role: 'user', content: 'q' }] }, /no assistant message/],
    [
      { kind: 'messages' },
      { messages: [{ role: 'asistant', content: 'q' }] },
      /unknown role "asistant"; did you mean "assistant"/,
    ],
    [{ kind: 'messages' }, { messages: [{ role: 'user' }] }, /message 0 has no text in "content"/],
    [{ kind: 'messages' }, { messages: 'hello' }, /holds a string, a list of messages was expected/],
    [{ kind: 'messages' }, { message: [] }, /no column "messages"; did you mean "message"/],
    [{ kind: 'alpaca' }, { instruction: 'x', output: ' ' }, /"output" is empty/],
    [{ kind: 'alpaca' }, { instruction: null, output: 'x' }, /"instruction" holds null, a text was expected/],
    [{ kind: 'prompt-completion' }, { prompt: 'x', completion: '' }, /completion is empty/],
    [{ kind: 'text' }, { text: '\n' }, /"text" is empty/],
  ])('%j refuses %j', async (schema, row, message) => {
    const error = await failure(load('bad.jsonl', JSON.stringify(row), schema));
    expect(error).toMatchObject({
      code: 'DATA_INVALID',
      where: 'bad.jsonl:1',
      message: expect.stringMatching(message),
    });
  });
});

describe('owners and labels', () => {
  test('come from columns or from the file name', async () => {
    const rows = '{"q":"a","a":"b","site":"north","kind":7}';
    const [byColumn] = await load('x.jsonl', rows, QA, { ownerColumn: 'site', labelColumn: 'kind' });
    expect(byColumn?.meta).toEqual({ where: 'x.jsonl:1', owner: 'north', label: '7' });
    const [byFile] = await load('clinic-3.v2.jsonl.gz', gzipSync(rows), QA, { ownerByFile: true });
    expect(byFile?.meta.owner).toBe('clinic-3.v2');
  });

  test('a missing or empty owner is a mistake with its place', async () => {
    const rows = '{"q":"a","a":"b","site":"n"}\n{"q":"a","a":"b","site":" "}\n{"q":"a","a":"b"}';
    const error = await failure(load('o.jsonl', rows, QA, { ownerColumn: 'site' }));
    expect(error).toMatchObject({
      message: expect.stringMatching(/o\.jsonl:2: .*empty[\s\S]*o\.jsonl:3: .*no column "site"/),
    });
  });
});

describe('bad files', () => {
  test('the first few mistakes come together, equal ones counted, with file and line', async () => {
    const rows = [
      '{"q":"a","a":"b"}',
      '{"q":"a",',
      '{"Q":"a","a":"b"}',
      '[1]',
      '{"Q":"x","a":"b"}',
      '{"q":"a"}',
    ];
    const error = await failure(load('m.jsonl', rows.join('\n')));
    const { message } = error as Error;
    expect(error).toMatchObject({ code: 'DATA_INVALID' });
    expect(message).toMatch(/m\.jsonl:2: this line is no JSON/);
    expect(message).toMatch(/m\.jsonl:3 \(and 1 more\): there is no column "q"; did you mean "Q"\?/);
    expect(message).toMatch(/m\.jsonl:4: this is a list, an object with columns was expected/);
    expect(message).toMatch(/m\.jsonl:6: there is no column "a"/);
  });

  test.each([
    ['empty.jsonl', '', /^the file holds no rows$/, 'empty.jsonl'],
    ['blank.jsonl', '\n\n', /^the file holds no rows$/, 'blank.jsonl'],
    ['header.csv', 'q,a\n', /^the file holds no rows$/, 'header.csv'],
    ['empty.json', '[]', /^the file holds no rows$/, 'empty.json'],
    ['empty.parquet', '', /^the file holds no rows$/, 'empty.parquet'],
    ['cut.json', '[\n {"q": "a", "a": "b"},\n {"q": ', /^this is no JSON/, 'cut.json'],
    ['comma.json', '[\n {"q": "a",, "a": "b"}\n]', /^this is no JSON/, 'comma.json:2'],
    ['object.json', '{"data": []}', /holds an object, an array of objects/, 'object.json'],
    ['ragged.csv', 'q,a\n1,2\n1,2,3\n', /the row has 3 fields, the header has 2/, 'ragged.csv:3'],
    ['quote.csv', 'q,a\n"1,2\n', /[Qq]uote/, 'quote.csv:2'],
    ['latin1.jsonl', Buffer.from('{"q":"gr\xf6\xdfe","a":"b"}', 'latin1'), /no UTF-8/, 'latin1.jsonl:1'],
    ['utf16.csv', Buffer.from('\ufeffq,a\n1,2\n', 'utf16le'), /no UTF-8/, 'utf16.csv'],
    ['bad.parquet', 'PAR1 nonsense PAR1', /no readable Parquet/, 'bad.parquet'],
    [
      'cut.jsonl.gz',
      gzipSync('{"q":"a","a":"b"}'.repeat(50)).subarray(0, 40),
      /gzip archive is cut/,
      'cut.jsonl.gz',
    ],
    ['plain.jsonl.gz', '{"q":"a","a":"b"}', /gzip archive is cut or damaged/, 'plain.jsonl.gz'],
    ['what.xyz', 'x', /ending does not say the format/, 'what.xyz'],
  ])('%s', async (name, content, message, where) => {
    const error = await failure(load(name, content));
    expect(error).toMatchObject({ code: 'DATA_INVALID', where: expect.stringContaining(where) });
    expect((error as Error).message).toMatch(message);
  });

  test('an empty file beside a good one is still a mistake', async () => {
    await writeFile(join(folder, 'good.jsonl'), '{"q":"a","a":"b"}');
    await writeFile(join(folder, 'none.jsonl'), '');
    const both = loadDataset({ files: ['good.jsonl', 'none.jsonl'] }, QA, {}, folder);
    expect(await failure(both)).toMatchObject({ where: 'none.jsonl', code: 'DATA_INVALID' });
  });

  test('a missing file and a folder are DATA_NOT_FOUND', async () => {
    for (const files of ['absent.jsonl', '.']) {
      const error = await failure(loadDataset({ files, format: 'jsonl' }, QA, {}, folder));
      expect(error).toMatchObject({ code: 'DATA_NOT_FOUND' });
    }
  });

  test('unknown schema, option and format are named with a guess', async () => {
    await expect(load('x.jsonl', '{}', { kind: 'shareGTP' })).rejects.toThrow(/did you mean "sharegpt"/);
    await expect(load('x.jsonl', '{}', { kind: 'text', colum: 'x' })).rejects.toThrow(/colum/);
    const wrong = loadDataset({ files: 'x.jsonl', format: 'jsonk' }, QA, {}, folder);
    await expect(wrong).rejects.toThrow(/unknown format "jsonk"; did you mean/);
  });
});

describe('shipped data', () => {
  const assets = join(PACKAGE, 'assets');

  test('CLINC150: ten domains of fifteen intents, thirty test rows each', async () => {
    const schema = { kind: 'prompt-completion', prompt: '{text}', completion: '{intent}', chat: true };
    const columns = { ownerColumn: 'domain', labelColumn: 'intent' };
    const examples = await loadDataset({ files: 'clinc150/test.csv' }, schema, columns, assets);
    expect(examples).toHaveLength(4500);
    expect(new Set(examples.map(({ meta }) => meta.owner)).size).toBe(10);
    expect(new Set(examples.map(({ meta }) => `${meta.owner}/${meta.label}`)).size).toBe(150);
  });

  test('MedQuAD: nine sites, no document in two splits', async () => {
    const seen = new Map<string, string>();
    const sites = new Set<string | undefined>();
    for (const split of ['train', 'validation', 'test']) {
      const columns = { ownerColumn: 'site', labelColumn: 'document' };
      const schema = { kind: 'prompt-completion', prompt: '{question}', completion: '{answer}' };
      const examples = await loadDataset({ files: `medquad/${split}.jsonl.gz` }, schema, columns, assets);
      for (const { meta } of examples) {
        const document = `${meta.owner}/${meta.label}`;
        expect(seen.get(document) ?? split).toBe(split);
        seen.set(document, split);
        sites.add(meta.owner);
      }
    }
    expect(sites.size).toBe(9);
  });
});

test('a column of options comes along for multiple choice, as a list or as its JSON text', async () => {
  const columns = { optionsColumn: 'choices' };
  const expected = ['x', '2'];
  const jsonl = await load('mc.jsonl', '{"q":"?","a":"x","choices":["x",2]}', QA, columns);
  const csv = await load('mc.csv', 'q,a,choices\n?,x,"[""x"",2]"\n', QA, columns);
  for (const examples of [jsonl, csv]) expect(examples[0]?.meta.options).toEqual(expected);
  expect(await failure(load('mc2.jsonl', '{"q":"?","a":"x","choices":["x"]}', QA, columns))).toMatchObject({
    code: 'DATA_INVALID',
  });
});
