// A minimal OpAMP server on opamp-go's library, to compare with: it remembers each agent's last sequence number and
// answers every message with the agent's uid.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/open-telemetry/opamp-go/protobufs"
	"github.com/open-telemetry/opamp-go/server"
	"github.com/open-telemetry/opamp-go/server/types"
)

// silent: the driver hangs up without a close frame, which the library would report for every agent.
type silent struct{}

func (silent) Debugf(context.Context, string, ...interface{}) {}

func (silent) Errorf(context.Context, string, ...interface{}) {}

func main() {
	port := flag.Int("port", 4320, "port on the loopback address")
	flag.Parse()

	var sequence sync.Map
	callbacks := types.ConnectionCallbacks{
		OnMessage: func(_ context.Context, _ types.Connection, message *protobufs.AgentToServer) *protobufs.ServerToAgent {
			sequence.Store(string(message.InstanceUid), message.SequenceNum)
			return &protobufs.ServerToAgent{InstanceUid: message.InstanceUid}
		},
	}
	settings := server.StartSettings{ListenEndpoint: fmt.Sprintf("127.0.0.1:%d", *port)}
	settings.Callbacks.OnConnecting = func(*http.Request) types.ConnectionResponse {
		return types.ConnectionResponse{Accept: true, ConnectionCallbacks: callbacks}
	}
	instance := server.New(silent{})
	if err := instance.Start(settings); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
	_ = instance.Stop(context.Background())
}
