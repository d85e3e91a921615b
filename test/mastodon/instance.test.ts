import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { instanceName } from '../../src/mastodon/instance.ts';
import { environmentOf } from '../config/environments.ts';

const target = { host: 'db', database: 'mastodon_production' } as const;

describe('the instance', () => {
  it('is LOCAL_DOMAIN, whatever an env file left around it', () => {
    for (const LOCAL_DOMAIN of ['social.example', ' social.example\r', '"social.example"', "'Social.Example'"]) {
      assert.equal(instanceName(environmentOf({ LOCAL_DOMAIN }), target), 'social.example');
    }
  });

  it('is host and database when there is no domain', () => {
    for (const environment of [{}, { LOCAL_DOMAIN: '' }, { LOCAL_DOMAIN: '""' }]) {
      assert.equal(instanceName(environmentOf(environment), target), 'db/mastodon_production');
    }
  });
});
