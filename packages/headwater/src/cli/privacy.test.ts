import { afterEach, expect, test, vi } from 'vitest';
import { privacyCommand } from './privacy.ts';

afterEach(() => vi.restoreAllMocks());

async function printed(...args: string[]): Promise<string> {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  await privacyCommand().parseAsync(args, { from: 'user' });
  return log.mock.calls.map(([text]) => text).join('\n');
}

const ROUNDS = ['--steps', '20', '--delta', '1e-5', '--sampling-rate', '0.1'];

test('epsilon says what it means, towards whom, and whose bound counts', async () => {
  const text = await printed('epsilon', '--noise-multiplier', '1.5', ...ROUNDS);
  expect(text).toMatch(/for each client: whether one client was there or not makes anything/);
  expect(text).toMatch(/counts on nobody knowing who was sampled. To whoever knows, ε is 16\.5420/);
  expect(text).toMatch(/privacy random variables +[\d.]+ +[\d.]+ +← counts/);
});

test('noise keeps the promise, and epsilon of that noise says so', async () => {
  const found = JSON.parse(await printed('noise', '--epsilon', '2', '--json', ...ROUNDS));
  expect(found.epsilon).toBeLessThanOrEqual(2);
  vi.restoreAllMocks();
  const noise = String(found.noiseMultiplier);
  const again = JSON.parse(await printed('epsilon', '--noise-multiplier', noise, '--json', ...ROUNDS));
  expect(again).toEqual(found);
});

test.each([
  [['--tree', ...ROUNDS], /no bound is proven/],
  [['--sample-size', '3', ...ROUNDS], /a round samples one way/],
  [['--sample-size', '3', '--steps', '2', '--delta', '1e-5'], /of how many/],
  [['--neighbours', 'zero-out', ...ROUNDS], /proven for add-remove only/],
  [['--population', '1000000', ...ROUNDS], /more than 1 in 1000000/],
])('%j is refused', async (args, reason) => {
  await expect(printed('epsilon', '--noise-multiplier', '1', ...args)).rejects.toThrow(reason);
});
