package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/open-telemetry/opamp-go/client/types"
	"github.com/open-telemetry/opamp-go/protobufs"
)

const pieceBytes = 64 * 1024

// installed is one package as it lies on the agent's machine; of its file the digest alone is kept.
type installed struct {
	state  types.PackageState
	digest []byte
}

// packages is what opamp-go's syncer asks of an agent that installs packages; it is kept in memory.
type packages struct {
	mutex    sync.Mutex
	all      []byte
	found    map[string]*installed
	statuses *protobufs.PackageStatuses
}

func newPackages() *packages {
	return &packages{found: map[string]*installed{}}
}

func (p *packages) AllPackagesHash() ([]byte, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.all, nil
}

func (p *packages) SetAllPackagesHash(hash []byte) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.all = hash
	say(event{"event": "packages_in_sync", "hash": hex.EncodeToString(hash)})
	return nil
}

func (p *packages) Packages() ([]string, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	names := make([]string, 0, len(p.found))
	for name := range p.found {
		names = append(names, name)
	}
	return names, nil
}

func (p *packages) PackageState(name string) (types.PackageState, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if one, there := p.found[name]; there {
		return one.state, nil
	}
	return types.PackageState{}, nil
}

func (p *packages) SetPackageState(name string, state types.PackageState) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	one, there := p.found[name]
	if !there {
		return fmt.Errorf("there is no package %q", name)
	}
	state.Exists, state.Type = true, one.state.Type
	one.state = state
	say(event{"event": "installed", "name": name, "version": state.Version, "sha256": hex.EncodeToString(one.digest)})
	return nil
}

func (p *packages) CreatePackage(name string, kind protobufs.PackageType) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if _, there := p.found[name]; there {
		return fmt.Errorf("there is a package %q already", name)
	}
	p.found[name] = &installed{state: types.PackageState{Exists: true, Type: kind}}
	return nil
}

func (p *packages) FileContentHash(name string) ([]byte, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if one, there := p.found[name]; there {
		return one.digest, nil
	}
	return nil, nil
}

// UpdateContent reads the whole file, as slowly as -pace says, and takes it when it is what the server promised.
func (p *packages) UpdateContent(ctx context.Context, name string, data io.Reader, promised, _ []byte) error {
	digest := sha256.New()
	for {
		_, err := io.CopyN(digest, data, pieceBytes)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(*pace):
		}
	}
	found := digest.Sum(nil)
	if !bytes.Equal(found, promised) {
		return fmt.Errorf("the file has SHA-256 %x, promised was %x", found, promised)
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.found[name].digest = found
	return nil
}

func (p *packages) DeletePackage(name string) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.found, name)
	say(event{"event": "removed", "name": name})
	return nil
}

func (p *packages) LastReportedStatuses() (*protobufs.PackageStatuses, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.statuses, nil
}

func (p *packages) SetLastReportedStatuses(statuses *protobufs.PackageStatuses) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.statuses = statuses
	return nil
}
