package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/open-telemetry/opamp-go/protobufs"
)

const dialPatience = 2 * time.Second

// connection is what one client connects with; the client keeps it for ever, so other settings need another client.
type connection struct {
	endpoint    string
	header      http.Header
	certificate *tls.Certificate
}

// tlsConfig trusts the authorities of -ca, and shows the certificate if there is one; nil for plain connections.
func (c connection) tlsConfig() (*tls.Config, error) {
	if *authorities == "" {
		return nil, nil
	}
	text, err := os.ReadFile(*authorities)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", *authorities)
	}
	config := &tls.Config{RootCAs: pool}
	if c.certificate != nil {
		config.Certificates = []tls.Certificate{*c.certificate}
	}
	return config, nil
}

// answers says why nobody listens there; an agent that believed an offer blindly would be lost.
func (c connection) answers() error {
	where, err := url.Parse(c.endpoint)
	if err != nil {
		return err
	}
	socket, err := net.DialTimeout("tcp", where.Host, dialPatience)
	if err != nil {
		return err
	}
	return socket.Close()
}

// offeredConnection is what the agent has now, with what the server's settings say instead.
func (a *agent) offeredConnection(settings *protobufs.OpAMPConnectionSettings) (connection, error) {
	a.mutex.Lock()
	made, key := a.present, a.key
	a.mutex.Unlock()
	made.header = http.Header{}
	for _, pair := range settings.GetHeaders().GetHeaders() {
		made.header.Add(pair.Key, pair.Value)
	}
	if settings.GetDestinationEndpoint() != "" {
		made.endpoint = settings.GetDestinationEndpoint()
	}
	if text := settings.GetCertificate().GetCert(); len(text) > 0 {
		if key == nil {
			return made, errors.New("a certificate for a key that is not ours")
		}
		marshalled, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			return made, err
		}
		pair, err := tls.X509KeyPair(text, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: marshalled}))
		if err != nil {
			return made, err
		}
		made.certificate = &pair
	}
	return made, made.answers()
}

// requestCertificate makes a key of the agent's own and asks for a certificate for it.
func (a *agent) requestCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	subject := x509.CertificateRequest{Subject: pkix.Name{CommonName: a.id.String()}}
	request, err := x509.CreateCertificateRequest(rand.Reader, &subject, key)
	if err != nil {
		return err
	}
	a.mutex.Lock()
	a.key = key
	a.mutex.Unlock()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})
	return a.client.RequestConnectionSettings(&protobufs.ConnectionSettingsRequest{
		Opamp: &protobufs.OpAMPConnectionSettingsRequest{
			CertificateRequest: &protobufs.CertificateRequest{Csr: text},
		},
	})
}
