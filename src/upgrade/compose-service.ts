// The second server as a service of Mastodon's compose file, beside the old one. Its volume is where people lose databases:
// since 18 the image keeps its data in a directory by version below /var/lib/postgresql, and a volume at …/data stays empty
// while the data is written into the container, gone with it.

/** The snippet to paste below `services:`. `user` is Mastodon's, who is then there from the start. */
export function composeService({
  major,
  user,
  hasPassword,
}: {
  readonly major: number;
  readonly user: string;
  readonly hasPassword: boolean;
}): { readonly name: string; readonly text: string } {
  const name = `db${major}`;
  const mount = major >= 18 ? '/var/lib/postgresql' : '/var/lib/postgresql/data';
  const quoted = (text: string): string => `'${text.replaceAll("'", "''").replaceAll('$', '$$$$')}'`;
  const lines = [
    `  ${name}:`,
    '    restart: always',
    `    image: postgres:${major}-alpine`,
    '    shm_size: 256mb',
    '    networks:',
    '      - internal_network',
    '    healthcheck:',
    `      test: ['CMD', 'pg_isready', '-U', ${quoted(user)}]`,
    '    volumes:',
    `      - ./postgres${major}:${mount}`,
    '    environment:',
    "      - 'POSTGRES_HOST_AUTH_METHOD=trust'",
    ...(user === 'postgres' ? [] : [`      - ${quoted(`POSTGRES_USER=${user}`)}`]),
    ...(hasPassword ? [`      - 'POSTGRES_PASSWORD=the value of DB_PASS'`] : []),
  ];
  // With a password the server asks for it, as the image does by itself.
  const text = hasPassword ? lines.filter((line) => !line.includes('HOST_AUTH_METHOD')) : lines;
  return { name, text: `${text.join('\n')}\n` };
}
