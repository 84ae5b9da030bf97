import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FIXTURES } from '../../../test/training-setup.ts';
import { openTextModel } from './text-model-node.ts';

it('a model writes for programs: many prompts side by side, streamed, stopped, seeded', async () => {
  const model = await openTextModel({
    model: join(FIXTURES, 'models/stories260K'),
    threads: 1,
    batchSize: 2,
  });
  const prompts = ['Once upon a', 'The big dog', 'Lily'];
  const pieces = ['', '', ''];
  const greedy = await model.generate(prompts, {
    maxNewTokens: 20,
    onPiece: ({ text }, index) => {
      pieces[index] += text;
    },
  });
  expect(greedy.map(({ text }) => text)).toEqual(pieces);
  expect(greedy[0]).toMatchObject({ reason: 'length', numTokens: 20 });
  expect(greedy[0]!.text).toMatch(/^ time/);
  const alone = await model.generate([prompts[1]!], { maxNewTokens: 20 });
  expect(alone[0]!.text).toBe(greedy[1]!.text);
  const stop = greedy[2]!.text.slice(7, 10);
  const stopped = await model.generate([prompts[2]!], { maxNewTokens: 20, stop: [stop] });
  expect(stopped[0]).toMatchObject({
    reason: 'stop',
    text: greedy[2]!.text.slice(0, greedy[2]!.text.indexOf(stop)),
  });
  const drawn = async (seed: number) =>
    (await model.generate(prompts, { maxNewTokens: 20, temperature: 1, seed })).map(({ text }) => text);
  expect(await drawn(1)).toEqual(await drawn(1));
  expect(await drawn(2)).not.toEqual(await drawn(1));
  await expect(model.generate([[{ role: 'user', content: 'Hi' }]])).rejects.toMatchObject({
    code: 'OPTION_INVALID',
  });
  await expect(model.generate(['x'], { maxNewTokens: 4000 })).rejects.toMatchObject({
    code: 'OPTION_INVALID',
  });
  await model.close();
});
