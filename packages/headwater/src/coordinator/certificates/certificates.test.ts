import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeAuthority, makeServerCertificate } from './certificates.ts';
import { certificatePaths, writeCertificates } from './files.ts';

const scratch = mkdtempSync(join(tmpdir(), 'headwater-certificates-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let count = 0;
const newFolder = () => join(scratch, String(++count), 'deeper');
const now = { nowMs: Date.now(), days: 397 };

/** What a client that trusts `ca` alone says to a server with these files. */
async function connect(cert: string, key: string, ca: string, host: string): Promise<string> {
  const server = createServer({ cert, key }, (_, response) => response.end('hello'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const options = { host: '127.0.0.1', port, ca, headers: { host }, agent: false };
    return await new Promise<string>((resolve) => {
      request(options, (response) => response.on('data', (data) => resolve(String(data))))
        .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
        .end();
    });
  } finally {
    server.close();
  }
}

describe('certificates for a local network', () => {
  it('a client that trusts the authority connects by name and by address, others do not', async () => {
    const folder = newFolder();
    await writeCertificates(folder, ['coordinator.lan', '127.0.0.1', '::1'], now);
    const paths = certificatePaths(folder);
    const [cert, key, ca] = [paths.server, paths.serverKey, paths.authority].map((path) =>
      readFileSync(path, 'utf8'),
    );
    expect(await connect(cert!, key!, ca!, 'coordinator.lan')).toBe('hello');
    expect(await connect(cert!, key!, ca!, '127.0.0.1')).toBe('hello');
    expect(await connect(cert!, key!, ca!, 'other.lan')).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    const stranger = await makeAuthority(now.nowMs, 10);
    expect(await connect(cert!, key!, stranger.cert, 'coordinator.lan')).toBe('CERT_SIGNATURE_FAILURE');
  });

  it('keys are for their owner alone; nothing else lies in the folder', async () => {
    const folder = newFolder();
    await writeCertificates(folder, ['localhost'], now);
    expect(readdirSync(folder).sort()).toEqual(['ca.key', 'ca.pem', 'server.key', 'server.pem']);
    const mode = (name: string) => statSync(join(folder, name)).mode & 0o777;
    expect([mode('ca.key'), mode('server.key'), statSync(folder).mode & 0o777]).toEqual([
      0o600, 0o600, 0o700,
    ]);
  });

  it('an existing certificate is never written over; without it the authority is used again', async () => {
    const folder = newFolder();
    const paths = certificatePaths(folder);
    expect(await writeCertificates(folder, ['a.lan'], now)).toEqual({ newAuthority: true });
    const before = readFileSync(paths.authority, 'utf8');
    await expect(writeCertificates(folder, ['b.lan'], now)).rejects.toMatchObject({ code: 'RUN_EXISTS' });
    rmSync(paths.server);
    rmSync(paths.serverKey);
    expect(await writeCertificates(folder, ['b.lan'], now)).toEqual({ newAuthority: false });
    expect(readFileSync(paths.authority, 'utf8')).toBe(before);
    const server = new X509Certificate(readFileSync(paths.server));
    expect(server.verify(new X509Certificate(before).publicKey)).toBe(true);
    expect(server.subjectAltName).toBe('DNS:b.lan');
  });

  it('half an authority is not completed', async () => {
    const folder = newFolder();
    await writeCertificates(folder, ['a.lan'], now);
    for (const name of ['server.pem', 'server.key', 'ca.key']) rmSync(join(folder, name));
    await expect(writeCertificates(folder, ['a.lan'], now)).rejects.toMatchObject({ code: 'RUN_EXISTS' });
    expect(readdirSync(folder)).toEqual(['ca.pem']);
  });

  it('the authority signs no further authorities, the server certificate signs nothing', async () => {
    const authority = await makeAuthority(now.nowMs, 10);
    const server = await makeServerCertificate(authority, ['a.lan'], now.nowMs, 10);
    expect(new X509Certificate(authority.cert).ca).toBe(true);
    expect(new X509Certificate(server.cert).ca).toBe(false);
    expect(new X509Certificate(server.cert).keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  });

  it.each([
    '',
    'a b',
    'https://a.lan',
    'a.lan:8420',
    'a.lan,CN=x',
    'ä.lan',
    '-a',
    'a..b',
    '*',
    'a\n',
    'x'.repeat(64),
  ])('%j is no host', async (host) => {
    await expect(writeCertificates(newFolder(), [host], now)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  });

  it('a folder that cannot be written is STORAGE_FAILED and leaves nothing', async () => {
    const file = join(scratch, 'file');
    writeFileSync(file, '');
    await expect(writeCertificates(join(file, 'x'), ['a.lan'], now)).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
    });
  });
});
