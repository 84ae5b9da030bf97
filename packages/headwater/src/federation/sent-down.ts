/**
 * What an owner is sent of the global params in a round, what it has without being sent it, and how both become what it begins
 * with. A simulation cuts and joins in one place, a deployment in two: the same bits. It knows no bytes on a network.
 */

import { rng } from '../base/random.ts';
import { type Params, zeros } from '../base/tensor.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import { paddedTo } from './blocks.ts';
import { encodedUpdateBytes } from './compression/encode.ts';
import { plain } from './compression/none.ts';
import type { BoundMethod, ClientContext } from './method.ts';
import { encodedBytes, selectParams, sortedParams } from './params.ts';

export interface Receiver {
  /** Of the run. */
  readonly seed: number;
  readonly round: number;
  readonly owner: string;
}

interface Sender {
  readonly method: BoundMethod;
  readonly tensors: readonly TrainableTensor[];
}

/** As it travels: what is shared or given, cut and in the form that the method says. */
export function sentDown({ method, tensors }: Sender, params: Params, to: Receiver): Params {
  const travels = namesOf(travelling({ method, tensors }, to.round));
  const context = contextOf(to);
  const received = method.encodeDown(
    selectParams(params, (name) => travels.has(name)),
    context,
  );
  return method.packDown(received, contextOf(to));
}

/** What an owner needs and is not sent: frozen tensors, and personal ones where it has none of its own yet. */
export function restOf({ method, tensors }: Sender, params: Params, round: number): Params {
  const travels = namesOf(travelling({ method, tensors }, round));
  return selectParams(params, (name) => !travels.has(name));
}

/** Whether an owner has nothing without being sent it. */
export function leavesNoRest(sender: Sender, round: number): boolean {
  return travelling(sender, round).length === sender.tensors.length;
}

/** Whether an owner is sent the global params as they are. */
export function sendsAll(sender: Sender, round: number): boolean {
  return !sender.method.cutsDown && leavesNoRest(sender, round);
}

export interface Received {
  /** What `sentDown` gave. */
  readonly sent: Params;
  /** What `restOf` gave. */
  readonly rest: Params;
  /** Tensors that the owner kept, in place of those of `rest`. */
  readonly own: Params;
}

/** All tensors. What nobody mentions is zero. */
export function beginning({ method, tensors }: Sender, { sent, rest, own }: Received, to: Receiver): Params {
  const received = method.cutsDown ? uncut({ method, tensors }, sent, to) : sent;
  const begun = ({ name, shape }: TrainableTensor) =>
    received.get(name) ?? own.get(name) ?? rest.get(name) ?? zeros('float32', shape);
  return sortedParams(tensors.map((tensor) => [tensor.name, begun(tensor)]));
}

function uncut({ method, tensors }: Sender, sent: Params, to: Receiver): Params {
  const whole = zerosFor(travelling({ method, tensors }, to.round));
  return paddedTo(whole, method.unpackDown(sent, whole, contextOf(to)));
}

/** Size of what is sent: names and shapes decide it. */
export function sentDownBytes({ method, tensors }: Sender, to: Receiver): number {
  const travels = travelling({ method, tensors }, to.round);
  if (!method.cutsDown) return encodedUpdateBytes(plain, travels);
  return encodedBytes(sentDown({ method, tensors }, zerosFor(travels), to));
}

function travelling({ method, tensors }: Sender, round: number): TrainableTensor[] {
  return tensors.filter((tensor) => ['shared', 'given'].includes(method.role(tensor, round)));
}

function namesOf(tensors: readonly TrainableTensor[]): ReadonlySet<string> {
  return new Set(tensors.map(({ name }) => name));
}

function zerosFor(tensors: readonly TrainableTensor[]): Params {
  return sortedParams(tensors.map(({ name, shape }) => [name, zeros('float32', shape)]));
}

function contextOf({ seed, round, owner }: Receiver): ClientContext {
  return { round, owner, random: rng(seed, owner, round, 'encode-down') };
}
