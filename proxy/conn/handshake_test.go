package conn

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestHandshakeFailureIsTold(t *testing.T) {
	a, b := pair(t)
	sc, cc := config(t)
	cc.RootCAs = x509.NewCertPool()
	done := make(chan error, 1)
	go func() {
		c, err := Server(context.Background(), b, sc)
		if err == nil {
			err = c.Fill()
		}
		done <- err
	}()
	if _, err := Client(context.Background(), a, cc); err == nil {
		t.Fatal("an unknown authority is trusted")
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "certificate") && !strings.Contains(err.Error(), "authority") {
		t.Errorf("the server is not told why: %v", err)
	}
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	_, b := pair(t)
	sc, _ := config(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := Server(ctx, b, sc); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestServerReadsWhatWasSniffed(t *testing.T) {
	a, b := pair(t)
	sc, cc := config(t)
	done := make(chan error, 1)
	go func() { _, err := Client(context.Background(), a, cc); a.Flush(); done <- err }()
	if err := b.Fill(); err != nil || b.Buffered()[0] != 0x16 {
		t.Fatal(err)
	}
	if _, err := Server(context.Background(), b, sc); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
