import { expect, it } from 'vitest';
import { href, parseHash } from './router.ts';

it.each([
  [['runs', 'a.b-c'], { runs: 'x,y' }],
  [['runs', 'with space/slash'], {}],
  [[], {}],
])('an address leads back to %j', (parts, query) => {
  const route = parseHash(href(parts, query));
  expect(route.parts).toEqual(parts);
  expect(Object.fromEntries(route.query)).toEqual(query);
});

it('what somebody typed does not break it', () => {
  expect(parseHash('#/runs/100%').parts).toEqual(['runs', '100%']);
  expect(parseHash('').parts).toEqual([]);
});
