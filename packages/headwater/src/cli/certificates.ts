/** `headwater certificates`: TLS for a local network without a public name, and what to do with the files. */

import { Command } from 'commander';
import { certificatePaths, writeCertificates } from '../coordinator/certificates/files.ts';
import { wholeNumber } from './options.ts';

interface CertificatesOptions {
  readonly host: string;
  readonly out: string;
  readonly days: number;
}

export function certificatesCommand(): Command {
  return new Command('certificates')
    .description('make a certificate authority and a server certificate for a local network')
    .requiredOption('--host <names>', 'names and IP addresses of the coordinator, separated by commas')
    .requiredOption('--out <folder>', 'folder for ca.pem, ca.key, server.pem, server.key')
    .option('--days <n>', 'how long the server certificate is valid', wholeNumber, 397)
    .action(makeCertificates);
}

async function makeCertificates({ host, out, days }: CertificatesOptions): Promise<void> {
  const hosts = host.split(',').map((name) => name.trim());
  const { newAuthority } = await writeCertificates(out, hosts, { nowMs: Date.now(), days });
  const paths = certificatePaths(out);
  const example = hosts[0]?.includes(':') === true ? `[${hosts[0]}]` : hosts[0];
  console.log(`${newAuthority ? 'new authority and ' : ''}server certificate for ${hosts.join(', ')}, valid ${days} days

on the coordinator   headwater serve RECIPE --host 0.0.0.0 --tls-cert ${paths.server} --tls-key ${paths.serverKey}
on each client       headwater join 'https://${example}:8420/#hw1_…' --data FILE --ca ca.pem

Give clients ${paths.authority} by a way they trust (not from the coordinator itself).
Keep ${paths.authorityKey} offline: whoever has it can pose as the coordinator. It is only needed to renew.`);
}
