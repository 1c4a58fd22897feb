package control

import (
	"context"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"

	"github.com/weftmesh/weft/control/ca"
	"github.com/weftmesh/weft/identity"
)

var errNoClientCertificate = errors.New("no client certificate")

// servingNames are what clients may call the control plane.
func servingNames(o Options) []string {
	host := "weft-control." + o.Namespace + ".svc"
	return []string{host, host + "." + o.ClusterDomain, "localhost"}
}

// Address is where discovery and signing are served.
func (c *Control) Address() net.Addr { return c.discovery.Addr() }

// AdminAddress is where the admin port listens, or nil.
func (c *Control) AdminAddress() net.Addr {
	if c.admin == nil {
		return nil
	}
	return c.admin.Addr()
}

// serveDiscovery serves discovery and signing until the context ends.
func (c *Control) serveDiscovery(ctx context.Context, callers ca.Authenticator) error {
	s := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(c.serving.TLS())),
		grpc.MaxConcurrentStreams(100),
		grpc.ConnectionTimeout(10*time.Second),
		// Finds clients that are gone without a word.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	c.push.Register(s)
	ca.NewService(c.authority, callers, c.options.TrustDomain, c.options.Log).Register(s)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		// Not gracefully: discovery streams never end by themselves.
		s.Stop()
	}()
	if err := s.Serve(c.discovery); err != nil && ctx.Err() == nil {
		return err
	}
	<-stopped
	return ctx.Err()
}

// identify returns the identity that the caller's certificate proves.
func (c *Control) identify(ctx context.Context) (identity.ID, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return identity.ID{}, errNoClientCertificate
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return identity.ID{}, errNoClientCertificate
	}
	bundle, err := c.authority.Bundle()
	if err != nil {
		return identity.ID{}, err
	}
	id, err := identity.VerifyPeer(info.State.PeerCertificates, bundle, identity.Client, time.Now())
	if err != nil {
		return identity.ID{}, err
	}
	if id.TrustDomain != c.options.TrustDomain {
		return identity.ID{}, identity.ErrRefused
	}
	return id, nil
}
