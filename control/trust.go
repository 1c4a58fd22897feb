package control

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/weftmesh/weft/control/ca"
	"github.com/weftmesh/weft/control/ca/kubesecret"
	"github.com/weftmesh/weft/control/ca/localtoken"
	"github.com/weftmesh/weft/control/ca/tokenreview"
)

// pollFiles is how often issuer files are read again.
const pollFiles = time.Second

// callers says whom a signing request comes from.
func (c *Control) callers() (ca.Authenticator, error) {
	if c.client != nil {
		return tokenreview.New(c.client.AuthenticationV1().TokenReviews()), nil
	}
	key, err := localtoken.LoadOrCreateKey(c.options.TokenKey)
	if err != nil {
		return nil, err
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("token key %s: no Ed25519 key", c.options.TokenKey)
	}
	return ca.AuthenticatorFunc(func(_ context.Context, token string) (ca.Caller, error) {
		claims, err := localtoken.Verify(public, token, time.Now())
		if err != nil {
			return ca.Caller{}, fmt.Errorf("%w: %w", ca.ErrToken, err)
		}
		return ca.Caller(claims), nil
	}), nil
}

// issuer gives the authority its material and follows what it came from. In a
// cluster the files are what to begin with, and the Secret is what counts.
func (c *Control) issuer(run func(string, func(context.Context) error)) error {
	o := c.options
	if o.Issuer.Cert != "" {
		load := o.Issuer.Load
		if o.Source == File {
			load = func() (ca.Material, error) { return o.Issuer.LoadOrGenerate(o.TrustDomain, time.Now()) }
		}
		m, err := load()
		if err == nil {
			err = c.authority.Update(m)
		}
		switch {
		case err == nil:
		case o.Source == Kube && o.IssuerSecret != "":
			o.Log.Warn("the issuer's files cannot be used; waiting for the Secret", "secret", o.Namespace+"/"+o.IssuerSecret, "error", err)
		case o.Source == File:
			return fmt.Errorf("certificate authority: %w; mend %s, %s and %s, or remove all three to have them made anew", err, o.Issuer.Cert, o.Issuer.Key, o.Issuer.Roots)
		default:
			return fmt.Errorf("certificate authority: %w", err)
		}
	}
	if c.client != nil && o.IssuerSecret != "" {
		run("issuer", kubesecret.Watcher{Client: c.client, Namespace: o.Namespace, Secret: o.IssuerSecret, ConfigMap: o.IssuerBundle,
			Log: o.Log, Update: c.authority.Update}.Run)
		return nil
	}
	run("issuer", func(ctx context.Context) error {
		o.Issuer.Watch(ctx, pollFiles, o.Log, c.authority.Update)
		return ctx.Err()
	})
	return nil
}
