/**
 * Does a device work on this machine? Asked in a child process, because a broken driver kills the process that loads it.
 * What this project itself has run on which device is stated in `TESTED`, by hand and honestly.
 */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { siblingModule } from '../base/sibling.ts';
import { DEVICES, type Device } from '../runtime/executor.ts';

const PROBE_TIMEOUT_MS = 60_000;
const EXPECTED = '4,5,10,11';

/** Where the project's own tests have run; absent: never. */
const TESTED: Partial<Record<Device, string>> = {
  cpu: 'tested on Linux x64',
  webgpu: 'tested on Linux x64 with SwiftShader, a Vulkan driver without a GPU',
};

export interface DeviceReport {
  readonly device: Device;
  readonly works: boolean;
  /** Why not, in the driver's words. */
  readonly reason?: string;
  /** What this project has tried on this kind of device. */
  readonly tested: string;
}

export async function probeDevices(): Promise<DeviceReport[]> {
  const reports: DeviceReport[] = [];
  for (const device of DEVICES) reports.push(await probeDevice(device));
  return reports;
}

export function probeDevice(device: Device): Promise<DeviceReport> {
  const tested = TESTED[device] ?? 'untested in this project';
  const probe = fileURLToPath(siblingModule(import.meta.url, './device-probe'));
  return new Promise((resolve) => {
    const options = { timeout: PROBE_TIMEOUT_MS, killSignal: 'SIGKILL' } as const;
    execFile(process.execPath, [probe, device], options, (error, stdout) => {
      const answer = readAnswer(stdout);
      if (answer?.result?.join() === EXPECTED) resolve({ device, works: true, tested });
      else resolve({ device, works: false, reason: reasonOf(answer, error), tested });
    });
  });
}

interface Answer {
  readonly result?: readonly number[];
  readonly reason?: string;
}

/** The last line; drivers print whatever they like before it. Undefined when the child died before answering. */
function readAnswer(stdout: string): Answer | undefined {
  const line = stdout.trim().split('\n').at(-1) ?? '';
  return line.startsWith('{') ? (JSON.parse(line) as Answer) : undefined;
}

interface ChildError extends Error {
  readonly signal?: NodeJS.Signals | null;
  readonly killed?: boolean;
}

function reasonOf(answer: Answer | undefined, error: ChildError | null): string {
  if (answer?.result !== undefined) return `computed ${answer.result.join()}, expected ${EXPECTED}`;
  if (answer?.reason !== undefined) return withoutSourcePlace(answer.reason);
  if (error?.killed === true) return `gave no answer within ${PROBE_TIMEOUT_MS / 1000} s`;
  return `the driver crashed (${error?.signal ?? error?.message ?? 'no answer'})`;
}

/** ONNX Runtime puts its own source file and function before what happened. */
function withoutSourcePlace(message: string): string {
  return message
    .replace(/^graph does not load on \w+: /, '')
    .replace(/\/onnxruntime_src\/.*? was false\. /, '')
    .trim();
}
