// A mail server, as settings describe it and a channel uses it.

/** Where mail is handed in, and how. */
export interface MailServer {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte. */
  readonly implicitTls: boolean;
  readonly startTls: 'auto' | 'always' | 'never';
  readonly verifyCertificate: boolean;
  readonly caFile: string | null;
  /** Null: no authentication. */
  readonly login: {
    readonly user: string;
    readonly password: string;
    readonly method: 'plain' | 'login' | 'cram_md5';
  } | null;
  /** What we call ourselves in EHLO. */
  readonly domain: string | null;
  readonly from: string;
  readonly returnPath: string | null;
}
