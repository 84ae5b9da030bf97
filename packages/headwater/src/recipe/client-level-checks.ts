/** Mechanism, sampling and population of privacy at the level of clients: what contradicts each other, with the nearest valid choice. */

import { mistake, type Rule } from './rule.ts';

const at = (key: string) => `privacy.clientLevel.${key}`;

const isDrawn = (value: (path: string) => unknown) => value(at('sampling')) === 'poisson';

export const CLIENT_LEVEL_RULES: readonly Rule[] = [
  ({ value }) => {
    if (value(at('treeRounds')) === undefined || value(at('mechanism')) === 'tree') return undefined;
    return mistake(at('treeRounds'), 'is for mechanism: tree');
  },
  ({ value }) => {
    const trust = value(at('trust')) ?? 'central';
    if (value(at('mechanism')) !== 'tree' || trust === 'central') return undefined;
    const message = `expected gaussian with trust: ${String(trust)}, got tree: nobody but the coordinator keeps the noise of earlier rounds; or use trust: central`;
    return mistake(at('mechanism'), message);
  },
  ({ value }) => {
    if (value(at('mechanism')) !== 'tree' || value(at('clip.kind')) !== 'adaptive') return undefined;
    const message =
      'expected fixed with mechanism: tree, got adaptive: updates of many rounds are under one noise, which is made for one length';
    return mistake(at('clip.kind'), message);
  },
  ({ value }) => {
    if (value(at('mechanism')) !== 'tree' || value('privacy.secureAggregation') === undefined)
      return undefined;
    const message =
      'excludes privacy.clientLevel.mechanism: tree: who adds the noise has to clip single updates; with masks use mechanism: gaussian and trust: distributed';
    return mistake('privacy.secureAggregation', message);
  },
  ({ value }) => {
    if (!isDrawn(value) || value('federation.cohortSize') !== undefined) return undefined;
    return mistake(
      'federation.cohortSize',
      'is required with privacy.clientLevel.sampling: poisson: how many owners are drawn on average',
    );
  },
  ({ value }) => {
    if (!isDrawn(value) || value(at('population')) !== undefined) return undefined;
    return mistake(
      at('population'),
      'is required with sampling: poisson: owners are drawn with probability cohortSize / population',
    );
  },
  ({ value }) => {
    const trust = value(at('trust')) ?? 'central';
    if (!isDrawn(value) || trust === 'central') return undefined;
    const message = `expected none with trust: ${String(trust)}, got poisson: the coordinator knows whom it drew, and noise is to hide owners from it; or use trust: central`;
    return mistake(at('sampling'), message);
  },
  ({ value }) => {
    if (!isDrawn(value) || value(at('mechanism')) !== 'tree') return undefined;
    const message =
      'expected none with mechanism: tree, got poisson: no figure is proven for both together; or use mechanism: gaussian';
    return mistake(at('sampling'), message);
  },
  ({ value }) => {
    if (!isDrawn(value) || value(at('maxParticipations')) === undefined) return undefined;
    return mistake(
      at('maxParticipations'),
      'excludes sampling: poisson: whoever was drawn often would be drawn no more, which the figure does not allow; set targetEpsilon or federation.rounds',
    );
  },
  ({ value }) => {
    if (!isDrawn(value) || value('federation.quorum') === undefined) return undefined;
    return mistake(
      'federation.quorum',
      'excludes privacy.clientLevel.sampling: poisson: a round that waits for so many tells how many were drawn; leave it out',
    );
  },
  ({ value, number }) => {
    if (!isDrawn(value) || (number('federation.overSelection') ?? 1) <= 1) return undefined;
    return mistake(
      'federation.overSelection',
      'excludes privacy.clientLevel.sampling: poisson: everybody who is drawn counts, and nobody else; raise cohortSize',
    );
  },
  ({ number }) => {
    const [population, delta] = [number(at('population')), number(at('delta'))];
    if (population === undefined || delta === undefined || delta <= 1 / population) return undefined;
    const message = `expected at most ${1 / population}, one in a population of ${population}, got ${delta}: publishing one owner as it is would count as private`;
    return mistake(at('delta'), message);
  },
  ({ number }) => {
    const [population, cohort] = [number(at('population')), number('federation.cohortSize')];
    if (population === undefined || cohort === undefined || cohort <= population) return undefined;
    return mistake(
      at('population'),
      `expected at least federation.cohortSize (${cohort}), got ${population}`,
    );
  },
];
