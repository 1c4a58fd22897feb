package ca

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	cav1 "github.com/weftmesh/weft/gen/weft/ca/v1"
	"github.com/weftmesh/weft/identity"
)

// ErrToken means that a token is refused: it is malformed, expired, for another
// audience, or of nobody known.
var ErrToken = errors.New("token refused")

// Caller is whom a token belongs to.
type Caller struct {
	Namespace      string
	ServiceAccount string
	// Pod is empty for a token that is not bound to one.
	Pod string
}

// Authenticator says whom a token belongs to. The error wraps ErrToken where
// the token is to blame; any other means that it could not be found out.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Caller, error)
}

// AuthenticatorFunc is a function as an Authenticator.
type AuthenticatorFunc func(ctx context.Context, token string) (Caller, error)

// Authenticate calls the function.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, token string) (Caller, error) {
	return f(ctx, token)
}

// Service is the signing service.
type Service struct {
	cav1.UnimplementedCertificateAuthorityServer
	authority   *Authority
	callers     Authenticator
	trustDomain string
	log         *slog.Logger
}

var _ cav1.CertificateAuthorityServer = (*Service)(nil)

// NewService makes a signing service for the identities of a trust domain.
func NewService(a *Authority, callers Authenticator, trustDomain string, log *slog.Logger) *Service {
	return &Service{authority: a, callers: callers, trustDomain: trustDomain, log: log}
}

// Register attaches the service to a gRPC server.
func (s *Service) Register(g grpc.ServiceRegistrar) { cav1.RegisterCertificateAuthorityServer(g, s) }

// Sign returns a certificate for the workload that the token belongs to.
func (s *Service) Sign(ctx context.Context, req *cav1.SignRequest) (*cav1.SignResponse, error) {
	token := bearer(ctx)
	if token == "" {
		return nil, status.Error(codes.Unauthenticated, "no token; send metadata authorization: Bearer <token>")
	}
	caller, err := s.callers.Authenticate(ctx, token)
	if err != nil {
		if errors.Is(err, ErrToken) {
			s.log.Warn("token refused", "error", err)
			return nil, status.Error(codes.Unauthenticated, err.Error())
		}
		s.log.Error("token not checked", "error", err)
		return nil, status.Errorf(codes.Unavailable, "the token could not be checked: %v", err)
	}
	id, err := identity.NewID(s.trustDomain, caller.Namespace, caller.ServiceAccount)
	if err != nil {
		return nil, status.Errorf(codes.Unauthenticated, "the token's identity cannot be used: %v", err)
	}
	chain, bundle, err := s.authority.Sign(req.GetCsr(), id)
	if err != nil {
		s.log.Warn("certificate refused", "identity", id.String(), "pod", caller.Pod, "error", err)
		return nil, status.Error(code(err), err.Error())
	}
	s.log.Debug("certificate issued", "identity", id.String(), "pod", caller.Pod)
	resp := &cav1.SignResponse{Chain: chain}
	for _, r := range bundle.Roots() {
		resp.Roots = append(resp.Roots, r.Raw)
	}
	return resp, nil
}

func code(err error) codes.Code {
	switch {
	case errors.Is(err, ErrForeign):
		return codes.PermissionDenied
	case errors.Is(err, ErrRequest), errors.Is(err, ErrWeakKey):
		return codes.InvalidArgument
	}
	return codes.Unavailable
}

func bearer(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
