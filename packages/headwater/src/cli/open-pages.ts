/** `--open`: the pages of a run while it goes on and afterwards, in the user's browser where there is one. */

import { spawn } from 'node:child_process';
import { messageOf } from '../base/errors.ts';
import { type LocalPages, openLocalPages } from '../coordinator/local-pages.ts';

export interface OpenedPages {
  /** Once; later calls change nothing. That it fails is said, and hinders nothing. */
  show(folder: string): void;
  /** Until the signal, if anything is shown. */
  stay(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export function createPages(say: (line: string) => void): OpenedPages {
  let opening: Promise<LocalPages | undefined> | undefined;

  async function open(folder: string): Promise<LocalPages | undefined> {
    const warn = (event: string, fields?: object) => say(`${event} ${JSON.stringify(fields ?? {})}`);
    try {
      const pages = await openLocalPages({ folder, log: { info: () => undefined, warn } });
      say(`dashboard: ${pages.url}`);
      openBrowser(pages.url);
      return pages;
    } catch (cause) {
      say(`there is no dashboard: ${messageOf(cause)}`);
      return undefined;
    }
  }

  return {
    show(folder) {
      opening ??= open(folder);
    },
    async stay(signal) {
      if ((await opening) === undefined || signal.aborted) return;
      say('the dashboard stays open until Ctrl-C');
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    },
    async close() {
      await (await opening)?.close();
    },
  };
}

const COMMANDS: Readonly<Partial<Record<NodeJS.Platform, readonly string[]>>> = {
  darwin: ['open'],
  win32: ['cmd', '/c', 'start', '""'],
};

/** Where there is no desktop the address on the screen has to do. */
function openBrowser(url: string): void {
  const [command, ...args] = COMMANDS[process.platform] ?? ['xdg-open'];
  const { DISPLAY, WAYLAND_DISPLAY } = process.env;
  if (process.platform === 'linux' && DISPLAY === undefined && WAYLAND_DISPLAY === undefined) return;
  const child = spawn(command!, [...args, url], { stdio: 'ignore', detached: true });
  child.on('error', () => undefined);
  child.unref();
}
