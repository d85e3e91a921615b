// Health for people; the JSON document is the assessment itself.

import type { Health } from '../health/assess.ts';

/** Health in a few lines, the first of which says it all. */
export function renderHealth(health: Health): string {
  const tiers = Object.entries(health.tiers).map(
    ([tier, { lastSuccessAt, deadlineAt }]) =>
      `  ${tier.padEnd(8)} last ${lastSuccessAt ?? 'never'}, next due by ${deadlineAt ?? 'never'}`,
  );
  const drill =
    health.drill === null
      ? []
      : [`  drill    ${health.drill.status}, last passed ${health.drill.lastSuccessAt ?? 'never'}`];
  const running = health.running === null ? [] : [`  running  ${health.running.command} since ${health.running.since}`];
  return [
    health.status,
    ...tiers,
    ...drill,
    ...running,
    ...health.warnings.map((text) => `  warning: ${text}`),
    '',
  ].join('\n');
}
