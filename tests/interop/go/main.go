// An OpAMP agent on the reference client opamp-go, for the interoperability tests.
//
// It prints one JSON object per line for what it sees, and obeys lines on standard input:
//
//	stop                  disconnect and end
//	health true|false     report health
//	describe key=value    report a further non-identifying attribute
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/open-telemetry/opamp-go/client"
	"github.com/open-telemetry/opamp-go/client/types"
	"github.com/open-telemetry/opamp-go/protobufs"
)

type event map[string]any

var (
	output   sync.Mutex
	encoder  = json.NewEncoder(os.Stdout)
	endpoint = flag.String("endpoint", "", "ws, wss, http or https URL of the server")
	secret   = flag.String("secret", "", "sent as Authorization: Bearer")
	uid      = flag.String("uid", "", "instance uid; a new one by default")
	name     = flag.String("name", "interop-go", "service.name")
	labels   = flag.String("labels", "", "k=v,k=v: non-identifying attributes")
	failText = flag.String("fail", "", "a configuration that contains this text fails")
	interval = flag.Duration("interval", 30*time.Second, "between heartbeats or polls")
	compress = flag.Bool("compress", false, "gzip requests; offer permessage-deflate on a WebSocket")
	askUid   = flag.Bool("ask-uid", false, "ask the server for an instance uid")
	parts    = flag.Bool("components", false, "report available components")
	moves    = flag.Bool("settings", false, "take connection settings: connect anew with the headers offered")
)

func say(what event) {
	output.Lock()
	defer output.Unlock()
	if err := encoder.Encode(what); err != nil {
		os.Exit(1)
	}
}

// agent is what opamp-go reports for us. Its fields change in callbacks and by commands.
type agent struct {
	mutex     sync.Mutex
	client    client.OpAMPClient
	effective map[string]*protobufs.AgentConfigFile
	attrs     map[string]string
	startedAt uint64
	// The headers of the last settings offered, for the main loop: a client cannot be stopped from its own callback.
	offered chan http.Header
}

func text(value string) *protobufs.AnyValue {
	return &protobufs.AnyValue{Value: &protobufs.AnyValue_StringValue{StringValue: value}}
}

func keyValues(pairs map[string]string) []*protobufs.KeyValue {
	found := make([]*protobufs.KeyValue, 0, len(pairs))
	for key, value := range pairs {
		found = append(found, &protobufs.KeyValue{Key: key, Value: text(value)})
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Key < found[j].Key })
	return found
}

func (a *agent) description() *protobufs.AgentDescription {
	return &protobufs.AgentDescription{
		IdentifyingAttributes:    keyValues(map[string]string{"service.name": *name, "service.version": "1.2.3"}),
		NonIdentifyingAttributes: keyValues(a.attrs),
	}
}

func (a *agent) health(healthy bool) *protobufs.ComponentHealth {
	report := &protobufs.ComponentHealth{
		Healthy: healthy, StartTimeUnixNano: a.startedAt, StatusTimeUnixNano: uint64(time.Now().UnixNano()),
	}
	if !healthy {
		report.LastError = "told to be ill"
	}
	return report
}

func components() *protobufs.AvailableComponents {
	receivers := &protobufs.ComponentDetails{SubComponentMap: map[string]*protobufs.ComponentDetails{
		"otlp": {Metadata: keyValues(map[string]string{"code.namespace": "example.org/receiver/otlp"})},
	}}
	return &protobufs.AvailableComponents{
		Hash:       []byte(*name),
		Components: map[string]*protobufs.ComponentDetails{"receivers": receivers},
	}
}

func (a *agent) effectiveConfig(context.Context) (*protobufs.EffectiveConfig, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return &protobufs.EffectiveConfig{ConfigMap: &protobufs.AgentConfigMap{ConfigMap: a.effective}}, nil
}

func (a *agent) onMessage(ctx context.Context, message *types.MessageData) {
	if message.AgentIdentification != nil {
		given, err := uuid.FromBytes(message.AgentIdentification.NewInstanceUid)
		say(event{"event": "new_uid", "uid": given.String(), "usable": err == nil})
	}
	offer := message.RemoteConfig
	if offer == nil {
		return
	}
	files := map[string]event{}
	status := &protobufs.RemoteConfigStatus{
		LastRemoteConfigHash: offer.ConfigHash, Status: protobufs.RemoteConfigStatuses_RemoteConfigStatuses_APPLIED,
	}
	for key, file := range offer.Config.ConfigMap {
		files[key] = event{"body": string(file.Body), "content_type": file.ContentType}
		if *failText != "" && strings.Contains(string(file.Body), *failText) {
			status.Status = protobufs.RemoteConfigStatuses_RemoteConfigStatuses_FAILED
			status.ErrorMessage = fmt.Sprintf("%q is not for this agent", *failText)
		}
	}
	say(event{"event": "remote_config", "hash": hex.EncodeToString(offer.ConfigHash), "files": files})
	failed := status.ErrorMessage != ""
	if !failed {
		a.mutex.Lock()
		a.effective = offer.Config.ConfigMap
		a.mutex.Unlock()
		if err := a.client.UpdateEffectiveConfig(ctx); err != nil {
			say(event{"event": "error", "error": err.Error()})
		}
	}
	if err := a.client.SetRemoteConfigStatus(status); err != nil {
		say(event{"event": "error", "error": err.Error()})
	}
	outcome := "applied"
	if failed {
		outcome = "failed"
	}
	say(event{"event": outcome, "hash": hex.EncodeToString(offer.ConfigHash)})
}

