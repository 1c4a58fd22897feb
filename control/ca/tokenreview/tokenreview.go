// Package tokenreview authenticates workloads by their Kubernetes service
// account tokens (TokenReview, authentication.k8s.io/v1).
package tokenreview

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/control/ca"
)

// Audience that a token must be made for.
const Audience = "weft"

// podName is where a bound token carries its pod (Kubernetes, "Token claims").
const podName = "authentication.kubernetes.io/pod-name"

// Reviewer creates TokenReviews; client-go's AuthenticationV1().TokenReviews() is one.
type Reviewer interface {
	Create(ctx context.Context, review *authv1.TokenReview, opts metav1.CreateOptions) (*authv1.TokenReview, error)
}

// Authenticator asks the API server.
type Authenticator struct{ reviews Reviewer }

var _ ca.Authenticator = Authenticator{}

// New makes an Authenticator.
func New(r Reviewer) Authenticator { return Authenticator{r} }

// Authenticate returns whom a token belongs to.
func (a Authenticator) Authenticate(ctx context.Context, token string) (ca.Caller, error) {
	r, err := a.reviews.Create(ctx, &authv1.TokenReview{Spec: authv1.TokenReviewSpec{Token: token, Audiences: []string{Audience}}}, metav1.CreateOptions{})
	if err != nil {
		return ca.Caller{}, fmt.Errorf("token review: %w", err)
	}
	s := r.Status
	if !s.Authenticated {
		return ca.Caller{}, fmt.Errorf("%w: %s", ca.ErrToken, orElse(s.Error, "the API server does not accept it"))
	}
	// An API server that knows nothing of audiences returns none.
	if !slices.Contains(s.Audiences, Audience) {
		return ca.Caller{}, fmt.Errorf("%w: it is for the audiences %v, want %s", ca.ErrToken, s.Audiences, Audience)
	}
	parts := strings.Split(s.User.Username, ":")
	if len(parts) != 4 || parts[0] != "system" || parts[1] != "serviceaccount" {
		return ca.Caller{}, fmt.Errorf("%w: user %q is no service account", ca.ErrToken, s.User.Username)
	}
	c := ca.Caller{Namespace: parts[2], ServiceAccount: parts[3]}
	if v := s.User.Extra[podName]; len(v) == 1 {
		c.Pod = v[0]
	}
	return c, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
