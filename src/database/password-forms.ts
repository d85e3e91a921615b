// The forms in which a password may have to be sent. For SCRAM, libpq and the server prepare a password by SASLprep (RFC
// 4013) unless it holds what that prohibits; the driver never does. A password with a decomposed accent or a no-break space
// would let Mastodon in and keep us out.

// PostgreSQL's saslprep.c: non_ascii_space_ranges and commonly_mapped_to_nothing_ranges.
const spaces = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g;
const nothing = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|[\u200c\u200d]|\u2060|[\ufe00-\ufe0f]|\ufeff/g;

/**
 * The password as it stands, and as SASLprep makes it where that is another text. Which of them the server has depends on
 * its method and on what SASLprep prohibits, so the second is to be tried when the first is not accepted.
 */
export function passwordForms(password: string): readonly string[] {
  const prepared = password.replaceAll(spaces, ' ').replaceAll(nothing, '').normalize('NFKC');
  return prepared === password || prepared === '' ? [password] : [password, prepared];
}