func (a *agent) onSettings(_ context.Context, settings *protobufs.OpAMPConnectionSettings) error {
	header := http.Header{}
	for _, pair := range settings.GetHeaders().GetHeaders() {
		header.Add(pair.Key, pair.Value)
	}
	a.offered <- header
	return nil
}

func (a *agent) settings(id uuid.UUID, header http.Header) types.StartSettings {
	return types.StartSettings{
		OpAMPServerURL:    *endpoint,
		Header:            header,
		InstanceUid:       types.InstanceUid(id),
		HeartbeatInterval: interval,
		EnableCompression: *compress,
		Callbacks: types.Callbacks{
			OnConnect: func(context.Context) { say(event{"event": "connected"}) },
			OnConnectFailed: func(_ context.Context, err error) {
				say(event{"event": "connect_failed", "error": err.Error()})
			},
			OnError: func(_ context.Context, err *protobufs.ServerErrorResponse) {
				say(event{"event": "error", "error": err.ErrorMessage})
			},
			OnMessage:                 a.onMessage,
			GetEffectiveConfig:        a.effectiveConfig,
			OnOpampConnectionSettings: a.onSettings,
			OnCommand: func(context.Context, *protobufs.ServerToAgentCommand) error {
				say(event{"event": "restart"})
				return nil
			},
		},
	}
}

// start makes a client that connects with these headers; one client connects with the same headers for ever.
func (a *agent) start(id uuid.UUID, header http.Header) error {
	if strings.HasPrefix(*endpoint, "http") {
		a.client = client.NewHTTP(nil)
	} else {
		a.client = client.NewWebSocket(nil)
	}
	capabilities := protobufs.AgentCapabilities_AgentCapabilities_ReportsStatus |
		protobufs.AgentCapabilities_AgentCapabilities_AcceptsRemoteConfig |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsRemoteConfig |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsEffectiveConfig |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsHealth |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsHeartbeat |
		protobufs.AgentCapabilities_AgentCapabilities_AcceptsRestartCommand
	if *parts {
		capabilities |= protobufs.AgentCapabilities_AgentCapabilities_ReportsAvailableComponents
		if err := a.client.SetAvailableComponents(components()); err != nil {
			return err
		}
	}
	if *moves {
		capabilities |= protobufs.AgentCapabilities_AgentCapabilities_AcceptsOpAMPConnectionSettings |
			protobufs.AgentCapabilities_AgentCapabilities_ReportsConnectionSettingsStatus
	}
	if *askUid {
		a.client.SetFlags(protobufs.AgentToServerFlags_AgentToServerFlags_RequestInstanceUid)
	}
	// Capabilities last: the client checks that what they promise is there.
	err := errors.Join(
		a.client.SetAgentDescription(a.description()),
		a.client.SetHealth(a.health(true)),
		a.client.SetCapabilities(&capabilities),
	)
	if err != nil {
		return err
	}
	return a.client.Start(context.Background(), a.settings(id, header))
}

func (a *agent) stop() error {
	patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return a.client.Stop(patience)
}

// obey runs one line of standard input; false ends the agent.
func (a *agent) obey(line string) (bool, error) {
	command, argument, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch command {
	case "stop":
		return false, nil
	case "health":
		return true, a.client.SetHealth(a.health(argument == "true"))
	case "describe":
		key, value, _ := strings.Cut(argument, "=")
		a.attrs[key] = value
		return true, a.client.SetAgentDescription(a.description())
	}
	return true, fmt.Errorf("unknown command %q", command)
}

func run() error {
	flag.Parse()
	a := &agent{
		attrs:     map[string]string{"os.type": "linux", "host.name": "interop"},
		effective: map[string]*protobufs.AgentConfigFile{"": {Body: []byte("receivers: {}\n"), ContentType: "text/yaml"}},
		startedAt: uint64(time.Now().UnixNano()),
		offered:   make(chan http.Header, 16),
	}
	for _, pair := range strings.Split(*labels, ",") {
		if key, value, found := strings.Cut(pair, "="); found {
			a.attrs[key] = value
		}
	}
	id := uuid.Must(uuid.NewV7())
	if *uid != "" {
		parsed, err := uuid.Parse(*uid)
		if err != nil {
			return fmt.Errorf("-uid: %w", err)
		}
		id = parsed
	}
	header := http.Header{}
	if *secret != "" {
		header.Set("Authorization", "Bearer "+*secret)
	}
	say(event{"event": "uid", "uid": id.String()})
	if err := a.start(id, header); err != nil {
		return err
	}
	lines := make(chan string)
	go func() {
		scanner := bufio.NewScanner(os.Stdin)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
		close(lines)
	}()
	for {
		select {
		case header := <-a.offered:
			if err := errors.Join(a.stop(), a.start(id, header)); err != nil {
				return err
			}
			say(event{"event": "moved"})
		case line, open := <-lines:
			more, err := open, error(nil)
			if open {
				more, err = a.obey(line)
			}
			if err != nil {
				say(event{"event": "error", "error": err.Error()})
			}
			if !more {
				return a.stop()
			}
		}
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	say(event{"event": "stopped"})
}
