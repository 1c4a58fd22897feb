package h1

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	nethttputil "net/http/httputil"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
)

// feed is a connection that delivers what a reader gives, piece by piece.
type feed struct {
	net.Conn
	r   io.Reader
	out bytes.Buffer
}

func (f *feed) Read(p []byte) (int, error)       { return f.r.Read(p) }
func (f *feed) Write(p []byte) (int, error)      { return f.out.Write(p) }
func (f *feed) Close() error                     { return nil }
func (f *feed) SetWriteDeadline(time.Time) error { return nil }

func from(r io.Reader) *conn.Conn { return conn.New(&feed{r: r}) }

// copied runs CopyBody and returns what was written.
func copied(in string, pieces bool, a, b Framing) (out string, n int64, left string, err error) {
	var r io.Reader = strings.NewReader(in)
	if pieces {
		r = iotest.OneByteReader(r)
	}
	src := from(r)
	sink := &feed{}
	dst := conn.New(sink)
	n, err = CopyBody(dst, src, a, b, as)
	dst.Flush()
	return sink.out.String(), n, string(src.Buffered()), err
}

func TestCopyBody(t *testing.T) {
	for _, c := range []struct {
		name, in, want, left string
		a, b                 Framing
		n                    int64
	}{
		{"none", "rest", "", "", Framing{}, Framing{}, 0},
		{"length", "hello", "hello", "", Framing{Kind: Length, Length: 5}, Framing{Kind: Length, Length: 5}, 5},
		{"length 0", "", "", "", Framing{Kind: Length}, Framing{Kind: Length}, 0},
		{"length to chunked", "hello", "5\r\nhello\r\n0\r\n\r\n", "", Framing{Kind: Length, Length: 5}, Framing{Kind: Chunked}, 5},
		{"none to chunked", "", "0\r\n\r\n", "", Framing{}, Framing{Kind: Chunked}, 0},
		{"chunked", "5;a=\"b\"\r\nhello\r\n00\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "", Framing{Kind: Chunked}, Framing{Kind: Chunked}, 5},
		{"trailers", "0\r\nGrpc-Status: 0\r\nX: y\r\n\r\n", "0\r\nGrpc-Status: 0\r\nX: y\r\n\r\n", "", Framing{Kind: Chunked}, Framing{Kind: Chunked}, 0},
		{"until close", "hello", "5\r\nhello\r\n0\r\n\r\n", "", Framing{Kind: UntilClose}, Framing{Kind: Chunked}, 5},
		{"chunked to close", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789", "", Framing{Kind: Chunked}, Framing{Kind: UntilClose}, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, n, _, err := copied(c.in, false, c.a, c.b)
			if err != nil || out != c.want || n != c.n {
				t.Errorf("%q %d %v", out, n, err)
			}
		})
	}
}

func TestPipelinedBytesStay(t *testing.T) {
	out, _, left, err := copied("3\r\nabc\r\n0\r\n\r\nGET /", false, Framing{Kind: Chunked}, Framing{Kind: Chunked})
	if err != nil || out != "3\r\nabc\r\n0\r\n\r\n" || left != "GET /" {
		t.Errorf("%q %q %v", out, left, err)
	}
	_, _, left, err = copied("abcGET /", false, Framing{Kind: Length, Length: 3}, Framing{Kind: Length, Length: 3})
	if err != nil || left != "GET /" {
		t.Errorf("%q %v", left, err)
	}
}

