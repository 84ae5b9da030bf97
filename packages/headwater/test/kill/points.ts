/** Where processes are killed: each point is an operation on a port, before, after or in the middle of it. Data only. */

import type { RunEvent } from '../../src/federation/events.ts';

export interface KillPoint {
  readonly name: string;
  readonly process: 'coordinator' | 'client';
  /** `journal.append`, `blobs.uploads.seal`, `folder.save`, `send` … */
  readonly operation: string;
  /** `piece`: when the operation asks for more after the first piece of a stream, or has given it. */
  readonly when: 'before' | 'after' | 'piece';
  readonly matches: (args: readonly unknown[]) => boolean;
  /** The how-manieth time. */
  readonly nth: number;
  /** Updates of several chunks. */
  readonly large: boolean;
}

type Choice = Partial<Pick<KillPoint, 'matches' | 'nth' | 'large'>>;
type When = KillPoint['when'];

const point =
  (process: KillPoint['process']) =>
  (name: string, when: When, operation: string, choice: Choice = {}): KillPoint => ({
    name,
    process,
    operation,
    when,
    matches: () => true,
    nth: 1,
    large: false,
    ...choice,
  });
const coordinator = point('coordinator');
const client = point('client');

const appends = (type: RunEvent['type']) => (args: readonly unknown[]) =>
  (args[0] as readonly RunEvent[]).some((event) => event.type === type);
/** The first update of a round: how many others are written with it, chance says. */
const receives = (round: number) => (args: readonly unknown[]) =>
  (args[0] as readonly RunEvent[]).some((event) => event.type === 'update-received' && event.round === round);
const record =
  (collection: string, holds: (value: Record<string, unknown>) => boolean = () => true) =>
  ([of, , value]: readonly unknown[]) =>
    of === collection && holds(value as Record<string, unknown>);
const redeemed = record('tokens', ({ redeemedBy }) => (redeemedBy as string[]).length > 0);
const over = record('runs', (value) => value.over !== null);
const said = (kind: string) => record('secure-rounds', (value) => value.kind === kind);
const request =
  (method: string, path: RegExp) =>
  ([given]: readonly unknown[]) => {
    const { method: sent, path: to } = given as { method: string; path: string };
    return sent === method && path.test(to);
  };
const saved =
  (key: RegExp) =>
  ([given]: readonly unknown[]) =>
    key.test(given as string);

