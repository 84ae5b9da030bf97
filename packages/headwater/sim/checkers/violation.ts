/** The promises that are checked, by name, and the report of one that was broken. */

export const CHECKERS = {
  'commit-once': 'A round is committed once, in order, from one membership.',
  members: 'Who is counted in a round sent a good update for it, and was received before.',
  'count-once': 'An update is counted at most once.',
  quorum: 'A round is never closed with fewer updates than its quorum, nor more than its cohort.',
  weights: 'A member counts by its examples, and less by the agreed rule when it is stale.',
  quarantine: 'After too many rejected updates an owner is not counted any more.',
  acknowledged: 'An update whose receipt said "accepted" is durable, and is counted or waits to be.',
  sums: 'Params of a round are, to the last bit, an independent recomputation from its members.',
  journal: 'What is durable stays as it is, and what drives a run was durable before.',
  replay: 'A driver’s state is the replay of the journal.',
  fencing: 'Epochs of writers never go back, and only the last one writes.',
  blobs: 'No blob that the journal refers to is missing or would be lost in a power cut.',
  nonces: 'A signed request is carried out at most once.',
  forgery: 'A request that was changed, forged or meant for another run is refused.',
  kept: 'A client trains with what its last accepted training left, and nothing else.',
  progress: 'When nothing fails any more the run finishes in time.',
  result: 'With all owners honest and counted, the result is that of the run without faults.',
  masks:
    'Of an attempt one sum at most is opened, that of the committed updates; nobody gives away both kinds of shares.',
  keys: 'A noise key is made once, lives as long as a release needs it, and stands in no event, line or answer.',
  charge: 'A release is charged once to each owner in it, and to nobody more often than the plan allows.',
  draws: 'Who is asked by secret coins was drawn by them, and nobody else is counted.',
  crash: 'No code throws where it promised not to.',
} as const;

export type Checker = keyof typeof CHECKERS;

export class Violation extends Error {
  override readonly name = 'Violation';
  readonly checker: Checker;
  readonly atMs: number;

  constructor(checker: Checker, message: string, atMs: number) {
    super(message);
    this.checker = checker;
    this.atMs = atMs;
  }
}

export type Report = (checker: Checker, message: string) => void;
