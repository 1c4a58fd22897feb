package sidecar

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/grpcwire"
	"github.com/weftmesh/weft/proxy/mtls"
)

const (
	// signMethod is the certificate service of docs/xds.md.
	signMethod = "/weft.ca.v1.CertificateAuthority/Sign"
	// signWithin bounds one signing, dialWithin the connect to the control plane.
	signWithin = 20 * time.Second
	dialWithin = 10 * time.Second
)

// signer has certificates signed by the control plane. It implements
// mtls.Signer.
type signer struct {
	settings *Settings
	tls      *mtls.Source
}

// Sign implements mtls.Signer. The token is read each time: it is renewed on
// disk.
func (s *signer) Sign(ctx context.Context, csr []byte) (chain, roots [][]byte, err error) {
	token, err := os.ReadFile(s.settings.TokenFile)
	if err != nil {
		return nil, nil, fmt.Errorf("token: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, signWithin)
	defer cancel()
	c, err := grpcwire.Dial(ctx, s.settings.ControlAddress, s.tls.Control(s.settings.ControlName))
	if err != nil {
		return nil, nil, fmt.Errorf("control plane %s: %w", s.settings.ControlAddress, err)
	}
	defer c.Close()
	resp, err := c.Unary(ctx, signMethod, appendSignRequest(nil, csr),
		grpcwire.Metadata{Key: "authorization", Value: "Bearer " + string(bytes.TrimSpace(token))})
	if err != nil {
		return nil, nil, fmt.Errorf("signing by %s: %w", s.settings.ControlAddress, err)
	}
	return readSignResponse(resp)
}

// appendSignRequest encodes weft.ca.v1.SignRequest.
func appendSignRequest(b, csr []byte) []byte {
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	return protowire.AppendBytes(b, csr)
}

// readSignResponse decodes weft.ca.v1.SignResponse.
func readSignResponse(b []byte) (chain, roots [][]byte, err error) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, nil, fmt.Errorf("%w: response: %w", mtls.ErrIssued, protowire.ParseError(n))
		}
		b = b[n:]
		if kind != protowire.BytesType || number > 2 {
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return nil, nil, fmt.Errorf("%w: response: %w", mtls.ErrIssued, protowire.ParseError(n))
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return nil, nil, fmt.Errorf("%w: response: %w", mtls.ErrIssued, protowire.ParseError(n))
		}
		if number == 1 {
			chain = append(chain, v)
		} else {
			roots = append(roots, v)
		}
		b = b[n:]
	}
	return chain, roots, nil
}

// dial opens the discovery stream on a connection of its own.
func (p *sidecar) dial(ctx context.Context) (config.Stream, error) {
	within, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	c, err := grpcwire.Dial(within, p.settings.ControlAddress, p.tls.Control(p.settings.ControlName))
	if err != nil {
		return nil, err
	}
	s, err := c.Stream(ctx, config.Method)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &discovery{s, c}, nil
}

// discovery is a stream and the connection below it.
type discovery struct {
	*grpcwire.Stream
	client *grpcwire.Client
}

// Close ends the stream and its connection.
func (d *discovery) Close() {
	d.Stream.Close()
	d.client.Close()
}
