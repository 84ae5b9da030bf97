// Whether the coordinator in this container answers. HEADWATER_HEALTH_URL where it listens elsewhere or with TLS (then
// NODE_EXTRA_CA_CERTS names the authority).
const url = process.env.HEADWATER_HEALTH_URL ?? 'http://127.0.0.1:8420/healthz';
const answer = await fetch(url, { signal: AbortSignal.timeout(4000) }).catch((error) => ({
  ok: false,
  error,
}));
if (!answer.ok) console.error(`${url}: ${answer.error?.cause ?? answer.error ?? answer.status}`);
process.exit(answer.ok ? 0 : 1);
