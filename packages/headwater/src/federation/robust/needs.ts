/**
 * What a robust rule asks of a run before it starts: enough updates for the bad ones it is to bear, a method that averages, and
 * nothing that a rule cannot honour. Each refusal says what to choose instead. It knows no rule and no method by name.
 */

import { numGroupsOf } from '../../privacy/secure-aggregation/graph.ts';
import type { BoundMethod, RunFacts } from '../method.ts';
import type { BoundRule } from './rule.ts';

/** One sentence for each. `method`: without the rule. */
export function ruleMistakes(method: BoundMethod, rule: BoundRule, facts: RunFacts): string[] {
  return [
    ...methodMistakes(method, facts),
    ...runMistakes(rule, facts),
    // Of updates, or of groups where it is over their means.
    ...numberMistakes(rule, numGroups(facts)),
  ].map((mistake) => `federation.robust: ${rule.id} ${mistake}`);
}

const INSTEAD = 'choose a method that averages, as docs/methods.md tells, or robust: none';

function methodMistakes(method: BoundMethod, { tensors, ownerNames }: RunFacts): string[] {
  const { id, combine, serverTrain } = method;
  if (combine !== undefined)
    return [`takes the place of a mean, but ${id} has a rule of its own over whole updates; ${INSTEAD}`];
  if (serverTrain !== undefined)
    return [`takes the place of a mean, but the server of ${id} trains on what it was sent; ${INSTEAD}`];
  const [first = '', ...others] = (ownerNames ?? ['a', 'b']).slice(0, OWNERS_LOOKED_AT);
  for (const round of [1, 2]) {
    const sent = describe(method, tensors, round, first);
    if (others.some((owner) => describe(method, tensors, round, owner) !== sent))
      return [`compares updates, but by ${id} owners send different tensors; ${INSTEAD}`];
    const mixed = foreignTensor(method, tensors, round);
    if (mixed !== undefined)
      return [
        `measures updates as one vector, but ${id} also sends what is no update of a trained tensor ("${mixed}"), of another scale; ${INSTEAD}`,
      ];
  }
  return [];
}

const OWNERS_LOOKED_AT = 64;

function describe(method: BoundMethod, tensors: RunFacts['tensors'], round: number, owner: string): string {
  return method
    .wire(tensors, round, owner)
    .map(({ name, shape }) => `${name} ${shape.join()}`)
    .join('; ');
}

/** Beside updates of trained tensors; where nothing else travels, that is what the mean is of. */
function foreignTensor(method: BoundMethod, tensors: RunFacts['tensors'], round: number): string | undefined {
  const shared = new Set(
    tensors.filter((tensor) => method.role(tensor, round) === 'shared').map(({ name }) => name),
  );
  const sent = method.wire(tensors, round, '');
  const foreign = sent.filter(({ name }) => !shared.has(name));
  return foreign.length < sent.length ? foreign[0]?.name : undefined;
}

function runMistakes(
  rule: BoundRule,
  { mode, weighting = 'uniform', compression, numPublicExamples, tensors }: RunFacts,
): string[] {
  const mistakes: string[] = [];
  if (mode === 'buffered')
    mistakes.push('compares updates that began from the same params; set federation.mode.kind: synchronous');
  if (weighting !== 'uniform' && (rule.weighted !== true || rule.steps.length > 0))
    mistakes.push(
      `counts every update the same, but federation.weighting is ${weighting}; set it to uniform${rule.weighted === true ? ', or leave preAggregation out' : ''}`,
    );
  if (rule.columnwise === true && compression === 'top-k')
    mistakes.push(
      'looks at each coordinate by itself, most of which top-k leaves out: the middle of many zeros is zero; use float16, int8 or none',
    );
  if (rule.asksReference === true && numPublicExamples === 0)
    mistakes.push(
      'compares updates with one that the server learns itself: name a file of examples as data.public',
    );
  if (rule.space === 'products' && !tensors.some(({ name }) => /\.lora_[AB]\./.test(name)))
    mistakes.push('measures products of LoRA’s factors, of which there are none; set space: elements');
  return mistakes;
}

function numGroups({ quorum, groupSize }: RunFacts): number {
  return groupSize === undefined ? quorum : numGroupsOf(quorum, groupSize);
}

function numberMistakes(rule: BoundRule, quorum: number): string[] {
  const { byzantine } = rule;
  const mixing = rule.steps.find(({ needsByzantine }) => needsByzantine);
  if (mixing !== undefined && byzantine === 0)
    return [
      `with preAggregation ${mixing.id} and byzantine: 0 would treat all as honest; set byzantine to how many updates of a round may be bad`,
    ];
  const enough = (f: number) => missing(rule, quorum, f) === undefined;
  const reason = missing(rule, quorum, byzantine);
  if (reason === undefined) return [];
  const bears = Array.from({ length: byzantine }, (_, i) => byzantine - 1 - i).find(enough);
  const instead =
    bears === undefined
      ? 'raise federation.quorum and cohortSize'
      : `with as many it bears byzantine: ${bears}; or raise federation.quorum and cohortSize`;
  return [`${reason}; ${instead}`];
}

/** What is missing for f; undefined: nothing. */
function missing(rule: BoundRule, quorum: number, f: number): string | undefined {
  let points = quorum;
  for (const step of rule.steps) {
    if (step.needsByzantine && points < 2 * f + 1)
      return `with ${step.id} and byzantine: ${f} needs 2f + 1 = ${2 * f + 1} updates, but a round may close with ${points}`;
    points = step.count(points);
  }
  const fewest = rule.fewest?.(f) ?? 1;
  if (points >= fewest) return undefined;
  const closed =
    points === quorum
      ? `a round may close with ${quorum}`
      : `a round that closes with ${quorum} leaves ${points} after preAggregation`;
  return `with byzantine: ${f} needs ${rule.fewestText} = ${fewest} updates, but ${closed}`;
}
