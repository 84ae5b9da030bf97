/** Mistakes in the round machine: in counting, closing, committing, quarantining. */

import { digestJson } from '../../src/base/canonical.ts';
import type { Machine } from '../../src/coordinator/ports.ts';
import type { RunEvent } from '../../src/federation/events.ts';
import type { Step } from '../../src/federation/machine.ts';
import type { Pace, RunPlan } from '../../src/federation/plan.ts';
import type { RunState } from '../../src/federation/state.ts';
import type { Plant } from '../plant.ts';

type PlantedStep = (real: Machine, state: RunState, event: RunEvent) => Step;

const broken = (what: string, step: PlantedStep): Plant => ({
  what,
  machine: (real) => ({ start: real.start, step: (state, event) => step(real, state, event) }),
});

/** The real step, taken with another plan. */
function stepWith(real: Machine, state: RunState, event: RunEvent, change: Partial<RunPlan>): Step {
  const { plan } = state;
  const taken = real.step({ ...state, plan: { ...plan, ...change } }, event);
  return { ...taken, state: { ...taken.state, plan } };
}

/** The machine goes by other rules than those that are in the journal. */
const withPace = (what: string, change: Partial<Pace>): Plant => ({
  what,
  machine: (real) => ({
    start: (plan) => real.start({ ...plan, pace: { ...plan.pace, ...change } }),
    step: real.step,
  }),
});

export const machinePlants: Readonly<Record<string, Plant>> = {
  'commit-again': broken('a committed round is opened once more', (real, state, event) => {
    const taken = real.step(state, event);
    if (event.type !== 'aggregated' || taken.state === state || event.round !== 2) return taken;
    const open = taken.state.open && { ...taken.state.open, round: event.round };
    return { ...taken, state: { ...taken.state, open, closed: taken.state.closed.slice(0, -1) } };
  }),

  'commit-other-update': broken('a member is committed with the update of another', (real, state, event) => {
    const taken = real.step(state, event);
    const { open } = taken.state;
    if (open?.phase !== 'aggregating' || state.open?.phase !== 'training' || open.members!.length < 2)
      return taken;
    const [first] = open.members!;
    const members = open.members!.map((member, i) =>
      i === 1 ? { ...member, update: first!.update } : member,
    );
    const membership = digestJson(members);
    const effects = taken.effects.map((effect) =>
      effect.kind === 'aggregate' ? { ...effect, members, membership } : effect,
    );
    return { state: { ...taken.state, open: { ...open, members } }, effects };
  }),

  'count-rejected': broken('an update is accepted whatever was found in it', (real, state, event) =>
    real.step(
      state,
      event.type === 'update-received' && !event.check.ok && event.check.code === 'norm'
        ? { ...event, check: { ok: true, l2Norm: 1 } }
        : event,
    ),
  ),

  'count-twice': broken('what was counted stays in the buffer', (real, state, event) => {
    const taken = real.step(state, event);
    if (event.type !== 'aggregated' || taken.state === state || taken.state.open === undefined) return taken;
    const [member] = state.open!.members!;
    const accepted = { ...taken.state.open.accepted, [member!.owner]: state.open!.accepted[member!.owner]! };
    return { ...taken, state: { ...taken.state, open: { ...taken.state.open, accepted } } };
  }),

  'close-below-quorum': broken(
    'at the deadline one update less than the quorum is enough',
    (real, state, event) =>
      event.type === 'deadline'
        ? stepWith(real, state, event, { quorum: Math.max(1, state.plan.quorum - 1) })
        : real.step(state, event),
  ),

  'count-stale': withPace('updates of any age are taken', { maxStaleness: 1000 }),
  'stale-undiscounted': withPace('stale updates weigh as much as fresh ones', { stalenessExponent: 0 }),
  'never-quarantined': withPace('nobody is excluded after rejected updates', { quarantineAfter: null }),

  'forget-accepted': broken('an accepted update is dropped at the deadline', (real, state, event) => {
    const taken = real.step(state, event);
    const { open } = taken.state;
    if (event.type !== 'deadline' || open?.phase !== 'training') return taken;
    const accepted = Object.fromEntries(Object.entries(open.accepted).slice(1));
    return { ...taken, state: { ...taken.state, open: { ...open, accepted } } };
  }),
};