/** The second of three owners, the second of three rounds, unless it happens once. */
export const POINTS: readonly KillPoint[] = [
  coordinator('token used up', 'after', 'records.put', { matches: redeemed, nth: 2 }),
  coordinator('before the client row', 'before', 'records.put', { matches: record('clients'), nth: 2 }),
  coordinator('client row written', 'after', 'records.put', { matches: record('clients'), nth: 2 }),
  coordinator('owner row written', 'after', 'records.put', { matches: record('owners'), nth: 2 }),
  coordinator('before the enrolment row', 'before', 'records.put', { matches: record('enrolments'), nth: 2 }),
  coordinator('enrolment row written', 'after', 'records.put', { matches: record('enrolments'), nth: 3 }),
  coordinator('initial params made', 'after', 'works.init'),
  coordinator('before the first event', 'before', 'journal.append', { matches: appends('created') }),
  coordinator('first event written', 'after', 'journal.append', { matches: appends('created') }),
  coordinator('upload opened', 'after', 'blobs.uploads.open', { nth: 5 }),
  coordinator('in the middle of a chunk', 'piece', 'blobs.uploads.putChunk', { nth: 4, large: true }),
  coordinator('second of three chunks written', 'after', 'blobs.uploads.putChunk', {
    matches: ([, index]) => index === 1,
    nth: 2,
    large: true,
  }),
  coordinator('before sealing an upload', 'before', 'blobs.uploads.seal', { nth: 5 }),
  coordinator('upload sealed', 'after', 'blobs.uploads.seal', { nth: 5 }),
  coordinator('update examined, before its event', 'before', 'journal.append', { matches: receives(2) }),
  coordinator('update in the journal, receipt lost', 'after', 'journal.append', { matches: receives(2) }),
  coordinator('membership frozen', 'before', 'works.aggregate', { nth: 2 }),
  coordinator('in the middle of aggregation', 'after', 'blobs.get', { nth: 7 }),
  coordinator('result stored, before the commit', 'before', 'journal.append', {
    matches: appends('aggregated'),
    nth: 2,
  }),
  coordinator('committed, before anybody hears', 'after', 'journal.append', {
    matches: appends('aggregated'),
    nth: 2,
  }),
  coordinator('before an old blob is deleted', 'before', 'blobs.delete', { nth: 3 }),
  coordinator('old blob deleted', 'after', 'blobs.delete', { nth: 3 }),
  coordinator('before a snapshot', 'before', 'journal.saveSnapshot', { nth: 2 }),
  coordinator('snapshot saved', 'after', 'journal.saveSnapshot', { nth: 2 }),
  coordinator('scores in the journal', 'after', 'journal.append', {
    matches: appends('owner-evaluated'),
    nth: 3,
  }),
  coordinator('before publishing', 'before', 'works.publish'),
  coordinator('published, before the event', 'after', 'works.publish'),
  coordinator('last event written', 'after', 'journal.append', { matches: appends('published') }),
  coordinator('reports written', 'after', 'works.report'),
  coordinator('end recorded', 'after', 'records.put', { matches: over }),
  client('key saved', 'after', 'folder.save', { matches: saved(/^joining$/) }),
  client('token redeemed, answer lost', 'after', 'send', { matches: request('POST', /\/join$/) }),
  client('joined', 'after', 'folder.save', { matches: saved(/^joined$/) }),
  client('enrolled', 'after', 'send', { matches: request('POST', /\/enrolment$/) }),
  client('params half downloaded', 'piece', 'send', {
    matches: request('GET', /\/blobs\//),
    nth: 3,
    large: true,
  }),
  client('params downloaded', 'before', 'trainer.train', { nth: 2 }),
  client('trained', 'after', 'trainer.train', { nth: 2 }),
  client('update saved', 'after', 'folder.save', { matches: saved(/^update-/), nth: 2 }),
  client('update remembered', 'after', 'folder.save', { matches: saved(/^memory$/), nth: 4 }),
  client('second of three chunks sent', 'after', 'send', {
    matches: request('PUT', /\/chunks\/1$/),
    large: true,
  }),
  client('before handing in', 'before', 'send', { matches: request('POST', /\/updates$/), nth: 2 }),
  client('handed in, receipt lost', 'after', 'send', { matches: request('POST', /\/updates$/), nth: 2 }),
  client('receipt remembered', 'after', 'folder.save', { matches: saved(/^memory$/), nth: 5 }),
];

/** Of rounds whose owners open the masks together: in each step, in the second of three rounds. */
export const MASKED_POINTS: readonly KillPoint[] = [
  coordinator('attempt begun', 'after', 'records.put', { matches: said('begun'), nth: 2 }),
  coordinator('a key in the store', 'after', 'records.put', { matches: said('advert'), nth: 5 }),
  coordinator('before the keys are fixed', 'before', 'journal.append', {
    matches: appends('keys-fixed'),
    nth: 2,
  }),
  coordinator('keys fixed', 'after', 'journal.append', { matches: appends('keys-fixed'), nth: 2 }),
  coordinator('shares in the store', 'after', 'records.put', { matches: said('shares'), nth: 5 }),
  coordinator('members present', 'after', 'records.put', { matches: said('present'), nth: 2 }),
  coordinator('a masked update in the journal', 'after', 'journal.append', { matches: receives(2) }),
  coordinator('a confirmation in the store', 'after', 'records.put', { matches: said('confirmed'), nth: 5 }),
  coordinator('shares of the secrets in the store', 'after', 'records.put', {
    matches: said('unmasked'),
    nth: 5,
  }),
  coordinator('masks opened, before the sum', 'before', 'works.aggregate', { nth: 2 }),
  client('secrets of an attempt saved', 'after', 'folder.save', { matches: saved(/^secure$/), nth: 8 }),
  client('shares given, answer lost', 'after', 'send', {
    matches: ([given]) => asks(given, 'unmask'),
    nth: 2,
  }),
];

function asks(given: unknown, step: string): boolean {
  const { path, body } = given as { path: string; body?: Uint8Array };
  if (body === undefined || !path.endsWith('/secure-round')) return false;
  return Buffer.from(body).includes(`"step":"${step}"`);
}

export function pointNamed(name: string | null): KillPoint | undefined {
  return [...POINTS, ...MASKED_POINTS].find((candidate) => candidate.name === name);
}
