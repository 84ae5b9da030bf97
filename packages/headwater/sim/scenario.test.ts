import { describe, expect, it } from 'vitest';
import { drawScenario } from './scenario.ts';

const scenarios = Array.from({ length: 300 }, (_, seed) => drawScenario(seed));

describe('scenarios', () => {
  it('are functions of the seed', () => {
    expect(drawScenario(7)).toEqual(drawScenario(7));
    expect(drawScenario(7)).not.toEqual(drawScenario(8));
  });

  it('leave enough owners on whom a run may rely', () => {
    for (const { owners, recipe } of scenarios) {
      const reliable = owners.filter(
        ({ misbehaves, leavesAtMs }) => misbehaves === null && leavesAtMs === null,
      );
      expect(reliable.length).toBeGreaterThanOrEqual(recipe.minOwners);
      expect(reliable.length).toBeGreaterThanOrEqual(recipe.quorum ?? owners.length);
    }
  });

  it('cover every mode, shape and fault', () => {
    const share = (holds: (scenario: (typeof scenarios)[number]) => boolean) =>
      scenarios.filter(holds).length / scenarios.length;
    const kinds: Record<string, (scenario: (typeof scenarios)[number]) => boolean> = {
      buffered: ({ recipe }) => recipe.pace.mode === 'buffered',
      synchronous: ({ recipe }) => recipe.pace.mode === 'synchronous',
      'over-selection': ({ recipe }) =>
        (recipe.pace.asked ?? 0) > (recipe.cohortSize ?? Number.POSITIVE_INFINITY),
      'a quorum below the cohort': ({ recipe }) => (recipe.quorum ?? 99) < (recipe.cohortSize ?? 0),
      exact: ({ exact }) => exact,
      embedded: ({ topology }) => topology === 'embedded',
      'several coordinators': ({ coordinators }) => coordinators > 1,
      'crash of a server': ({ crashes }) => crashes.some(({ process }) => !process.startsWith('site')),
      'crash of a client': ({ crashes }) => crashes.some(({ process }) => process.startsWith('site')),
      partition: ({ partitions }) => partitions.length > 0,
      stall: ({ stalls }) => stalls.length > 0,
      'no space': ({ fullDisk }) => fullDisk.length > 0,
      misbehaviour: ({ owners }) => owners.some(({ misbehaves }) => misbehaves !== null),
      'never returns': ({ owners }) => owners.some(({ leavesAtMs }) => leavesAtMs !== null),
      'lost state': ({ owners }) => owners.some(({ losesStateAtMs }) => losesStateAtMs !== null),
      'wrong clock': ({ owners }) => owners.some(({ clockOffsetMs }) => clockOffsetMs !== 0),
      operator: ({ operator }) => operator.length > 0,
      adversary: ({ adversary }) => adversary,
      'fresh noise': ({ recipe: { privacy } }) =>
        privacy !== undefined && privacy.tree === undefined && privacy.poisson === undefined,
      'noise in a tree': ({ recipe }) => recipe.privacy?.tree !== undefined,
      'secret cohorts': ({ recipe }) => recipe.privacy?.poisson !== undefined,
      'masks that owners open': ({ recipe }) => recipe.secureAggregation?.mode === 'secagg-plus',
      'masks that a helper opens': ({ recipe }) => recipe.secureAggregation?.mode === 'two-server',
    };
    for (const [name, holds] of Object.entries(kinds)) expect(share(holds), name).toBeGreaterThan(0.04);
  });
});
