package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// holding says how long a connection is kept once it has carried something.
type holding struct {
	span  time.Duration
	until string // a file whose coming ends it
}

// keep holds a connection, and then has it carry bytes again: one that was cut
// meanwhile is an error.
func (h holding) keep(ctx context.Context, r *bufio.Reader, w io.Writer) error {
	if h.span == 0 && h.until == "" {
		return nil
	}
	if err := wait(ctx, h.span); err != nil {
		return err
	}
	for h.until != "" {
		if _, err := os.Stat(h.until); err == nil {
			break
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	if err := echoes(r, w, "still here"); err != nil {
		return fmt.Errorf("after it was held: %w", err)
	}
	return nil
}

// wait lets time pass; it has none for what is due already.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// echoes sends a line and wants it back.
func echoes(r *bufio.Reader, w io.Writer, text string) error {
	line := strings.ReplaceAll(text, "\n", " ") + "\n"
	if _, err := io.WriteString(w, line); err != nil {
		return err
	}
	got, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	if got != line {
		return fmt.Errorf("sent %q, got %q back", line, got)
	}
	return nil
}
