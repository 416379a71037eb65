// An OpAMP agent on Elastic's client, for the interoperability tests: plain HTTP only.
//
// It prints one JSON object per line for what it sees, and obeys lines on standard input:
//
//   stop                  end; this client has no disconnect message
//   describe key=value    report a further non-identifying attribute

import { channel } from 'node:diagnostics_channel';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { AgentCapabilities, RemoteConfigStatuses, createOpAMPClient } from '@elastic/opamp-client-node';

const { values: options } = parseArgs({
  options: {
    endpoint: { type: 'string' },
    secret: { type: 'string', default: '' },
    uid: { type: 'string' },
    name: { type: 'string', default: 'interop-node' },
    labels: { type: 'string', default: '' },
    fail: { type: 'string', default: '' },
    interval: { type: 'string', default: '30' },
  },
});

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const hex = (bytes) => Buffer.from(bytes ?? []).toString('hex');

const attributes = { 'os.type': 'linux', 'host.name': 'interop' };
for (const pair of options.labels.split(',').filter(Boolean)) {
  const [key, value] = pair.split('=');
  attributes[key] = value;
}
const description = () => ({
  identifyingAttributes: { 'service.name': options.name, 'service.version': '1.2.3' },
  nonIdentifyingAttributes: { ...attributes },
});

const client = createOpAMPClient({
  endpoint: options.endpoint,
  headers: options.secret ? { Authorization: `Bearer ${options.secret}` } : {},
  instanceUid: options.uid,
  heartbeatIntervalSeconds: Number(options.interval),
  capabilities:
    AgentCapabilities.AgentCapabilities_AcceptsRemoteConfig | AgentCapabilities.AgentCapabilities_ReportsRemoteConfig,
  diagEnabled: true,
  onMessage: ({ remoteConfig }) => {
    if (!remoteConfig) return;
    const files = {};
    for (const [key, file] of Object.entries(remoteConfig.config?.configMap ?? {})) {
      files[key] = { body: Buffer.from(file.body).toString(), content_type: file.contentType };
    }
    const hash = hex(remoteConfig.configHash);
    say({ event: 'remote_config', hash, files });
    const failed = options.fail && Object.values(files).some((file) => file.body.includes(options.fail));
    client.setRemoteConfigStatus({
      status: failed
        ? RemoteConfigStatuses.RemoteConfigStatuses_FAILED
        : RemoteConfigStatuses.RemoteConfigStatuses_APPLIED,
      lastRemoteConfigHash: remoteConfig.configHash,
      errorMessage: failed ? `"${options.fail}" is not for this agent` : '',
    });
    say({ event: failed ? 'failed' : 'applied', hash });
  },
});

channel('opamp-client.send.success').subscribe(() => say({ event: 'connected' }));
channel('opamp-client.send.fail').subscribe(({ err }) => say({ event: 'connect_failed', error: String(err) }));

client.setAgentDescription(description());
client.start();

for await (const line of createInterface({ input: process.stdin })) {
  const [command, argument = ''] = line.trim().split(' ');
  if (command === 'stop') break;
  if (command === 'describe') {
    const [key, value] = argument.split('=');
    attributes[key] = value;
    client.setAgentDescription(description());
  } else {
    say({ event: 'error', error: `unknown command ${command}` });
  }
}
await client.shutdown();
say({ event: 'stopped' });
process.exit(0);
