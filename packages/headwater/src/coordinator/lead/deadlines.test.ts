import { describe, expect, it } from 'vitest';
import { begunWorld, createWorld, RUN } from '../../../test/support/coordinator-world.ts';
import { settled } from '../../../test/support/fake-time.ts';

const TASK = `/v1/runs/${RUN}/task`;

describe('coordinator: time', () => {
  it('a long poll wakes when there is something to do, and only for those concerned', async () => {
    const world = await createWorld();
    const ann = await world.client('ann');
    const waiting = ann.task(30);
    await settled();
    await world.client('ben');
    await settled();
    expect((await waiting).task).toMatchObject({ round: 1 });
    await ann.train((await ann.task()).task!);
    const idle = ann.task(30);
    await settled();
    await world.time.advance(29_000);
    let answered = false;
    void idle.then(() => {
      answered = true;
    });
    await settled();
    expect(answered).toBe(false);
    await world.time.advance(1_000);
    expect(await idle).toMatchObject({ status: 'running', task: null });
  });

  it('a round closes at its deadline with a quorum; what is left of it survives a restart', async () => {
    const world = await begunWorld({
      quorum: 1,
      pace: { evaluatedBy: 'owners', belowQuorum: 'extend', deadlineMs: 600_000 },
    });
    await world.ann.train((await world.ann.task()).task!);
    await world.time.advance(500_000);
    await world.restart();
    const { task } = await world.ben.task();
    expect(task).toMatchObject({ kind: 'train', round: 1 });
    expect((task as { remainingMs: number }).remainingMs).toBeLessThanOrEqual(100_000);
    await world.time.advance(100_000);
    expect(await world.coordinator.operator.state(RUN)).toMatchObject({ open: { round: 2 } });
  });

  it('without a quorum the round is extended, and time stands still while the run is paused', async () => {
    const world = await begunWorld();
    await world.time.advance(60_000);
    expect(await world.coordinator.operator.state(RUN)).toMatchObject({ open: { round: 1, extension: 1 } });
    await world.coordinator.operator.pause(RUN, 'maintenance');
    expect(await world.ann.task()).toMatchObject({ status: 'paused', task: null });
    await world.time.advance(600_000);
    expect(await world.coordinator.operator.state(RUN)).toMatchObject({ open: { extension: 1 } });
    await world.coordinator.operator.resume(RUN);
    expect((await world.ann.task()).task).toMatchObject({ round: 1 });
    await world.time.advance(59_000);
    expect(await world.coordinator.operator.state(RUN)).toMatchObject({ open: { extension: 1 } });
  });

  it('closing answers whoever waits and refuses what comes then', async () => {
    const world = await begunWorld();
    await world.ann.train((await world.ann.task()).task!);
    const waiting = world.ann.task(30);
    await settled();
    await world.coordinator.close(1000);
    expect((await waiting).task).toBeNull();
    const late = await world.ann.call('GET', TASK);
    expect(late.json.error).toMatchObject({ code: 'unavailable', retryAfterMs: 1000 });
  });
});
