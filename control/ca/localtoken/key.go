package localtoken

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	privateBlock = "PRIVATE KEY"
	keyMode      = 0o600
)

// LoadKey reads a private key (PKCS #8, PEM).
func LoadKey(file string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read token key: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != privateBlock {
		return nil, fmt.Errorf("token key %s: no PEM block %q", file, privateBlock)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("token key %s: %w", file, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("token key %s: is %T, want Ed25519", file, parsed)
	}
	return key, nil
}

// LoadOrCreateKey reads a private key, or makes one and writes it, readable for
// its owner alone, if the file does not exist. Several processes may do so at
// once: all get the same key.
func LoadOrCreateKey(file string) (ed25519.PrivateKey, error) {
	key, err := LoadKey(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, key, err = ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make token key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make token key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("write token key: %w", err)
	}
	// Written beside and linked, so that nobody reads half of it and the first
	// writer wins.
	tmp, err := os.CreateTemp(filepath.Dir(file), ".token-key-*")
	if err != nil {
		return nil, fmt.Errorf("write token key: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}))
	if err == nil {
		err = tmp.Chmod(keyMode)
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return nil, fmt.Errorf("write token key: %w", err)
	}
	if err := os.Link(tmp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("write token key: %w", err)
	}
	return LoadKey(file)
}