func TestBadChunks(t *testing.T) {
	for _, c := range []struct {
		in   string
		want error
	}{
		{"x\r\n", ErrChunkSize}, {"-1\r\n", ErrChunkSize}, {"+1\r\n", ErrChunkSize}, {" 1\r\n", ErrChunkSize}, {"\r\n", ErrChunkSize},
		{"1 1\r\n", ErrChunkSize}, {"1x\r\n", ErrChunkSize}, {"0x1\r\n", ErrChunkSize}, {"1 \r\nx\r\n", ErrChunkSize}, {"1000000000000000\r\n", ErrChunkSize},
		{"1\nx\r\n", ErrBareLF}, {"1;\x00\r\n", ErrChunkSize}, {"1;a\rb\r\n", ErrChunkSize},
		{"1\r\nxx\r\n", ErrChunkEnd}, {"1\r\nx\n", ErrChunkEnd}, {"1\r\nx\rx", ErrChunkEnd},
		{"1;" + strings.Repeat("a", 2000) + "\r\n", ErrChunkExt},
		{strings.Repeat("1;"+strings.Repeat("a", 900)+"\r\nx\r\n", 30), ErrChunkExt},
		{"0\r\nA : b\r\n\r\n", ErrTrailer}, {"0\r\n a: b\r\n\r\n", ErrTrailer}, {"0\r\na\nb: c\r\n\r\n", ErrTrailer},
		{"0\r\nContent-Length: 1\r\n\r\n", ErrTrailer}, {"0\r\nTransfer-Encoding: chunked\r\n\r\n", ErrTrailer}, {"0\r\nHost: h\r\n\r\n", ErrTrailer}, {"0\r\nConnection: h\r\n\r\n", ErrTrailer},
		{"0\r\nA: " + strings.Repeat("a", MaxTrailers) + "\r\n\r\n", ErrTrailersLong},
		{"5\r\nhel", io.ErrUnexpectedEOF}, {"5\r", io.ErrUnexpectedEOF}, {"", io.ErrUnexpectedEOF}, {"0\r\n", io.ErrUnexpectedEOF}, {"0\r\nA: b\r\n", io.ErrUnexpectedEOF},
	} {
		for _, pieces := range []bool{false, true} {
			_, _, _, err := copied(c.in, pieces, Framing{Kind: Chunked}, Framing{Kind: Chunked})
			var ce *CopyError
			if !errors.Is(err, c.want) || !errors.As(err, &ce) || ce.Side != ReadSide {
				t.Errorf("%.40q pieces %v: %v, want %v", c.in, pieces, err, c.want)
			}
		}
	}
}

func TestShortBody(t *testing.T) {
	_, n, _, err := copied("hel", false, Framing{Kind: Length, Length: 5}, Framing{Kind: Length, Length: 5})
	if !errors.Is(err, io.ErrUnexpectedEOF) || n != 3 {
		t.Error(n, err)
	}
	var ce *CopyError
	_, _, _, err = copied("hello", false, Framing{Kind: Length, Length: 5}, Framing{Kind: Length, Length: 4})
	if !errors.Is(err, ErrLongBody) || !errors.As(err, &ce) || ce.Side != WriteSide {
		t.Error(err)
	}
	if _, _, _, err = copied("hello", false, Framing{Kind: Length, Length: 5}, Framing{Kind: Length, Length: 6}); !errors.Is(err, ErrShortBody) {
		t.Error(err)
	}
}

// What has arrived is passed on before the copy waits for more.
func TestCopyFlushesWhenItWaits(t *testing.T) {
	client, a := net.Pipe()
	b, server := net.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := CopyBody(conn.New(b), conn.New(a), Framing{Kind: Chunked}, Framing{Kind: Chunked}, as)
		done <- err
	}()
	server.SetDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 100)
	for _, s := range []string{"1\r\na\r\n", "2\r\nbc\r\n"} {
		go client.Write([]byte(s))
		if _, err := io.ReadFull(server, buf[:len(s)]); err != nil || string(buf[:len(s)]) != s {
			t.Fatalf("%q %v", buf[:len(s)], err)
		}
	}
	client.Close()
	if err := <-done; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// FuzzChunked compares with net/http's reader of chunks: what we accept it must
// read as the same bytes, and what we write as well.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{"3\r\nabc\r\n0\r\n\r\n", "1;x=y\r\na\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n", "0\r\n\r\n", "3\r\nab", "1 \r\na\r\n0\r\n\r\n", "f\nx"} {
		f.Add([]byte(s), uint64(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		whole, n, _, err := copied(string(in), false, Framing{Kind: Chunked}, Framing{Kind: Chunked})
		rnd := rand.New(rand.NewPCG(seed, 1))
		sink := &feed{}
		dst := conn.New(sink)
		m, err2 := CopyBody(dst, from(&random{in, rnd}), Framing{Kind: Chunked}, Framing{Kind: UntilClose}, as)
		dst.Flush()
		if (err == nil) != (err2 == nil) || err == nil && n != m {
			t.Fatalf("cut differently it ends differently: %v %v", err, err2)
		}
		if err != nil {
			return
		}
		ours := sink.out.Bytes()
		for _, coded := range []string{string(in), whole} {
			std, err := io.ReadAll(nethttputil.NewChunkedReader(strings.NewReader(coded)))
			if err != nil || !bytes.Equal(std, ours) {
				t.Fatalf("net/http: %v %q, we: %q, of %q", err, std, ours, coded)
			}
		}
	})
}

// random cuts its bytes into random pieces.
type random struct {
	b []byte
	r *rand.Rand
}

func (r *random) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b[:1+r.r.IntN(len(r.b))])
	r.b = r.b[n:]
	return n, nil
}

// as leaves trailers as they are.
func as(fields []http.Field) []http.Field { return fields }
