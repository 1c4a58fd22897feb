package tokenreview

import (
	"context"
	"errors"
	"testing"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/control/ca"
)

// server answers each review with a fixed status.
type server struct {
	status authv1.TokenReviewStatus
	err    error
	asked  authv1.TokenReviewSpec
}

func (s *server) Create(_ context.Context, r *authv1.TokenReview, _ metav1.CreateOptions) (*authv1.TokenReview, error) {
	s.asked = r.Spec
	return &authv1.TokenReview{Status: s.status}, s.err
}

func TestAuthenticate(t *testing.T) {
	account := authv1.UserInfo{Username: "system:serviceaccount:default:web", Extra: map[string]authv1.ExtraValue{podName: {"web-0"}}}
	ours := []string{Audience}
	down := errors.New("connection refused")
	for _, c := range []struct {
		name    string
		server  server
		want    ca.Caller
		refused bool
		err     error
	}{
		{name: "good", server: server{status: authv1.TokenReviewStatus{Authenticated: true, Audiences: ours, User: account}}, want: ca.Caller{Namespace: "default", ServiceAccount: "web", Pod: "web-0"}},
		{name: "not authenticated", server: server{status: authv1.TokenReviewStatus{Error: "token expired", Audiences: ours, User: account}}, refused: true},
		{name: "another audience", server: server{status: authv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"api"}, User: account}}, refused: true},
		{name: "no audience", server: server{status: authv1.TokenReviewStatus{Authenticated: true, User: account}}, refused: true},
		{name: "a person", server: server{status: authv1.TokenReviewStatus{Authenticated: true, Audiences: ours, User: authv1.UserInfo{Username: "admin"}}}, refused: true},
		{name: "a node", server: server{status: authv1.TokenReviewStatus{Authenticated: true, Audiences: ours, User: authv1.UserInfo{Username: "system:node:x"}}}, refused: true},
		{name: "API server away", server: server{err: down}, err: down},
	} {
		got, err := New(&c.server).Authenticate(t.Context(), "token")
		if got != c.want || errors.Is(err, ca.ErrToken) != c.refused || c.err != nil && !errors.Is(err, c.err) || err == nil && (c.refused || c.err != nil) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
		if a := c.server.asked; a.Token != "token" || len(a.Audiences) != 1 || a.Audiences[0] != Audience {
			t.Errorf("%s: asked %+v", c.name, a)
		}
	}
}
