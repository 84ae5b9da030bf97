/** `headwater doctor`: what this machine has and which devices work. Looks, prints, changes nothing. */

import { access, constants, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { freemem, homedir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { formatBytes } from '../base/format.ts';
import { systemErrorCode } from '../base/io-errors.ts';
import { describeEnvironment } from '../runs/environment.ts';
import { jsonOption } from './options.ts';
import { type DeviceReport, probeDevices } from './probe-device.ts';
import { paint, renderTable } from './style.ts';

interface Check {
  readonly name: string;
  readonly state: 'ok' | 'warn' | 'bad';
  readonly detail: string;
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('say what this machine has, which devices work here and which are untested')
    .addOption(jsonOption())
    .action(async (options: { json?: true }) => {
      const checks = [...machineChecks(), ...(await folderChecks(process.cwd())), ...(await hubChecks())];
      const devices = await probeDevices();
      if (options.json) console.log(JSON.stringify({ checks, devices }, null, 2));
      else print(checks, devices);
      const cpuWorks = devices.some(({ device, works }) => device === 'cpu' && works);
      if (!cpuWorks || checks.some(({ state }) => state === 'bad')) process.exitCode = 1;
    });
}

function machineChecks(): Check[] {
  const { node, onnxruntime, platform, cpu, cores, memoryBytes } = describeEnvironment();
  const major = Number(process.versions.node.split('.')[0]);
  const free = `${formatBytes(memoryBytes)}, ${formatBytes(freemem())} free`;
  return [
    { name: 'Node.js', state: major >= 24 ? 'ok' : 'bad', detail: `${node} (${process.execPath})` },
    { name: 'platform', state: 'ok', detail: platform },
    { name: 'processor', state: 'ok', detail: `${cpu}, ${cores} usable cores` },
    { name: 'memory', state: memoryBytes >= 2e9 ? 'ok' : 'warn', detail: free },
    { name: 'ONNX Runtime', state: 'ok', detail: onnxruntime },
  ];
}

async function folderChecks(folder: string): Promise<Check[]> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const space: Check = {
    name: 'disk space',
    state: free >= 1e9 ? 'ok' : 'warn',
    detail: `${formatBytes(free)} free here${free >= 1e9 ? '' : '; a run of a large model needs more'}`,
  };
  return [space, await writable(folder)];
}

async function writable(folder: string): Promise<Check> {
  const name = 'this folder';
  try {
    const probe = await mkdtemp(join(folder, '.headwater-doctor-'));
    await writeFile(join(probe, 'file'), 'x');
    await rm(probe, { recursive: true });
    return { name, state: 'ok', detail: `${folder} can be written` };
  } catch (cause) {
    const detail = `${folder} cannot be written (${systemErrorCode(cause)}): give runs another place with --out`;
    return { name, state: 'warn', detail };
  }
}

async function hubChecks(): Promise<Check[]> {
  const endpoint = process.env.HF_ENDPOINT ?? 'https://huggingface.co';
  const home = process.env.HF_HOME ?? join(homedir(), '.cache/huggingface');
  const cache = process.env.HF_HUB_CACHE ?? join(home, 'hub');
  const exists = await access(cache, constants.R_OK).then(
    () => true,
    () => false,
  );
  const token = process.env.HF_TOKEN === undefined ? 'no HF_TOKEN' : 'HF_TOKEN is set';
  const reachable = await answers(endpoint);
  return [
    { name: 'model cache', state: 'ok', detail: `${cache}${exists ? '' : ' (not there yet)'}` },
    {
      name: 'model hub',
      state: reachable ? 'ok' : 'warn',
      detail: `${endpoint} ${reachable ? 'answers' : 'does not answer; models in folders work all the same'}, ${token}`,
    },
  ];
}

async function answers(endpoint: string): Promise<boolean> {
  try {
    await fetch(endpoint, { method: 'HEAD', signal: AbortSignal.timeout(3000) });
    return true;
  } catch {
    return false;
  }
}

function print(checks: readonly Check[], devices: readonly DeviceReport[]): void {
  const mark = { ok: paint.good('ok'), warn: paint.warn('note'), bad: paint.bad('bad') };
  const rows = checks.map(({ name, state, detail }) => [name, mark[state], detail]);
  console.log(renderTable({ head: ['', '', 'this machine'], rows, numeric: false }));
  const deviceRows = devices.map(({ device, works, reason, tested }) => [
    `--device ${device}`,
    works ? paint.good('works') : paint.dim('no'),
    works ? tested : `${tested}; here: ${reason}`,
  ]);
  console.log(`\n${renderTable({ head: ['', '', 'devices'], rows: deviceRows, numeric: false })}`);
}
