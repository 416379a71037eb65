// An OpAMP agent on the reference client opamp-go, for the interoperability tests.
//
// It prints one JSON object per line for what it sees, and obeys lines on standard input:
//
//	stop                  disconnect and end
//	health true|false     report health
//	describe key=value    report a further non-identifying attribute
//	csr                   make a key and ask for a certificate
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
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
	moves    = flag.Bool("settings", false, "take connection settings: connect anew with what is offered")
	installs = flag.Bool("packages", false, "install packages")
	pace     = flag.Duration("pace", 0, "pause after each 64 KiB of a package")
	// The server's, for wss and https.
	authorities = flag.String("ca", "", "a PEM file with the authorities to trust")
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
	answered  *protobufs.RemoteConfigStatus
	attrs     map[string]string
	startedAt uint64
	id        uuid.UUID
	present   connection
	key       *ecdsa.PrivateKey
	packages  *packages
	// The settings offered, for the main loop: a client cannot be stopped from its own callback.
	offered chan connection
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
	if message.PackageSyncer != nil {
		say(event{"event": "packages_offered", "names": len(message.PackagesAvailable.Packages)})
		if err := message.PackageSyncer.Sync(ctx); err != nil {
			say(event{"event": "error", "error": err.Error()})
		}
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
	a.mutex.Lock()
	a.answered = status
	if !failed {
		a.effective = offer.Config.ConfigMap
	}
	a.mutex.Unlock()
	if !failed {
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
	made, err := a.offeredConnection(settings)
	if err != nil {
		say(event{"event": "not_moved", "error": err.Error()})
		return err
	}
	a.offered <- made
	return nil
}

func (a *agent) settings() (types.StartSettings, error) {
	config, err := a.present.tlsConfig()
	a.mutex.Lock()
	answered := a.answered
	a.mutex.Unlock()
	settings := types.StartSettings{
		// The next client of the same agent knows what the former one has applied.
		RemoteConfigStatus: answered,
		OpAMPServerURL:     a.present.endpoint,
		Header:             a.present.header,
		TLSConfig:          config,
		InstanceUid:        types.InstanceUid(a.id),
		HeartbeatInterval:  interval,
		EnableCompression:  *compress,
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
	if *installs {
		often := time.Second
		settings.PackagesStateProvider, settings.DownloadReporterInterval = a.packages, &often
	}
	return settings, err
}

// start makes a client that connects with these settings.
func (a *agent) start(with connection) error {
	a.mutex.Lock()
	a.present = with
	a.mutex.Unlock()
	if strings.HasPrefix(with.endpoint, "http") {
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
	if *installs {
		capabilities |= protobufs.AgentCapabilities_AgentCapabilities_AcceptsPackages |
			protobufs.AgentCapabilities_AgentCapabilities_ReportsPackageStatuses
	}
	if *askUid {
		a.client.SetFlags(protobufs.AgentToServerFlags_AgentToServerFlags_RequestInstanceUid)
	}
	err := errors.Join(
		a.client.SetAgentDescription(a.description()),
		a.client.SetHealth(a.health(true)),
	)
	if err != nil {
		return err
	}
	settings, err := a.settings()
	if err != nil {
		return err
	}
	if *installs {
		// The client checks what capabilities promise, and hears of who keeps its packages only when it starts.
		settings.Capabilities = capabilities
	} else if err := a.client.SetCapabilities(&capabilities); err != nil {
		return err
	}
	return a.client.Start(context.Background(), settings)
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
	case "csr":
		return true, a.requestCertificate()
	}
	return true, fmt.Errorf("unknown command %q", command)
}

func run() error {
	flag.Parse()
	a := &agent{
		attrs:     map[string]string{"os.type": "linux", "host.name": "interop"},
		effective: map[string]*protobufs.AgentConfigFile{"": {Body: []byte("receivers: {}\n"), ContentType: "text/yaml"}},
		startedAt: uint64(time.Now().UnixNano()),
		packages:  newPackages(),
		offered:   make(chan connection, 16),
	}
	for _, pair := range strings.Split(*labels, ",") {
		if key, value, found := strings.Cut(pair, "="); found {
			a.attrs[key] = value
		}
	}
	a.id = uuid.Must(uuid.NewV7())
	if *uid != "" {
		parsed, err := uuid.Parse(*uid)
		if err != nil {
			return fmt.Errorf("-uid: %w", err)
		}
		a.id = parsed
	}
	header := http.Header{}
	if *secret != "" {
		header.Set("Authorization", "Bearer "+*secret)
	}
	say(event{"event": "uid", "uid": a.id.String()})
	if err := a.start(connection{endpoint: *endpoint, header: header}); err != nil {
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
		case with := <-a.offered:
			if err := errors.Join(a.stop(), a.start(with)); err != nil {
				return err
			}
			say(event{"event": "moved", "endpoint": with.endpoint, "certificate": with.certificate != nil})
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
