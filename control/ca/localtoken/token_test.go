package localtoken

import (
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var someone = Claims{Namespace: "default", ServiceAccount: "web", Pod: "web-0"}

func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+seed)), ed25519.SeedSize)))
}

func TestVerify(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	key := testKey(0)
	good, err := Mint(key, someone, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	public := key.Public().(ed25519.PublicKey)
	if got, err := Verify(public, good, now); err != nil || got != someone {
		t.Fatalf("%v, %v", got, err)
	}
	parts := strings.Split(good, ".")
	none := encode([]byte(`{"alg":"none"}`))
	for _, c := range []struct {
		name, token string
		key         ed25519.PublicKey
		at          time.Time
		want        error
	}{
		{"expired", good, public, now.Add(2 * time.Hour), ErrExpired},
		{"too early", good, public, now.Add(-time.Hour), ErrExpired},
		{"other key", good, testKey(1).Public().(ed25519.PublicKey), now, ErrSignature},
		{"no key", good, nil, now, ErrSignature},
		{"no signature", parts[0] + "." + parts[1] + ".", public, now, ErrSignature},
		{"algorithm none", none + "." + parts[1] + ".", public, now, ErrMalformed},
		{"changed", parts[0] + "." + encode([]byte(`{"namespace":"kube-system"}`)) + "." + parts[2], public, now, ErrSignature},
		{"two parts", parts[0] + "." + parts[1], public, now, ErrMalformed},
		{"empty", "", public, now, ErrMalformed},
		{"line break", good + "\n", public, now, ErrMalformed},
		{"long", good + strings.Repeat("A", maxToken), public, now, ErrMalformed},
	} {
		if _, err := Verify(c.key, c.token, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := Mint(key, Claims{Namespace: "default"}, now, time.Hour); err == nil {
		t.Error("minted for nobody")
	}
}

func TestKeyIsMadeOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sub", "key.pem")
	var wg sync.WaitGroup
	keys := make([]ed25519.PrivateKey, 8)
	for i := range keys {
		wg.Go(func() {
			k, err := LoadOrCreateKey(file)
			if err != nil {
				t.Error(err)
			}
			keys[i] = k
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !k.Equal(keys[0]) {
			t.Fatal("two processes have two keys")
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(file, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateKey(file); err == nil {
		t.Error("garbage was replaced without a word")
	}
}

// FuzzVerify feeds anything that a client may send; nothing but what the key
// signed may be accepted.
func FuzzVerify(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	key := testKey(0)
	good, err := Mint(key, someone, now, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{good, "", "..", "a.b.c", good + ".", strings.Replace(good, ".", "..", 1), encode([]byte(`{"alg":"EdDSA"}`)) + ".e30." + encode(make([]byte, 64))} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := Verify(key.Public().(ed25519.PublicKey), s, now); err == nil && (s != good || got != someone) {
			t.Errorf("%q accepted as %v", s, got)
		}
	})
}
