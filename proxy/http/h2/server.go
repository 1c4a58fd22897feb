package h2

import "context"

// Server is the server's side of one connection.
type Server struct{ c *mux }

// NewServer prepares the server's side; Serve runs it.
func NewServer(t Transport, o Options) *Server { return &Server{newMux(t, o, false)} }

// Serve reads requests until the connection is over, and runs handler for each
// on a goroutine of its own. The stream is the handler's until it returns: one
// that it leaves incomplete is reset, and its memory serves another request
// then. Serve returns when every handler has returned; nil means that the
// connection ended in order. When ctx is done the connection is closed hard.
func (s *Server) Serve(ctx context.Context, handler func(*Stream)) error {
	c := s.c
	c.serve = handler
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	c.greet()
	err := c.run()
	c.mu.Lock()
	for c.handlers > 0 {
		c.idle.Wait()
	}
	if c.rester != nil {
		c.rester.Stop()
	}
	c.unlock()
	return err
}

// Drain ends the connection in order: the client is told to open no more
// streams (GOAWAY), those that exist run to their end.
func (s *Server) Drain() { s.c.drain() }

// Close ends the connection now; every stream fails with ErrClosed.
func (s *Server) Close() { s.c.closeNow() }

// Active is how many streams are open.
func (s *Server) Active() int {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.c.open.n
}

// Opened is the number of the last stream that the client opened: it grows with
// each.
func (s *Server) Opened() uint32 {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.c.lastPeer
}
