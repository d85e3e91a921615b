// The SDK's client with everything it would look up for itself given explicitly: AWS_* variables and ~/.aws belong to
// Mastodon's media or to somebody's shell, and must never decide where backups go.

import { S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { S3Settings } from '../config/bucket.ts';
import { refuseForeignAnswers } from './s3-answers.ts';
import { sendDigests } from './s3-digests.ts';

/** What a client needs to know. */
export interface S3ClientSettings extends Pick<
  S3Settings,
  'accessKeyId' | 'secretAccessKey' | 'endpoint' | 'region' | 'proxy'
> {
  readonly maxAttempts: number;
  /** How long a socket may be silent, in milliseconds. */
  readonly socketTimeoutMs: number;
  /** How long a request may take until its answer begins, in milliseconds. */
  readonly requestTimeoutMs: number;
}

const connectionTimeoutMs = 10_000;
const silent = { trace: noop, debug: noop, info: noop, warn: noop, error: noop };

/** A client that reads no environment variable and no file; `destroy()` ends its sockets. */
export function createS3Client(settings: S3ClientSettings): S3Client {
  // Told here: the agents of Node's own do not know how many sockets we want.
  const agentOptions = {
    keepAlive: true,
    maxSockets: 64,
    ...(settings.proxy === undefined ? {} : { proxyEnv: { ...settings.proxy } }),
  };
  const client = new S3Client({
    region: settings.region,
    credentials: { accessKeyId: settings.accessKeyId, secretAccessKey: settings.secretAccessKey },
    ...(settings.endpoint === null ? {} : { endpoint: settings.endpoint, forcePathStyle: true }),
    ignoreConfiguredEndpointUrls: true,
    defaultsMode: 'standard',
    maxAttempts: settings.maxAttempts,
    retryMode: 'standard',
    // CRC32 trailers, the SDK's default, are refused by R2 and older servers; we send the MD5, and verify with SHA-256 of our own.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    useDualstackEndpoint: false,
    useFipsEndpoint: false,
    useArnRegion: false,
    disableS3ExpressSessionAuth: true,
    sigv4aSigningRegionSet: async () => undefined,
    authSchemePreference: async () => [],
    userAgentAppId: async () => undefined,
    followRegionRedirects: false,
    logger: silent,
    requestHandler: new NodeHttpHandler({
      connectionTimeout: connectionTimeoutMs,
      socketTimeout: settings.socketTimeoutMs,
      requestTimeout: settings.requestTimeoutMs,
      // Without it the time-out is a line in a log and the request hangs on.
      throwOnRequestTimeout: true,
      httpAgent: agentOptions,
      httpsAgent: agentOptions,
      logger: silent,
    }),
  });
  refuseForeignAnswers(client);
  sendDigests(client);
  return client;
}

function noop(): void {}
